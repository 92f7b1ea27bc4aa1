"""A Core ML program, as read from its file → an ONNX network that computes the same.

Each operator is what Core ML's documentation says of it; nothing is taken from what was exported.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fursure.graphs.graph import IR_VERSION, OPSET
from fursure.phones.straight import unsupported

_KINDS = {  # what ONNX calls an operator, and Core ML's names of its inputs, in ONNX's order
    "add": ("Add", "x", "y"),
    "avg_pool": ("AveragePool", "x"),
    "clip": ("Clip", "x", "alpha", "beta"),
    "concat": ("Concat", "values"),
    "conv": ("Conv", "x", "weight", "bias"),
    "erf": ("Erf", "x"),
    "exp": ("Exp", "x"),
    "gather": ("Gather", "x", "indices"),
    "identity": ("Identity", "x"),
    "layer_norm": ("LayerNormalization", "x", "gamma", "beta"),
    "matmul": ("MatMul", "x", "y"),
    "max_pool": ("MaxPool", "x"),
    "maximum": ("Max", "x", "y"),
    "minimum": ("Min", "x", "y"),
    "mul": ("Mul", "x", "y"),
    "pad": ("Pad", "x", "pad", "constant_val"),
    "pow": ("Pow", "x", "y"),
    "real_div": ("Div", "x", "y"),
    "reduce_argmax": ("ArgMax", "x"),
    "reduce_mean": ("ReduceMean", "x", "axes"),
    "relu": ("Relu", "x"),
    "reshape": ("Reshape", "x", "shape"),
    "sigmoid": ("Sigmoid", "x"),
    "sigmoid_hard": ("HardSigmoid", "x"),
    "silu": ("Sigmoid", "x"),  # which x is multiplied by
    "slice_by_index": ("Slice", "x", "begin", "end"),
    "softmax": ("Softmax", "x"),
    "sqrt": ("Sqrt", "x"),
    "sub": ("Sub", "x", "y"),
    "tanh": ("Tanh", "x"),
    "transpose": ("Transpose", "x"),
}
_TOLD = {  # what each is told beside its inputs: ONNX's word, and Core ML's
    "avg_pool": {"kernel_shape": "kernel_sizes"},
    "concat": {"axis": "axis"},
    "conv": {"group": "groups", "dilations": "dilations"},
    "gather": {"axis": "axis"},
    "layer_norm": {"axis": "axes", "epsilon": "epsilon"},
    "max_pool": {"kernel_shape": "kernel_sizes"},
    "reduce_argmax": {"axis": "axis", "keepdims": "keep_dims"},
    "reduce_mean": {"keepdims": "keep_dims"},
    "sigmoid_hard": {"alpha": "alpha", "beta": "beta"},
    "softmax": {"axis": "axis"},
    "transpose": {"perm": "perm"},
}
_CONSTANT = {"const", "constexpr_cast"}


def onnx_of(program: Any) -> bytes:
    """Return the network of the only function of ``program``.

    Raises:
        ExportFailed: an operator in it is none of those that are written here.
    """
    block = program.functions["main"]
    constants: dict[str, NDArray[Any]] = {}
    nodes = [
        node
        for operator in block.operations
        if operator.op_type not in _CONSTANT
        for node in _nodes(operator, constants)
    ]
    graph = helper.make_graph(
        nodes,
        "read back",
        [_described(value) for value in block.inputs.values()],
        [_described(value) for value in block.outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def _described(value: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, list(value.shape))


def _nodes(operator: Any, constants: dict[str, NDArray[Any]]) -> list[onnx.NodeProto]:
    if operator.op_type not in _KINDS:
        raise unsupported(f"Core ML's operator {operator.op_type}")
    kind, *names = _KINDS[operator.op_type]
    inputs = [value for name in names for value in _values(operator.inputs.get(name))]
    for value in inputs:
        if (known := _known(value)) is not None:
            constants[value.name] = _as_onnx(operator.op_type, value.name, known)
    attributes = _attributes(operator)
    if operator.op_type == "matmul" and _fact(operator, "transpose_y"):
        turned = constants[inputs[1].name]  # only weights are turned
        constants[inputs[1].name] = np.ascontiguousarray(turned.T)
    names, made = [value.name for value in inputs], operator.outputs[0].name
    if operator.op_type == "silu":
        gate = helper.make_node(kind, names, [f"{made}.gate"])
        return [gate, helper.make_node("Mul", [*names, f"{made}.gate"], [made])]
    return [helper.make_node(kind, names, [made], **attributes)]


def _known(value: Any) -> Any:
    """Return the numbers of a constant, also of one stored in fp16, or None."""
    if value.op is not None and value.op.op_type == "constexpr_cast":
        return value.op.materialized_val_inference()
    return value.val


def _values(given: Any) -> tuple[Any, ...]:
    """Return the values of an input, which may be several or left out."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _as_onnx(kind: str, name: str, value: Any) -> NDArray[Any]:
    """Return a constant in ONNX's type and order."""
    array = np.asarray(value)
    if kind == "pad" and name.endswith("pad_0"):
        array = array.reshape(-1, 2).T.ravel()
    return array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)


def _fact(operator: Any, name: str) -> Any:
    """Return what an operator was told beside its inputs, as a plain value."""
    value = operator.inputs[name].val
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _attributes(operator: Any) -> dict[str, Any]:
    """Return the same in ONNX's words."""
    kind = operator.op_type
    told = {ours: _fact(operator, theirs) for ours, theirs in _TOLD.get(kind, {}).items()}
    if kind in {"conv", "max_pool", "avg_pool"}:
        told |= _walk(operator)
    if kind == "avg_pool":
        told["count_include_pad"] = int(not _fact(operator, "exclude_padding_from_average"))
    if kind == "layer_norm":
        (told["axis"],) = told["axis"]
    return told


def _walk(operator: Any) -> dict[str, Any]:
    """Return how a window walks over a map."""
    walk = {"strides": _fact(operator, "strides")}
    if _fact(operator, "pad_type") == "same":
        return walk | {"auto_pad": "SAME_UPPER"}
    above, below, left, right = _fact(operator, "pad")
    return walk | {"pads": [above, left, below, right]}
