"""ONNX bytes → may they run here? Read without the package onnx.

A tensor may lie in another file, and both engines then open that file, relative to the current
folder. A model must not make us read what its user never named, nor answer differently from one
folder to the next. And a node may hold a graph that runs again and again, 10^15 times, which no
signal interrupts; without such nodes a network ends. The message is walked by its tags (protobuf's
wire format), past the weights.
"""

from collections.abc import Iterator

MESSAGES = {  # kind -> number of a field -> kind of the message in it (onnx.proto)
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
ELSEWHERE = {13, 14}  # of a tensor: external_data, data_location
FIXED = {1: 8, 5: 4}  # wire type -> bytes


def check_contained(model: bytes) -> None:
    """Refuse an ONNX model that needs another file, or may never end.

    Raises:
        ValueError: a tensor keeps its values elsewhere, a node holds a graph, as Loop, Scan and If
            do, or the bytes are no such message.
    """
    for kind, number, value in _walked(model):
        if kind == "tensor" and number in ELSEWHERE and value:
            raise ValueError("model.onnx in it keeps weights in another file; train it again")
        if _holds_a_graph(kind, number):
            raise ValueError("model.onnx in it holds a Loop, Scan or If, which may never end")


def has_control_flow(model: bytes) -> bool:
    """Return whether a node of an ONNX model holds a graph, as Loop, Scan and If do.

    Raises:
        ValueError: the bytes are no such message.
    """
    return any(_holds_a_graph(kind, number) for kind, number, _ in _walked(model))


def _holds_a_graph(kind: str, number: int) -> bool:
    return kind == "attribute" and MESSAGES["attribute"].get(number) == "graph"


def _walked(model: bytes) -> Iterator[tuple[str, int, int | memoryview]]:
    """Yield the kind of each message, and the number and value of each of its fields."""
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        for number, value in fields_of(message):
            yield kind, number, value
            if isinstance(value, memoryview) and (inner := MESSAGES[kind].get(number)):
                waiting.append((inner, value))


def fields_of(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field; of fixed-size ones the bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        size = FIXED.get(wire)
        if wire == 2:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            raise ValueError("model.onnx in it is no ONNX network")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at ``at``, seven bits a byte, and where it ends."""
    if at < len(message) and (first := message[at]) < 0x80:  # as nearly all are, and quickly so
        return first, at + 1
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("model.onnx in it is no ONNX network")
