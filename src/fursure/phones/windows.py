"""Convolutions, pooling and margins of ONNX → LiteRT's, which knows two kinds of margin.

SAME is ONNX's SAME_UPPER: as many cells as make ⌈side / stride⌉ outputs, the odd one at the end.
Other margins are an operator of their own.

Dimension key: N photos, C channels, O I output and input channels, kh kw kernel, h w map cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fursure.phones.flatbuffer import schema
from fursure.phones.layout import TO_LAST, Lowering
from fursure.phones.straight import Array, GraphStep, unsupported

_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a kernel walks over a map: heights first, then widths."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    margins: tuple[int, ...]  # cells above, left, below, right

    @classmethod
    def of(cls, step: GraphStep, kernel: tuple[int, ...], sides: tuple[int, ...]) -> "Window":
        """Return that of ``step`` over a map of ``sides``.

        Raises:
            ExportFailed: it walks in one dimension or three, or with margins of a rare kind.
        """
        if len(sides) != 2:
            raise unsupported(f"{step.kind} over {len(sides)} axes")
        strides = tuple(step.attributes.get("strides", (1, 1)))
        dilations = tuple(step.attributes.get("dilations", (1, 1)))
        reach = [by * (length - 1) + 1 for by, length in zip(dilations, kernel, strict=True)]
        match step.attributes.get("auto_pad", b"NOTSET"):
            case b"SAME_UPPER":
                margins = _same(sides, reach, strides)
            case b"NOTSET" | b"VALID":
                margins = tuple(step.attributes.get("pads", (0, 0, 0, 0)))
            case other:
                raise unsupported(f"{step.kind} with margins of the kind {other.decode()}")
        return cls(kernel=kernel, strides=strides, dilations=dilations, margins=margins)

    def padding(self, sides: tuple[int, ...]) -> int | None:
        """Return LiteRT's kind of margin over a map of ``sides``, or None where it has none."""
        if not any(self.margins):
            return int(schema.Padding.VALID)
        reach = [by * (side - 1) + 1 for by, side in zip(self.dilations, self.kernel, strict=True)]
        same = self.margins == _same(sides, reach, self.strides)
        return int(schema.Padding.SAME) if same else None


def _same(sides: tuple[int, ...], reach: list[int], strides: tuple[int, ...]) -> tuple[int, ...]:
    total = [
        max(0, (-(-side // by) - 1) * by + length - side)
        for side, length, by in zip(sides, reach, strides, strict=True)
    ]
    return (*(cells // 2 for cells in total), *(cells - cells // 2 for cells in total))


def convolution(made: Lowering, step: GraphStep) -> None:
    """Translate a Conv with constant weights."""
    source, output = step.inputs[0], step.outputs[0]
    weight = made.network.constant(step, 1)
    assert weight is not None  # noqa: S101 - ONNX has no Conv without
    channels, *sides = made.network.shapes[source][1:]
    window = Window.of(step, weight.shape[2:], tuple(sides))
    tensor, padding = _in_margins(made, step, window, np.array(0, np.float32))
    bias = made.network.constant(step, 2)
    offset = np.zeros(len(weight), np.float32) if bias is None else bias
    alone = step.attributes.get("group", 1) == channels and weight.shape[1] == 1
    options = _walking(
        schema.DepthwiseConv2DOptionsT() if alone else schema.Conv2DOptionsT(), window
    )
    options.padding = padding
    options.dilationHFactor, options.dilationWFactor = window.dilations
    if alone:
        options.depthMultiplier = len(weight) // channels
    turned = weight.transpose((1, 2, 3, 0) if alone else (0, 2, 3, 1))
    inputs = [tensor, made.constant(turned), made.constant(offset)]
    kind = "DEPTHWISE_CONV_2D" if alone else "CONV_2D"
    made.add(kind, inputs, output, options, last=True)


def pool(kind: str) -> Callable[[Lowering, GraphStep], None]:
    """Return the translation of a pooling operator, ``kind`` in LiteRT's words."""
    average = kind.startswith("AVERAGE")

    def lowered(made: Lowering, step: GraphStep) -> None:
        if step.attributes.get("ceil_mode", 0):
            raise unsupported(f"{step.kind} that rounds up")
        sides = made.network.shapes[step.inputs[0]][2:]
        window = Window.of(step, tuple(step.attributes["kernel_shape"]), sides)
        if set(window.dilations) != {1}:
            raise unsupported(f"{step.kind} with gaps")
        outside = step.attributes.get("count_include_pad", 0)  # LiteRT's SAME does not count them
        if average and not outside and window.padding(sides) is None:
            raise unsupported(f"{step.kind} with margins that do not count")
        filler = np.array(0 if average else _LOWEST, np.float32)
        tensor, padding = _in_margins(made, step, window, filler, apart=average and outside)
        options = _walking(schema.Pool2DOptionsT(), window)
        options.padding = padding
        options.filterHeight, options.filterWidth = window.kernel
        made.add(kind, [tensor], step.outputs[0], options, last=True)

    return lowered


def padded(made: Lowering, step: GraphStep) -> None:
    """Translate a Pad with a constant."""
    margins = made.network.constant(step, 1)
    if step.attributes.get("mode", b"constant") != b"constant" or margins is None:
        raise unsupported("a Pad of another kind than by a constant")
    if made.network.constant(step, 3) is not None:
        raise unsupported("a Pad of chosen axes")
    filler = made.network.constant(step, 2)
    tensor, last = made.either(step.inputs[0])
    pairs = margins.reshape(2, -1).T
    inputs = [
        tensor,
        made.constant(pairs[list(TO_LAST)] if last else pairs),
        made.constant(np.array(0 if filler is None else filler, np.float32).reshape(1)),
    ]
    made.add("PADV2", inputs, step.outputs[0], schema.PadV2OptionsT(), last=last)


def _in_margins(
    made: Lowering, step: GraphStep, window: Window, filler: Array, *, apart: bool = False
) -> tuple[int, int]:
    """Return the map that a window walks over, and LiteRT's kind of margin around it."""
    source = step.inputs[0]
    shape = made.network.shapes[source]
    padding = window.padding(shape[2:])
    if padding is not None and not (apart and any(window.margins)):
        return made.last(source), padding
    above, left, below, right = window.margins
    pairs = np.array([(0, 0), (above, below), (left, right), (0, 0)], np.int32)
    wide = (shape[0], shape[2] + above + below, shape[3] + left + right, shape[1])
    tensor = made.flat.tensor(f"{step.outputs[0]}.margins", wide, np.dtype(np.float32))
    inputs = [made.last(source), made.constant(pairs), made.constant(filler.reshape(1))]
    made.flat.operator("PADV2", inputs, tensor, schema.PadV2OptionsT())
    return tensor, int(schema.Padding.VALID)


def _walking(options: Any, window: Window) -> Any:
    """Return ``options`` with the strides of ``window``."""
    options.strideH, options.strideW = window.strides
    return options
