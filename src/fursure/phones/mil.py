"""Steps of an ONNX network → operators of MIL, the language of Core ML's programs.

Dimension key: N photos, C channels, O I output and input channels, kh kw kernel, h w map cells.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fursure.phones.apple import Builder
from fursure.phones.mil_windows import MilMade, MilValues, conv, mil_pool, pad, taken
from fursure.phones.straight import GraphStep, Straight, unsupported


def outputs_of(network: Straight, pixels: Any) -> list[Any]:
    """Return the outputs of ``network`` for ``pixels``, inside a program that is being made.

    Raises:
        ExportFailed: an operator in it has no translation.
    """
    values: MilValues = {"pixels": pixels}
    for step in network.steps:
        if step.kind not in _MADE:
            raise unsupported(f"the operator {step.kind}")
        values[step.outputs[0]] = _MADE[step.kind](values, network, step)
    return [Builder.identity(x=values[name], name=name) for name in network.outputs]


def _made(kind: str, *names: str, **fixed: Any) -> MilMade:
    """Return the translation into the operator ``kind``, whose arguments have these ``names``."""

    def made(values: MilValues, network: Straight, step: GraphStep) -> Any:
        given = [taken(values, network, name) for name in step.inputs]
        return getattr(Builder, kind)(**dict(zip(names, given, strict=True)), **fixed)

    return made


def _first(kind: str, **fixed: Any) -> MilMade:
    """Return the translation into an operator of the first input alone."""

    def made(values: MilValues, network: Straight, step: GraphStep) -> Any:
        return getattr(Builder, kind)(x=taken(values, network, step.inputs[0]), **fixed)

    return made


def _cast(values: MilValues, network: Straight, step: GraphStep) -> Any:
    """Return the value as it is: what ONNX casts, pixels and indices, Core ML has in that type."""
    if network.types[step.outputs[0]] != np.float32:
        raise unsupported(f"a Cast to {network.types[step.outputs[0]]}")
    value = taken(values, network, step.inputs[0])
    return Builder.cast(x=value, dtype="fp32") if step.inputs[0] != "pixels" else value


def _clip(values: MilValues, network: Straight, step: GraphStep) -> Any:
    value = taken(values, network, step.inputs[0])
    least, most = (network.constant(step, row) for row in (1, 2))
    if least is not None and most is not None:
        return Builder.clip(x=value, alpha=np.float32(least.item()), beta=np.float32(most.item()))
    if least is not None:
        value = Builder.maximum(x=value, y=np.float32(least.item()))
    return value if most is None else Builder.minimum(x=value, y=np.float32(most.item()))


def _gemm(values: MilValues, network: Straight, step: GraphStep) -> Any:
    attributes = step.attributes
    scale = attributes.get("alpha", 1.0), attributes.get("beta", 1.0), attributes.get("transA", 0)
    if scale != (1.0, 1.0, 0):
        raise unsupported("a scaled or turned Gemm")
    product = Builder.matmul(
        x=taken(values, network, step.inputs[0]),
        y=taken(values, network, step.inputs[1]),
        transpose_y=bool(attributes.get("transB", 0)),
    )
    if len(step.inputs) < 3:
        return product
    return Builder.add(x=product, y=taken(values, network, step.inputs[2]))


def _mean(values: MilValues, network: Straight, step: GraphStep) -> Any:
    given = network.constant(step, 1)
    axes = step.attributes.get("axes") if given is None else given.ravel().tolist()
    return Builder.reduce_mean(
        x=taken(values, network, step.inputs[0]),
        axes=list(range(len(network.shapes[step.inputs[0]]))) if axes is None else list(axes),
        keep_dims=bool(step.attributes.get("keepdims", 1)),
    )


def _reshape(values: MilValues, network: Straight, step: GraphStep) -> Any:
    """Give a value other axes: its shape is known, whatever the operator says of it."""
    shape = list(network.shapes[step.outputs[0]])
    return Builder.reshape(x=taken(values, network, step.inputs[0]), shape=shape)


def _transpose(values: MilValues, network: Straight, step: GraphStep) -> Any:
    axes = len(network.shapes[step.inputs[0]])
    order = list(step.attributes.get("perm", range(axes)[::-1]))
    return Builder.transpose(x=taken(values, network, step.inputs[0]), perm=order)


def _softmax(values: MilValues, network: Straight, step: GraphStep) -> Any:
    value = taken(values, network, step.inputs[0])
    return Builder.softmax(x=value, axis=step.attributes.get("axis", -1))


def _argmax(values: MilValues, network: Straight, step: GraphStep) -> Any:
    return Builder.reduce_argmax(
        x=taken(values, network, step.inputs[0]),
        axis=step.attributes.get("axis", 0),
        keep_dims=bool(step.attributes.get("keepdims", 1)),
    )


def _gather(values: MilValues, network: Straight, step: GraphStep) -> Any:
    table, rows = (taken(values, network, name) for name in step.inputs)
    return Builder.gather(x=table, indices=rows, axis=step.attributes.get("axis", 0))


def _slice(values: MilValues, network: Straight, step: GraphStep) -> Any:
    begin, size = network.slice(step)
    end = [first + count for first, count in zip(begin, size, strict=True)]
    return Builder.slice_by_index(x=taken(values, network, step.inputs[0]), begin=begin, end=end)


def _layer_norm(values: MilValues, network: Straight, step: GraphStep) -> Any:
    axes = len(network.shapes[step.inputs[0]])
    axis = step.attributes.get("axis", -1) % axes
    if axis != axes - 1:
        raise unsupported("a LayerNormalization over several axes")
    given = zip(("gamma", "beta"), step.inputs[1:], strict=False)
    return Builder.layer_norm(
        x=taken(values, network, step.inputs[0]),
        axes=[axis],
        epsilon=np.float32(step.attributes.get("epsilon", 1e-5)),
        **{name: taken(values, network, source) for name, source in given},
    )


def _concat(values: MilValues, network: Straight, step: GraphStep) -> Any:
    parts = [taken(values, network, name) for name in step.inputs]
    return Builder.concat(values=parts, axis=step.attributes["axis"])


def _hard_sigmoid(values: MilValues, network: Straight, step: GraphStep) -> Any:
    return Builder.sigmoid_hard(
        x=taken(values, network, step.inputs[0]),
        alpha=np.float32(step.attributes.get("alpha", 0.2)),
        beta=np.float32(step.attributes.get("beta", 0.5)),
    )


def _hard_swish(values: MilValues, network: Straight, step: GraphStep) -> Any:
    value = taken(values, network, step.inputs[0])
    gate = Builder.sigmoid_hard(x=value, alpha=np.float32(1 / 6), beta=np.float32(0.5))
    return Builder.mul(x=value, y=gate)


_MADE: Mapping[str, MilMade] = {
    "Add": _made("add", "x", "y"),
    "ArgMax": _argmax,
    "AveragePool": mil_pool("avg_pool"),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": conv,
    "Div": _made("real_div", "x", "y"),
    "Dropout": _first("identity"),
    "Erf": _made("erf", "x"),
    "Exp": _made("exp", "x"),
    "Flatten": _reshape,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _first("reduce_mean", axes=[2, 3], keep_dims=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _first("identity"),
    "LayerNormalization": _layer_norm,
    "MatMul": _made("matmul", "x", "y"),
    "Max": _made("maximum", "x", "y"),
    "MaxPool": mil_pool("max_pool"),
    "Min": _made("minimum", "x", "y"),
    "Mul": _made("mul", "x", "y"),
    "Pad": pad,
    "Pow": _made("pow", "x", "y"),
    "ReduceMean": _mean,
    "Relu": _made("relu", "x"),
    "Reshape": _reshape,
    "Sigmoid": _made("sigmoid", "x"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Sqrt": _made("sqrt", "x"),
    "Squeeze": _reshape,
    "Sub": _made("sub", "x", "y"),
    "Tanh": _made("tanh", "x"),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
