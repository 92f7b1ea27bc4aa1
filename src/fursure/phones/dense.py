"""Matrix products and normalised rows of ONNX → LiteRT's, whose matrices are (O, I).

Dimension key: O I output and input features.
"""

import numpy as np

from fursure.phones.flatbuffer import schema
from fursure.phones.layout import Lowering
from fursure.phones.straight import Array, GraphStep, unsupported


def gemm(made: Lowering, step: GraphStep) -> None:
    """Translate a Gemm with constant weights."""
    attributes = step.attributes
    scale = attributes.get("alpha", 1.0), attributes.get("beta", 1.0), attributes.get("transA", 0)
    weight = made.network.constant(step, 1)
    if scale != (1.0, 1.0, 0) or weight is None:
        raise unsupported("a scaled or turned Gemm")
    weight_OI = weight if attributes.get("transB", 0) else weight.T
    bias = made.network.constant(step, 2)
    _dense(made, step, weight_OI, bias)


def _dense(made: Lowering, step: GraphStep, weight_OI: Array, bias: Array | None) -> None:
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    offset = -1 if bias is None else made.constant(np.broadcast_to(bias, weight_OI.shape[:1]))
    inputs = [made.first(step.inputs[0]), made.constant(weight_OI), offset]
    made.add("FULLY_CONNECTED", inputs, step.outputs[0], options)


def matmul(made: Lowering, step: GraphStep) -> None:
    """Translate a MatMul, of a constant matrix or of two that are computed."""
    left, right = step.inputs
    weight = made.network.constants.get(right)
    if weight is not None and weight.ndim == 2:
        _dense(made, step, weight.T, None)
    else:
        inputs = [made.first(left), made.first(right)]
        made.add("BATCH_MATMUL", inputs, step.outputs[0], schema.BatchMatMulOptionsT())


def layer_norm(made: Lowering, step: GraphStep) -> None:
    """Subtract the mean of the last axis, divide by its deviation, scale and shift."""
    source, output = step.inputs[0], step.outputs[0]
    shape = made.network.shapes[source]
    if step.attributes.get("axis", -1) % len(shape) != len(shape) - 1:
        raise unsupported("a LayerNormalization over several axes")
    means = (*shape[:-1], 1)
    epsilon = made.constant(np.array(step.attributes.get("epsilon", 1e-5), np.float32))
    tensor, axis = made.first(source), made.indices([len(shape) - 1])
    options = schema.ReducerOptionsT()
    options.keepDims = True
    mean = made.between("MEAN", [tensor, axis], means, options)
    centred = made.between("SUB", [tensor, mean], shape)
    squares = made.between("MUL", [centred, centred], shape)
    variance = made.between("MEAN", [squares, axis], means, options)
    above = made.between("ADD", [variance, epsilon], means)
    inverse = made.between("RSQRT", [above], means)
    scaled = made.between("MUL", [centred, inverse], shape)
    for kind, name in zip(("MUL", "ADD"), step.inputs[1:], strict=False):
        scaled = made.between(kind, [scaled, made.first(name)], shape)
    made.keep(output, scaled, last=False)
