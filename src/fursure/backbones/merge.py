"""Encoder graphs and the nodes around them → one encoder graph.

Dimension key: N photos, C channels, H W height and width before resampling, h w after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fursure.backbones.backbone import Backbone
from fursure.errors import BadBackbone
from fursure.graphs.graph import IR_VERSION, OPSET, encoder_of, opset_of


@dataclass(frozen=True, slots=True)
class Wires:
    """Nodes in the order they run, and the constants they read, by name."""

    nodes: Sequence[NodeProto] = ()
    constants: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)

    def __add__(self, other: "Wires") -> "Wires":
        return Wires([*self.nodes, *other.nodes], {**self.constants, **other.constants})


def resampled(
    tensor: str, made: str, rows_hH: NDArray[np.float32], columns_wW: NDArray[np.float32]
) -> Wires:
    """Return what makes ``made`` (N, C, h, w) of ``tensor`` (N, C, H, W), by two matrices."""
    constants = {f"{made}.rows": rows_hH, f"{made}.columns": np.ascontiguousarray(columns_wW.T)}
    nodes = [
        helper.make_node("MatMul", [f"{made}.rows", tensor], [f"{made}.half"]),
        helper.make_node("MatMul", [f"{made}.half", f"{made}.columns"], [made]),
    ]
    return Wires(nodes, constants)


def named_apart(backbones: Mapping[str, Backbone]) -> list[onnx.ModelProto]:
    """Return the graphs, every name in each behind its key, all of one operator set.

    That is the newest among them, and `OPSET` at least.

    Raises:
        BadBackbone: a graph cannot be brought to it.
    """
    models = {key: onnx.load_from_string(backbone.onnx) for key, backbone in backbones.items()}
    newest = max(OPSET, *map(opset_of, models.values()))
    for key, model in models.items():
        if opset_of(model) < newest:
            try:
                models[key] = onnx.version_converter.convert_version(model, newest)
            except Exception as error:  # the converter raises its own types and RuntimeError
                reason = str(error).strip().splitlines()[0][:200]
                raise BadBackbone(
                    f"{backbones[key].name} cannot be brought to the ONNX operator set {newest} "
                    f"({reason}); export it again with that one."
                ) from error
    return [onnx.compose.add_prefix(model, key) for key, model in models.items()]


def wired(before: Wires, parts: Sequence[onnx.ModelProto], after: Wires, size: int) -> bytes:
    """Return the encoder graph of ``parts``, fed by ``before`` and gathered by ``after``.

    Its input are pixels of ``size``; ``after`` makes its `features` and, perhaps, its `map`.
    """
    constants = (before + after).constants.items()
    graph = helper.make_graph(
        [*before.nodes, *(node for part in parts for node in part.graph.node), *after.nodes],
        "fursure",  # as in a bundle, so that the encoder taken out of one has the same digest
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", "D"])],
        [
            *(numpy_helper.from_array(value, name) for name, value in constants),
            *(tensor for part in parts for tensor in part.graph.initializer),
        ],
    )
    versions = {opset.domain: opset.version for part in parts for opset in part.opset_import}
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*version) for version in sorted(versions.items())],
        functions=[function for part in parts for function in part.functions],
        ir_version=IR_VERSION,
    )
    return encoder_of(model.SerializeToString())
