"""A network with rounded weights → the same, its convolutions as large on average as before.

What rounding adds to a convolution is partly noise and partly the same for every photo and place,
as far as its inputs have a mean; the latter adds up to the features. A bias takes it back.

Dimension key: N photos, C channels in, O channels out, G groups.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_Floats = NDArray[np.floating]
_Constants = Mapping[str, onnx.TensorProto]


def with_means(model_bytes: bytes) -> bytes:
    """Return a graph whose outputs are the means (N, C, 1, 1) of what its convolutions read.

    Each has the name of its tensor.
    """
    model = onnx.load_from_string(model_bytes)
    graph = model.graph
    del graph.output[:]
    for name in sorted({node.input[0] for node in graph.node if node.op_type == "Conv"}):
        graph.node.append(helper.make_node("GlobalAveragePool", [name], [f"{name}.mean"]))
        shape = ["N", None, None, None]
        graph.output.append(helper.make_tensor_value_info(f"{name}.mean", TensorProto.FLOAT, shape))
    return bytes(model.SerializeToString(deterministic=True))


def levelled(rounded: bytes, exact: bytes, means: Mapping[str, _Floats]) -> bytes:
    """Return ``rounded`` with biases that give its convolutions the means they have in ``exact``.

    ``means`` are outputs of `with_means` of ``exact``, for photos or pictures like them.
    """
    model = onnx.load_from_string(rounded)
    graph = model.graph
    before = {tensor.name: tensor for tensor in onnx.load_from_string(exact).graph.initializer}
    for node, added_O in _added(graph, before, means):
        stated = node.input[2] if len(node.input) == 3 else ""
        bias_O = numpy_helper.to_array(before[stated]) if stated else np.zeros_like(added_O)
        name = f"{node.output[0]}.bias"  # two convolutions may share their weights
        level = np.asarray(bias_O - added_O, np.float32)
        graph.initializer.append(numpy_helper.from_array(level, name))
        node.input[:] = [*node.input[:2], name]
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _added(
    graph: onnx.GraphProto, before: _Constants, means: Mapping[str, _Floats]
) -> Iterator[tuple[onnx.NodeProto, _Floats]]:
    """Yield each convolution with rounded weights, and what that adds to its outputs (O,)."""
    after = {tensor.name: tensor for tensor in graph.initializer}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    for node in graph.node:
        half = after.get(casts.get(node.input[1], "")) if node.op_type == "Conv" else None
        if half is None or any(name and name not in before for name in node.input[1:]):
            continue
        exact = numpy_helper.to_array(before[node.input[1]]).astype(np.float64)
        change = numpy_helper.to_array(half) - exact
        change_OC = change.reshape(*change.shape[:2], -1).sum(axis=2)
        yield node, _through(change_OC, means[f"{node.input[0]}.mean"].mean(axis=0).ravel())


def _through(change_OC: _Floats, mean_C: _Floats) -> _Floats:
    """Return what a change of weights (O, C / G) adds where channels have these means."""
    groups = len(mean_C) // change_OC.shape[1]
    change_GOC = change_OC.reshape(groups, -1, change_OC.shape[1])
    return np.asarray(np.einsum("goc,gc->go", change_GOC, mean_C.reshape(groups, -1))).ravel()
