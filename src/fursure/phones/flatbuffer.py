"""Tensors and operators → the bytes of a LiteRT model, by the schema that LiteRT itself brings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.errors import MissingExtra

try:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
except ImportError as error:
    raise MissingExtra("exporting to LiteRT", "litert") from error

__all__ = ["Flatbuffer", "schema"]

_VERSION = 3  # of the format, the only one there is
_IDENTIFIER = b"TFL3"
_SIGNATURE = "serving_default"  # what converters call a network's one entry
_ALIGNED = 16  # bytes; where LiteRT lets the numbers of a tensor begin
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}


class _Buffer(schema.BufferT):  # type: ignore[misc]  # generated code has no types
    """Numbers of a constant, aligned, which the generated code leaves out."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.bytes = data

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the schema's own name
        if not self.bytes:
            return super().Pack(builder)
        builder.StartVector(1, len(self.bytes), _ALIGNED)
        builder.head = builder.Head() - len(self.bytes)
        builder.Bytes[builder.Head() : builder.Head() + len(self.bytes)] = self.bytes
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class Flatbuffer:
    """A LiteRT model in the making: tensors by their number, operators in order."""

    def __init__(self) -> None:
        self._buffers = [_Buffer(b"")]  # the first one is empty by convention
        self._tensors: list[Any] = []
        self._codes: dict[str, int] = {}
        self._operators: list[Any] = []

    def tensor(self, name: str, shape: Sequence[int], kind: np.dtype[Any]) -> int:
        """Add a tensor that is computed or given; return its number."""
        return self._add(name, shape, kind, buffer=0)

    def constant(self, value: NDArray[Any]) -> int:
        """Add a tensor that stays as it is; return its number."""
        self._buffers.append(_Buffer(np.ascontiguousarray(value).tobytes()))
        name = f"constant{len(self._tensors)}"
        return self._add(name, value.shape, value.dtype, buffer=len(self._buffers) - 1)

    def operator(self, kind: str, inputs: Sequence[int], output: int, options: Any = None) -> None:
        """Add the operator ``kind``, as the schema calls it; -1 is an input left out."""
        made = schema.OperatorT()
        made.opcodeIndex = self._codes.setdefault(kind, len(self._codes))
        made.inputs, made.outputs = list(inputs), [output]
        if options is not None:
            made.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self._operators.append(made)

    def finished(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], notes: Mapping[str, str]
    ) -> bytes:
        """Return the model, which calls its inputs and outputs so and holds ``notes``."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "fursure", self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        model = schema.ModelT()
        model.version, model.description = _VERSION, "fursure"
        model.operatorCodes = [_code(kind) for kind in self._codes]
        model.subgraphs, model.signatureDefs = [graph], [_signature(inputs, outputs)]
        model.metadata = [self._note(name, text) for name, text in notes.items()]
        model.buffers = self._buffers
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _add(self, name: str, shape: Sequence[int], kind: np.dtype[Any], *, buffer: int) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = _TYPES[np.dtype(kind)]
        tensor.quantization = schema.QuantizationParametersT()
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _note(self, name: str, text: str) -> Any:
        self._buffers.append(_Buffer(text.encode()))
        note = schema.MetadataT()
        note.name, note.buffer = name, len(self._buffers) - 1
        return note


def _code(kind: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # read where the other is not known
    code.version = 1
    return code


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    signature.inputs = [_named(*item) for item in inputs.items()]
    signature.outputs = [_named(*item) for item in outputs.items()]
    return signature


def _named(name: str, number: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, number
    return entry
