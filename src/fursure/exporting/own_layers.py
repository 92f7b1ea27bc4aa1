"""Does the page have code of its own for a network? Then its folder needs no onnxruntime-web.

What is taken here is what plan.js takes, rule by rule, so that no page is left without either; a
test asks both about the same networks.
"""

from collections import Counter
from dataclasses import dataclass, field

from fursure.graphs.nodes import FLOAT, HALF, GraphNode, Stored, read_graph

_LANES = 8  # channels come in groups of so many
_Shape = tuple[int, ...]  # channels, height, width


@dataclass(slots=True)
class _Layer:
    """What plan.js calls a step."""

    kind: str
    bounded: bool = False
    joined: bool = False


def runs_by_itself(model: bytes, size: int) -> bool:
    """Return whether the page's own WebAssembly runs this network on photos of ``size`` pixels."""
    nodes, tensors = read_graph(model)
    uses = Counter(name for node in nodes for name in node.inputs)
    reading = _Reading(size, tensors, uses)
    for node in nodes:
        if node.outputs[:1] == ("features",):
            return reading.ends_with(node)
        if not reading.takes(node):
            return False
    return False


@dataclass(slots=True)
class _Reading:
    """How far a graph has been read."""

    size: int
    tensors: dict[str, Stored]
    uses: Counter[str]
    shapes: dict[str, _Shape] = field(default_factory=dict)
    layers: dict[str, _Layer] = field(default_factory=dict)  # by the tensor that each makes
    begun: str = ""  # the tensor of normalised pixels
    normalised: set[str] = field(default_factory=set)
    last: str = ""  # what the newest layer makes

    def takes(self, node: GraphNode) -> bool:
        """Return whether the page has code for ``node``, and go past it."""
        first, output = node.inputs[0] if node.inputs else "", node.outputs[0]
        match node.kind:
            case "Cast" if first in self.tensors:
                self.tensors[output] = self.tensors[first]
            case "Cast" if first == "pixels":
                self.begun = output
            case "Sub" | "Mul" if first == self.begun and self._numbers(node.inputs[1]) == 3:
                self.normalised.add(node.kind)
                self.begun = output
            case "Transpose" if first == self.begun and self.normalised == {"Sub", "Mul"}:
                self.shapes[output] = (3, self.size, self.size)
                return node.numbers("perm") == (0, 3, 1, 2)
            case "Conv":
                return self._convolves(node)
            case "BatchNormalization" | "Clip" | "Relu":
                return self._folds(node)
            case "Add":
                return self._adds(node)
            case _:
                return False
        return True

    def ends_with(self, node: GraphNode) -> bool:
        """Return whether ``node`` is the mean of the last map, and a head of ours follows."""
        axes = self.tensors[node.inputs[1]].few if len(node.inputs) > 1 else node.numbers("axes")
        mean = node.kind == "ReduceMean" and axes == (2, 3) and node.facts.get("keepdims") == 0
        flat = node.kind == "GlobalAveragePool" or mean
        count = 0
        while f"head.weight{count}" in self.tensors and f"head.bias{count}" in self.tensors:
            count += 1
        whole = count > 0 and f"head.weight{count}" not in self.tensors
        ends = bool(self.last) and node.inputs[0] == self.last
        return flat and ends and whole and "head.inverse_temperature" in self.tensors

    def _numbers(self, name: str) -> int:
        """Return how many numbers a constant has that the page can read; 0 for others."""
        stored = self.tensors.get(name)
        return stored.size if stored and stored.type in {FLOAT, HALF} else 0

    def _settled(self, name: str) -> bool:
        """Return whether nothing can be folded into the layer that makes ``name``."""
        layer = self.layers.get(name)
        return self.uses[name] != 1 or layer is None or layer.bounded or layer.joined

    def _renamed(self, before: str, after: str) -> None:
        self.layers[after], self.shapes[after] = self.layers[before], self.shapes[before]
        self.last = after if self.last == before else self.last

    def _folds(self, node: GraphNode) -> bool:
        """Take what changes the numbers of a layer one by one into that layer."""
        first = node.inputs[0]
        if self._settled(first):
            return False
        bounds = node.kind != "BatchNormalization"
        each = 1 if bounds else self.shapes[first][0]
        self.layers[first].bounded = bounds
        self._renamed(first, node.outputs[0])
        return all(self._numbers(name) == each for name in node.inputs[1:] if name)

    def _adds(self, node: GraphNode) -> bool:
        one, other = node.inputs
        shape = self.shapes.get(one)
        if shape is None or shape != self.shapes.get(other):
            return False
        for own in (one, other):
            if not self._settled(own) and own == self.last and self.layers[own].kind == "point":
                self.layers[own].joined = True
                self._renamed(own, node.outputs[0])
                return True
        return False

    def _convolves(self, node: GraphNode) -> bool:
        shape, weight = self.shapes.get(node.inputs[0]), self.tensors.get(node.inputs[1])
        if shape is None or weight is None or not self._numbers(node.inputs[1]):
            return False
        if len(weight.shape) != 4 or weight.shape[2] != weight.shape[3]:
            return False
        channels, _, kernel, _ = weight.shape
        strides, dilations = node.numbers("strides", (1, 1)), node.numbers("dilations")
        kind = _kind(shape[0], weight.shape, node.facts.get("group", 1), strides)
        pads = _pads(node, shape, kernel, strides)
        even = strides[0] == strides[1] and set(dilations) <= {1} and channels % _LANES == 0
        named = len(node.inputs) < 3 or self._numbers(node.inputs[2]) == channels
        if not (kind and pads and even and named) or (kind == "point" and any(pads)):
            return False
        sides = [
            (side + before + after - kernel) // strides[0] + 1
            for side, before, after in zip(shape[1:], pads[:2], pads[2:], strict=True)
        ]
        self.shapes[node.outputs[0]] = (channels, *sides)
        self.layers[node.outputs[0]] = _Layer(kind)
        self.last = node.outputs[0]
        return True


def _kind(before: int, weight: _Shape, group: object, strides: object) -> str:
    """Return the page's name for a convolution, or nothing."""
    channels, depth, kernel, _ = weight
    if group == before == channels and depth == 1:
        return "depth"
    if group != 1:
        return ""
    if before == 3:
        return "stem"
    return "point" if (kernel, strides) == (1, (1, 1)) and before % _LANES == 0 else ""


def _pads(node: GraphNode, shape: _Shape, kernel: int, strides: _Shape) -> _Shape:
    """Return what is put around: top, left, bottom, right; nothing for words unknown."""
    match node.facts.get("auto_pad", "NOTSET"):
        case "NOTSET":
            return node.numbers("pads", (0, 0, 0, 0))
        case "VALID":
            return 0, 0, 0, 0
        case "SAME_UPPER":
            more = [
                max(0, (-(-side // strides[0]) - 1) * strides[0] + kernel - side)
                for side in shape[1:]
            ]
            return more[0] // 2, more[1] // 2, more[0] - more[0] // 2, more[1] - more[1] // 2
    return ()
