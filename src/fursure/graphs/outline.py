"""ONNX bytes → its layers and how many weights each has, without the package onnx."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from fursure.graphs.nodes import read_graph


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
    nodes, stored = read_graph(model)
    # A number alone is no weight.
    shapes = {name: tensor.shape for name, tensor in stored.items() if tensor.shape}
    behind = {
        output: source
        for node in nodes
        for source, output in zip(node.inputs, node.outputs, strict=False)
        if node.kind == "Cast" and source in shapes
    }
    return [
        GraphLayer(
            node.kind,
            node.name,
            tuple(shapes[at] for at in _origins(node.inputs, behind) if at in shapes),
        )
        for node in nodes
        if node.kind != "Cast" or not behind.keys() & set(node.outputs)
    ]


def _origins(names: Sequence[str], behind: dict[str, str]) -> Iterator[str]:
    """Yield where each input comes from, past a cast."""
    for name in names:
        yield behind.get(name, name)
