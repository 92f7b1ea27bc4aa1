"""Values of an ONNX network → tensors of LiteRT, whose maps have their channels last.

A value of four axes (N, C, h, w) is kept as (N, h, w, C) from the first operator that wants it so
to the last; it is turned back where an operator counts axes.

Dimension key: N photos, C channels, h w height and width (cells).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fursure.phones.flatbuffer import Flatbuffer, schema
from fursure.phones.straight import Array, Straight

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # orders of axes


class Lowering:
    """A LiteRT model in the making, and which of its tensors holds which value."""

    def __init__(self, network: Straight) -> None:
        self.network = network
        self.flat = Flatbuffer()
        self._first: dict[str, int] = {}  # tensors with axes as ONNX has them
        self._last: dict[str, int] = {}  # and with channels last

    def kept_last(self, name: str) -> bool:
        """Return whether a value is at hand with its channels last alone."""
        return name in self._last and name not in self._first

    def first(self, name: str) -> int:
        """Return the tensor of a value with its axes as ONNX has them."""
        if name not in self._first:
            if name in self.network.constants:
                self._first[name] = self.constant(self.network.constants[name])
            else:
                shape = self.network.shapes[name]
                self._first[name] = self.turned(self._last[name], TO_FIRST, shape, name)
        return self._first[name]

    def last(self, name: str) -> int:
        """Return the tensor of a value of up to four axes with its channels last."""
        if name not in self._last:
            if name in self.network.constants:
                value = self.network.constants[name]
                wide = value.reshape((1,) * (4 - value.ndim) + value.shape)
                self._last[name] = self.constant(wide.transpose(TO_LAST))
            else:
                shape = last_shape(self.network.shapes[name])
                self._last[name] = self.turned(self._first[name], TO_LAST, shape, name)
        return self._last[name]

    def either(self, name: str) -> tuple[int, bool]:
        """Return the tensor of a value as it is at hand, and whether its channels are last."""
        last = self.kept_last(name)
        return (self.last(name) if last else self.first(name)), last

    def constant(self, value: Array) -> int:
        """Return a tensor of constants; LiteRT counts in 32 bits, and computes in fp32."""
        if value.dtype != np.float16:
            return self.flat.constant(value.astype(np.int32) if value.dtype == np.int64 else value)
        made = self.flat.tensor("half", value.shape, np.dtype(np.float32))
        options = schema.DequantizeOptionsT()
        self.flat.operator("DEQUANTIZE", [self.flat.constant(value)], made, options)
        return made

    def indices(self, values: Sequence[int]) -> int:
        """Return a tensor of whole numbers."""
        return self.flat.constant(np.array(values, np.int32))

    def turned(self, tensor: int, order: Sequence[int], shape: Sequence[int], name: str) -> int:
        """Return ``tensor`` with its axes in another order, of which ``shape`` comes."""
        made = self.flat.tensor(f"{name}.turned", shape, self._type(name))
        inputs = [tensor, self.indices(order)]
        self.flat.operator("TRANSPOSE", inputs, made, schema.TransposeOptionsT())
        return made

    def keep(self, name: str, tensor: int, *, last: bool) -> None:
        """Say that ``tensor`` holds the value ``name``."""
        (self._last if last else self._first)[name] = tensor

    def add(
        self,
        kind: str,
        inputs: Sequence[int],
        name: str,
        options: Any = None,
        *,
        last: bool = False,
    ) -> None:
        """Add an operator whose output is the value ``name``."""
        shape = self.network.shapes[name]
        made = self.flat.tensor(name, last_shape(shape) if last else shape, self._type(name))
        self.flat.operator(kind, inputs, made, options)
        self.keep(name, made, last=last)

    def between(
        self, kind: str, inputs: Sequence[int], shape: Sequence[int], options: Any = None
    ) -> int:
        """Add an operator whose output, of numbers in fp32, has no name; return its tensor."""
        made = self.flat.tensor(kind.lower(), shape, np.dtype(np.float32))
        self.flat.operator(kind, inputs, made, options)
        return made

    def _type(self, name: str) -> np.dtype[Any]:
        kind = self.network.types[name]
        return np.dtype(np.int32) if kind == np.int64 else kind


def last_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a value with its channels last."""
    return tuple(shape[axis] for axis in TO_LAST)
