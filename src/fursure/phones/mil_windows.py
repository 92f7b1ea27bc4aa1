"""Convolutions, pooling and margins of ONNX → MIL's, and how MIL gets a value at all.

Dimension key: N photos, C channels, O I output and input channels, kh kw kernel, h w map cells.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fursure.phones.apple import Builder
from fursure.phones.straight import GraphStep, Straight, unsupported

MilValues = dict[str, Any]  # of the program, by ONNX's names
MilMade = Callable[[MilValues, Straight, GraphStep], Any]


def taken(values: MilValues, network: Straight, name: str) -> Any:
    """Return a value of the program, or a constant; what is stored in fp16 is computed in fp32."""
    if name not in values:
        value = network.constants[name]
        match value.dtype:
            case np.float16:
                values[name] = Builder.constexpr_cast(source_val=value, output_dtype="fp32")
            case np.int64:
                values[name] = value.astype(np.int32)
            case _:
                values[name] = value
    return values[name]


def conv(values: MilValues, network: Straight, step: GraphStep) -> Any:
    """Translate a Conv with constant weights."""
    weight = network.constant(step, 1)
    if weight is None or weight.ndim != 4:
        raise unsupported("a Conv over other axes than two")
    bias = network.constant(step, 2)
    return Builder.conv(
        x=taken(values, network, step.inputs[0]),
        weight=taken(values, network, step.inputs[1]),
        **({} if bias is None else {"bias": bias}),
        groups=step.attributes.get("group", 1),
        dilations=list(step.attributes.get("dilations", (1, 1))),
        **_walk(step),
    )


def _walk(step: GraphStep) -> dict[str, Any]:
    """Return how a window walks, in Core ML's words."""
    walk: dict[str, Any] = {"strides": list(step.attributes.get("strides", (1, 1)))}
    match step.attributes.get("auto_pad", b"NOTSET"):
        case b"SAME_UPPER":
            return walk | {"pad_type": "same"}
        case b"NOTSET" | b"VALID":
            above, left, below, right = step.attributes.get("pads", (0, 0, 0, 0))
            return walk | {"pad_type": "custom", "pad": [above, below, left, right]}
        case other:
            raise unsupported(f"{step.kind} with margins of the kind {other.decode()}")


def mil_pool(kind: str) -> MilMade:
    """Return the translation of a pooling operator, ``kind`` in MIL's words."""

    def made(values: MilValues, network: Straight, step: GraphStep) -> Any:
        rare = step.attributes.get("ceil_mode", 0), set(step.attributes.get("dilations", (1, 1)))
        if rare != (0, {1}):
            raise unsupported(f"{step.kind} that rounds up or has gaps")
        outside = {}
        if kind == "avg_pool":
            outside["exclude_padding_from_average"] = not step.attributes.get("count_include_pad")
        return getattr(Builder, kind)(
            x=taken(values, network, step.inputs[0]),
            kernel_sizes=list(step.attributes["kernel_shape"]),
            **_walk(step),
            **outside,
        )

    return made


def pad(values: MilValues, network: Straight, step: GraphStep) -> Any:
    """Translate a Pad with a constant."""
    margins = network.constant(step, 1)
    if step.attributes.get("mode", b"constant") != b"constant" or margins is None:
        raise unsupported("a Pad of another kind than by a constant")
    if network.constant(step, 3) is not None:
        raise unsupported("a Pad of chosen axes")
    filler = network.constant(step, 2)
    return Builder.pad(
        x=taken(values, network, step.inputs[0]),
        pad=margins.reshape(2, -1).T.ravel().astype(np.int32),
        mode="constant",
        constant_val=0.0 if filler is None else float(filler.item()),
    )
