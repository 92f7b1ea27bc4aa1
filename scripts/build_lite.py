"""Make the graphs of `lite0`, `lite1` and `lite2` that ship in the package, without weights.

    make lite        (seconds; needs timm, which knows the architecture)

The weights lie in data packages of the registry as torch saved them. Each is checked against its
digest before anything reads it. What ships is a splice: see `fursure.graphs.splice`.

Dimension key: O outputs, I inputs, H W height and width of a kernel.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import timm
import torch
from onnx import TensorProto, helper, numpy_helper

from fursure.graphs.graph import encoder_of
from fursure.graphs.published import PUBLISHED
from fursure.networks.lite import LITE
from scripts.cutting import Piece, cut

MODELS = Path(__file__).parents[1] / "src" / "fursure" / "models"


class Graph:
    """Nodes and constants, in the order they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], made: str, **attributes: Any) -> str:
        """Add a node and return the name of what it makes."""
        self.nodes.append(helper.make_node(kind, inputs, [made], name=made, **attributes))
        return made

    def constant(self, name: str, value: Any) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def convolution(self, below: str, name: str, conv: Any, norm_name: str, norm: Any) -> str:
        """Add a convolution and its BatchNorm, which engines fold into it when they load."""
        out = self.node(
            "Conv",
            [below, self.constant(f"{name}.weight", conv.weight.detach().numpy())],
            name,
            group=conv.groups,
            strides=list(conv.stride),
            kernel_shape=list(conv.kernel_size),
            auto_pad="SAME_UPPER",  # TensorFlow's, at any size of photo
        )
        statistics = [
            self.constant(f"{norm_name}.{part}", getattr(norm, part).detach().numpy())
            for part in ("weight", "bias", "running_mean", "running_var")
        ]
        return self.node("BatchNormalization", [out, *statistics], norm_name, epsilon=norm.eps)

    def relu6(self, below: str, made: str | None = None) -> str:
        """Add the activation of these networks."""
        return self.node("Clip", [below, "zero", "six"], made or f"{below}.act")


def encoder(net: Any, size: int) -> bytes:
    """Return the encoder graph, pixels to features, with every weight under timm's name for it."""
    graph = Graph()
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    graph.constant("pixels.mean", np.full(3, 127.5, np.float32))
    graph.constant("pixels.scale", np.full(3, 1 / 127.5, np.float32))
    graph.constant("axes", np.array([2, 3]))
    out = graph.node("Cast", ["pixels"], "pixels.float", to=TensorProto.FLOAT)
    out = graph.node("Sub", [out, "pixels.mean"], "pixels.centred")
    out = graph.node("Mul", [out, "pixels.scale"], "pixels.scaled")
    out = graph.node("Transpose", [out], "pixels.planes", perm=[0, 3, 1, 2])
    out = graph.relu6(graph.convolution(out, "conv_stem", net.conv_stem, "bn1", net.bn1))
    for stage, blocks in enumerate(net.blocks):
        for number, block in enumerate(blocks):
            out = _block(graph, out, f"blocks.{stage}.{number}.", block)
    out = graph.convolution(out, "conv_head", net.conv_head, "bn2", net.bn2)
    graph.relu6(out, "map")
    graph.node("ReduceMean", ["map", "axes"], "features", keepdims=0)
    width = net.num_features
    made = helper.make_graph(
        graph.nodes,
        "fursure",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", size, size, 3])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", width, "h", "w"]),
        ],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return encoder_of(model.SerializeToString())  # as it comes out of a bundle: the same digest


def _block(graph: Graph, below: str, name: str, block: Any) -> str:
    """Add a separable convolution, or an inverted residual with its expansion before that."""
    steps = (
        ["conv_pw", "conv_dw", "conv_pwl"] if hasattr(block, "conv_pwl") else ["conv_dw", "conv_pw"]
    )
    out = below
    for number, step in enumerate(steps, 1):
        norm = f"bn{number}"
        out = graph.convolution(
            out, f"{name}{step}", getattr(block, step), f"{name}{norm}", getattr(block, norm)
        )
        if number < len(steps):  # the last one is linear
            out = graph.relu6(out)
    return graph.node("Add", [out, below], f"{name}sum") if block.has_skip else out


def pieces(state: dict[str, Any], data: bytes) -> Iterator[Piece]:
    """Yield where each tensor of floats lies in the file, and how it has to be turned."""
    for value in state.values():
        if value.ndim and value.dtype == torch.float32:
            order = sorted(range(value.ndim), key=lambda axis: -value.stride(axis))  # as stored
            stored = value.permute(order).contiguous().numpy()
            offset = data.find(stored.tobytes())
            back = [order.index(axis) for axis in range(value.ndim)]
            yield Piece(offset, list(stored.shape), back)


def main() -> None:
    """Write the three splices and say how large they are."""
    for name, lite in LITE.items():
        data = PUBLISHED[name].read()  # checked: the one place where a pickle is then read
        state = torch.load(io.BytesIO(data), weights_only=True)
        net: Any = timm.create_model(lite.architecture, pretrained=False)
        net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
        graph = encoder(net.eval(), lite.preprocess.size)
        target = MODELS / f"{name}.splice"
        target.write_bytes(cut(graph, name, data, pieces(state, data)))
        print(f"{target.name}: {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
