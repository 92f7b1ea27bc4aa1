"""Steps of an ONNX network → operators of LiteRT.

Weights lie as LiteRT has them: (O, kh, kw, I), and (1, kh, kw, O) where each channel has its own.

Dimension key: N photos, C channels, O I output and input channels, kh kw kernel, h w map cells.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fursure.phones.dense import gemm, layer_norm, matmul
from fursure.phones.flatbuffer import schema
from fursure.phones.layout import TO_FIRST, TO_LAST, Lowering, last_shape
from fursure.phones.straight import GraphStep, Straight, unsupported
from fursure.phones.windows import convolution, padded, pool

Lowered = Callable[[Lowering, GraphStep], None]


def _same(kind: str) -> Lowered:
    """Return the translation of what takes each number alone."""

    def lowered(made: Lowering, step: GraphStep) -> None:
        tensor, last = made.either(step.inputs[0])
        made.add(kind, [tensor], step.outputs[0], last=last)

    return lowered


def _gelu(made: Lowering, step: GraphStep) -> None:
    options = schema.GeluOptionsT()
    options.approximate = step.attributes.get("approximate", b"none") == b"tanh"
    tensor, last = made.either(step.inputs[0])
    made.add("GELU", [tensor], step.outputs[0], options, last=last)


def _pairwise(kind: str) -> Lowered:
    """Return the translation of what joins the numbers of two values."""

    def lowered(made: Lowering, step: GraphStep) -> None:
        tensors, last = _together(made, step, step.inputs)
        made.add(kind, tensors, step.outputs[0], last=last)

    return lowered


def _together(made: Lowering, step: GraphStep, names: tuple[str, ...]) -> tuple[list[int], bool]:
    """Return the tensors of several values in one order of axes, and whether that is channels last.

    Values of fewer axes are stretched from the last axis on, so they can be turned as constants
    alone.
    """
    wide = [name in made.network.constants or len(made.network.shapes[name]) == 4 for name in names]
    last = all(wide) and any(made.kept_last(name) for name in names)
    last = last and len(made.network.shapes[step.outputs[0]]) == 4
    return [made.last(name) if last else made.first(name) for name in names], last


def _clip(made: Lowering, step: GraphStep) -> None:
    least, most = (made.network.constant(step, row) for row in (1, 2))
    match (None if least is None else least.item(), None if most is None else most.item()):
        case 0.0, 6.0:
            _same("RELU6")(made, step)
        case 0.0, None:
            _same("RELU")(made, step)
        case low, high:
            _chain(made, step, [("MAXIMUM", low), ("MINIMUM", high)])


def _hard_sigmoid(made: Lowering, step: GraphStep) -> None:
    slope, offset = step.attributes.get("alpha", 0.2), step.attributes.get("beta", 0.5)
    _chain(made, step, [("MUL", slope), ("ADD", offset), ("MAXIMUM", 0.0), ("MINIMUM", 1.0)])


def _chain(made: Lowering, step: GraphStep, links: Sequence[tuple[str, float | None]]) -> None:
    """Translate into operators one after another, each with a number, None: left out."""
    output = step.outputs[0]
    tensor, last = made.either(step.inputs[0])
    shape = made.network.shapes[output]
    for kind, number in links:
        if number is not None:
            inputs = [tensor, made.constant(np.array(number, np.float32))]
            tensor = made.between(kind, inputs, last_shape(shape) if last else shape)
    made.keep(output, tensor, last=last)


def _cast(made: Lowering, step: GraphStep) -> None:
    tensor, last = made.either(step.inputs[0])
    made.add("CAST", [tensor], step.outputs[0], schema.CastOptionsT(), last=last)


def _transpose(made: Lowering, step: GraphStep) -> None:
    source, output = step.inputs[0], step.outputs[0]
    axes = len(made.network.shapes[source])
    order = tuple(step.attributes.get("perm", range(axes)[::-1]))
    if order == TO_FIRST and not made.kept_last(source):
        return made.keep(output, made.first(source), last=True)
    if order == TO_LAST and made.kept_last(source):
        return made.keep(output, made.last(source), last=False)
    shape = made.network.shapes[output]
    return made.keep(output, made.turned(made.first(source), order, shape, output), last=False)


def _reshape(made: Lowering, step: GraphStep) -> None:
    """Give a value other axes: its shape is known, whatever the operator says of it."""
    shape = made.indices(made.network.shapes[step.outputs[0]])
    made.add("RESHAPE", [made.first(step.inputs[0]), shape], step.outputs[0])


def _identity(made: Lowering, step: GraphStep) -> None:
    tensor, last = made.either(step.inputs[0])
    made.keep(step.outputs[0], tensor, last=last)


def _mean(made: Lowering, step: GraphStep) -> None:
    source = step.inputs[0]
    count = len(made.network.shapes[source])
    axes = [axis % count for axis in _axes(made.network, step, range(count))]
    options = schema.ReducerOptionsT()
    options.keepDims = keep = bool(step.attributes.get("keepdims", 1))
    # Where axes go, what is left has to be in ONNX's order; of a map's mean (N, C) it is.
    last = made.kept_last(source) and (keep or set(axes) == {2, 3})
    tensor = made.last(source) if last else made.first(source)
    places = [TO_LAST.index(axis) for axis in axes] if last else axes
    inputs = [tensor, made.indices(places)]
    made.add("MEAN", inputs, step.outputs[0], options, last=last and keep)


def _axes(network: Straight, step: GraphStep, otherwise: range) -> list[int]:
    given = network.constant(step, 1)
    if given is not None:
        return [int(axis) for axis in given.ravel()]
    return list(step.attributes.get("axes", otherwise))


def _pooled_whole(made: Lowering, step: GraphStep) -> None:
    options = schema.ReducerOptionsT()
    options.keepDims = True
    inputs = [made.last(step.inputs[0]), made.indices([1, 2])]
    made.add("MEAN", inputs, step.outputs[0], options, last=True)


def _softmax(made: Lowering, step: GraphStep) -> None:
    axes = len(made.network.shapes[step.outputs[0]])
    if step.attributes.get("axis", -1) % axes != axes - 1:
        raise unsupported("a Softmax over another axis than the last")
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    made.add("SOFTMAX", [made.first(step.inputs[0])], step.outputs[0], options)


def _argmax(made: Lowering, step: GraphStep) -> None:
    if step.attributes.get("keepdims", 1):
        raise unsupported("an ArgMax that keeps its axis")
    options = schema.ArgMaxOptionsT()
    options.outputType = schema.TensorType.INT32
    axis = made.constant(np.array(step.attributes.get("axis", 0), np.int32))
    made.add("ARG_MAX", [made.first(step.inputs[0]), axis], step.outputs[0], options)


def _gather(made: Lowering, step: GraphStep) -> None:
    options = schema.GatherOptionsT()
    axes = len(made.network.shapes[step.inputs[0]])
    options.axis = step.attributes.get("axis", 0) % axes
    made.add("GATHER", [made.first(name) for name in step.inputs], step.outputs[0], options)


def _slice(made: Lowering, step: GraphStep) -> None:
    begin, size = map(made.indices, made.network.slice(step))
    made.add("SLICE", [made.first(step.inputs[0]), begin, size], step.outputs[0])


def _concat(made: Lowering, step: GraphStep) -> None:
    tensors, last = _together(made, step, step.inputs)
    axis = step.attributes["axis"] % len(made.network.shapes[step.outputs[0]])
    options = schema.ConcatenationOptionsT()
    options.axis = TO_LAST.index(axis) if last else axis
    made.add("CONCATENATION", tensors, step.outputs[0], options, last=last)


LOWERED: Mapping[str, Lowered] = {
    "Add": _pairwise("ADD"),
    "ArgMax": _argmax,
    "AveragePool": pool("AVERAGE_POOL_2D"),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": convolution,
    "Div": _pairwise("DIV"),
    "Dropout": _identity,
    "Exp": _same("EXP"),
    "Flatten": _reshape,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": gemm,
    "GlobalAveragePool": _pooled_whole,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _same("HARD_SWISH"),
    "Identity": _identity,
    "LayerNormalization": layer_norm,
    "MatMul": matmul,
    "Max": _pairwise("MAXIMUM"),
    "MaxPool": pool("MAX_POOL_2D"),
    "Min": _pairwise("MINIMUM"),
    "Mul": _pairwise("MUL"),
    "Pad": padded,
    "Pow": _pairwise("POW"),
    "ReduceMean": _mean,
    "Relu": _same("RELU"),
    "Reshape": _reshape,
    "Sigmoid": _same("LOGISTIC"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Sqrt": _same("SQRT"),
    "Squeeze": _reshape,
    "Sub": _pairwise("SUB"),
    "Tanh": _same("TANH"),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
