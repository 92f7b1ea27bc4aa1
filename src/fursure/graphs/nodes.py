"""ONNX bytes → the nodes and stored tensors of its graph, without the package onnx."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from fursure.graphs.tensors import fields_of

# Numbers of the fields in onnx.proto
_GRAPH, _NODE, _TENSOR = 7, 1, 5
_INPUT, _OUTPUT, _NAME, _KIND, _ATTRIBUTE = 1, 2, 3, 4, 5  # of a node
_DIMS, _TYPE, _WHOLE, _TENSOR_NAME, _RAW = 1, 2, 7, 8, 9  # of a tensor
_FACT_NAME, _FLOAT, _INTEGER, _TEXT, _INTEGERS = 1, 2, 3, 4, 8  # of an attribute
_FEW = 8  # whole numbers that are read: shapes and axes

FLOAT, INT64, HALF = 1, 7, 10  # types of a tensor
Fact = float | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One operation of a graph."""

    kind: str  # Conv, Gemm …
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    facts: Mapping[str, Fact]  # its attributes, of the types above

    def numbers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return an attribute that is several whole numbers."""
        stated = self.facts.get(name)
        return stated if isinstance(stated, tuple) else default


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor whose values stand in the file."""

    shape: tuple[int, ...]
    type: int
    few: tuple[int, ...] = ()  # its values, if they are whole and few

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


def read_graph(model: bytes) -> tuple[list[GraphNode], dict[str, Stored]]:
    """Return the graph's nodes in order, and its stored tensors by name.

    Raises:
        ValueError: the bytes are no such message.
    """
    nodes: list[GraphNode] = []
    tensors: dict[str, Stored] = {}
    for graph in _messages(memoryview(model), _GRAPH):
        nodes += map(_node, _messages(graph, _NODE))
        tensors |= map(_tensor, _messages(graph, _TENSOR))
    return nodes, tensors


def _node(node: memoryview) -> GraphNode:
    texts: dict[int, list[str]] = {number: [] for number in (_INPUT, _OUTPUT, _NAME, _KIND)}
    facts: dict[str, Fact] = {}
    for number, value in fields_of(node):
        if number in texts and isinstance(value, memoryview):
            texts[number].append(_text(value))
        elif number == _ATTRIBUTE and isinstance(value, memoryview):
            facts |= _fact(value)
    kind = (texts[_KIND] or ["?"])[0]
    return GraphNode(kind, "".join(texts[_NAME]), (*texts[_INPUT],), (*texts[_OUTPUT],), facts)


def _fact(attribute: memoryview) -> dict[str, Fact]:
    name = ""
    made: Fact | None = None
    integers: list[int] = []
    for number, value in fields_of(attribute):
        if number == _INTEGERS:
            integers += _integers(value)
        elif isinstance(value, int):
            made = value if number == _INTEGER else made
        elif number == _FACT_NAME:
            name = _text(value)
        elif number == _FLOAT:
            made = float(np.frombuffer(value, "<f4")[0])
        elif number == _TEXT:
            made = _text(value)
    return {name: (*integers,) if made is None else made}


def _tensor(tensor: memoryview) -> tuple[str, Stored]:
    """Return a tensor's name, and what is stored under it."""
    name, type_ = "", 0
    shape: list[int] = []
    few: list[int] = []
    raw: memoryview | None = None
    for number, value in fields_of(tensor):
        if number == _TENSOR_NAME and isinstance(value, memoryview):
            name = _text(value)
        elif number == _DIMS:
            shape += _integers(value)
        elif number == _TYPE and isinstance(value, int):
            type_ = value
        elif number == _WHOLE:
            few += _integers(value)
        elif number == _RAW and isinstance(value, memoryview):
            raw = value
    if raw is not None and type_ == INT64 and len(raw) <= 8 * _FEW:
        few = np.frombuffer(raw, "<i8").tolist()
    return name, Stored((*shape,), type_, (*few[:_FEW],))


def _integers(value: int | memoryview) -> list[int]:
    """Return whole numbers that stand alone or packed."""
    if isinstance(value, int):
        return [value]
    numbers: list[int] = []
    total = shift = 0
    for byte in value:
        total |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(total)
            total = shift = 0
    return numbers


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    for field, value in fields_of(message):
        if field == number and isinstance(value, memoryview):
            yield value
