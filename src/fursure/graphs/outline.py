"""ONNX bytes → its layers and how many weights each has, without the package onnx."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from fursure.graphs.tensors import fields_of

# Numbers of the fields in onnx.proto
_GRAPH, _NODE, _TENSOR = 7, 1, 5
_INPUT, _OUTPUT, _NAME, _KIND = 1, 2, 3, 4  # of a node
_DIMS, _TENSOR_NAME = 1, 8


@dataclass(frozen=True, slots=True)
class GraphLayer:
    """A node of the graph that has weights, or none."""

    kind: str  # Conv, Gemm …
    name: str
    shapes: tuple[tuple[int, ...], ...]  # of its weights

    @property
    def weights(self) -> int:
        """How many numbers it was taught."""
        return sum(map(prod, self.shapes))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        shapes = list(map(list, self.shapes))
        return {"kind": self.kind, "name": self.name, "shapes": shapes, "weights": self.weights}


def outline_of(model: bytes) -> list[GraphLayer]:
    """Return the graph's nodes in order; weights stored in half precision are behind a cast.

    Raises:
        ValueError: the bytes are no such message.
    """
    nodes: list[memoryview] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for graph in _messages(memoryview(model), _GRAPH):
        nodes += _messages(graph, _NODE)
        named = map(_tensor, _messages(graph, _TENSOR))
        shapes |= {name: shape for name, shape in named if shape}  # a number alone is no weight
    parsed = [_node(node) for node in nodes]
    behind = {
        output: source
        for kind, _, inputs, outputs in parsed
        for source, output in zip(inputs, outputs, strict=False)
        if kind == "Cast" and source in shapes
    }
    return [
        GraphLayer(kind, name, tuple(shapes[at] for at in _origins(inputs, behind) if at in shapes))
        for kind, name, inputs, outputs in parsed
        if kind != "Cast" or not behind.keys() & set(outputs)
    ]


def _origins(names: list[str], behind: dict[str, str]) -> Iterator[str]:
    """Yield where each input comes from, past a cast."""
    for name in names:
        yield behind.get(name, name)


def _node(node: memoryview) -> tuple[str, str, list[str], list[str]]:
    """Return what a node is, its name, its inputs and its outputs."""
    texts: dict[int, list[str]] = {number: [] for number in (_INPUT, _OUTPUT, _NAME, _KIND)}
    for number, value in fields_of(node):
        if number in texts and isinstance(value, memoryview):
            texts[number].append(bytes(value).decode("utf-8", "replace"))
    (kind, *_), name = texts[_KIND] or ["?"], "".join(texts[_NAME])
    return kind, name, texts[_INPUT], texts[_OUTPUT]


def _tensor(tensor: memoryview) -> tuple[str, tuple[int, ...]]:
    """Return a tensor's name and shape, whose numbers may stand alone or packed."""
    name, shape = "", []
    for number, value in fields_of(tensor):
        if number == _TENSOR_NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
        elif number == _DIMS:
            shape += [value] if isinstance(value, int) else list(_packed(value))
    return name, tuple(shape)


def _packed(values: memoryview) -> Iterator[int]:
    total = shift = 0
    for byte in values:
        total |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield total
            total = shift = 0


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    for field, value in fields_of(message):
        if field == number and isinstance(value, memoryview):
            yield value
