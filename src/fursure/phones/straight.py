"""An ONNX network for a fixed number of photos → plain steps, everything known in advance done.

ONNX Runtime folds what depends on constants alone, shapes above all, and joins each normalisation
with the convolution before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from fursure.engine.libraries import onnxruntime
from fursure.errors import ExportFailed

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphStep:
    """One operator and what goes in and out of it, by names; an input left out is empty."""

    kind: str  # as ONNX calls it
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """A network as steps in order, with the shape and the type of every value."""

    steps: tuple[GraphStep, ...]
    constants: Mapping[str, Array]  # in fp16 what is stored so; it is computed with in fp32
    shapes: Mapping[str, tuple[int, ...]]
    types: Mapping[str, np.dtype[Any]]
    outputs: tuple[str, ...]
    notes: Mapping[str, str]  # labels and preprocessing, as JSON

    def constant(self, step: GraphStep, row: int) -> Array | None:
        """Return the constant that is the input ``row``, or None where it has no such input.

        Raises:
            ExportFailed: that input is computed.
        """
        if len(step.inputs) <= row or not step.inputs[row]:
            return None
        if step.inputs[row] not in self.constants:
            raise unsupported(f"{step.kind} whose input {row} is computed")
        return self.constants[step.inputs[row]]

    def slice(self, step: GraphStep) -> tuple[list[int], list[int]]:
        """Return where a Slice begins on each axis, and how much it takes.

        Raises:
            ExportFailed: it leaves something out between, or turns round.
        """
        begins, axes, strides = (self.constant(step, row) for row in (1, 3, 4))
        if begins is None or (strides is not None and set(strides.tolist()) != {1}):
            raise unsupported("a Slice with gaps")
        sides = self.shapes[step.inputs[0]]
        begin = [0] * len(sides)
        places = range(len(begins)) if axes is None else axes.tolist()
        for axis, first in zip(places, begins.tolist(), strict=True):
            side = sides[axis]
            begin[axis] = min(max(first + side if first < 0 else first, 0), side)
        return begin, list(self.shapes[step.outputs[0]])


def unsupported(what: str) -> ExportFailed:
    """Return the error for an operator, or a use of one, that has no translation."""
    return ExportFailed(
        f"this network holds {what}, which cannot be translated for telephones; export it with "
        "--to onnx, which ONNX Runtime runs on them, or train on another --backbone."
    )


def simplified(network: bytes) -> bytes:
    """Return a network of fixed batch without what is known in advance.

    Raises:
        ExportFailed: ONNX Runtime cannot simplify it.
    """
    ort = onnxruntime()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 4
        try:
            ort.InferenceSession(
                network, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # the runtime raises its own types
            reason = str(error).strip().splitlines()[0][:200]
            raise ExportFailed(f"ONNX Runtime cannot simplify this network ({reason}).") from error
        return path.read_bytes()


def straightened(network: bytes) -> Straight:
    """Return the steps of a network that `simplified` made.

    Raises:
        ExportFailed: the shape of a value is still unknown.
    """
    model = shape_inference.infer_shapes(onnx.load_from_string(network), data_prop=True)
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes = {name: _shape(value) for name, value in values.items()}
    types = {
        name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        for name, value in values.items()
    }
    steps = []
    for step in map(_step, graph.node):
        if step.kind == "Cast" and step.inputs[0] in constants:  # weights stored in fp16
            constants[step.outputs[0]] = constants.pop(step.inputs[0])
        else:
            steps.append(step)
    for step in steps:
        for name in filter(None, step.outputs):
            if shapes.get(name) is None:
                raise unsupported(f"{step.kind} whose output has no fixed shape")
    return Straight(
        steps=tuple(steps),
        constants=constants,
        shapes={name: shape for name, shape in shapes.items() if shape is not None}
        | {name: value.shape for name, value in constants.items()},
        types=types | {name: value.dtype for name, value in constants.items()},
        outputs=tuple(output.name for output in graph.output),
        notes={note.key: note.value for note in model.metadata_props},
    )


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    sides = tuple(side.dim_value for side in tensor.shape.dim)
    return sides if all(sides) else None


def _step(node: onnx.NodeProto) -> GraphStep:
    return GraphStep(
        kind=node.op_type,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={item.name: helper.get_attribute_value(item) for item in node.attribute},
    )
