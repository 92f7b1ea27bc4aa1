"""What transformers keeps beside a network → what timm would have written of it.

Its image processor makes (pixels · factor + offset - mean) / std of pixels in [0, 255]; ours makes
(pixels / 255 - mean) / std, so that any factor and offset go into the mean and the standard
deviation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fursure.errors import BadBackbone
from fursure.networks.configuration import json_object

_RESAMPLING = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # as Pillow numbers them
_WHOLE = 384  # pixels, from which ConvNeXt's processor crops nothing


def as_timm(path: Path) -> dict[str, Any]:
    """Return the pretrained_cfg that says what an image processor says.

    Raises:
        BadBackbone: it prepares a photo in a way we do not have.
    """
    processor = json_object(path)
    try:
        return _shape(processor) | _range(processor)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = f"it says no {error}" if isinstance(error, KeyError) else str(error)
        raise BadBackbone(
            f"{path} does not say how to prepare a photo in a way that fursure has: {reason}."
        ) from None


def licence_on(card: Path) -> dict[str, str]:
    """Return the licence in the metadata of a repository's README, under timm's name for it."""
    from huggingface_hub import metadata_load

    try:
        metadata = metadata_load(card) or {}
    except Exception:
        return {}
    stated = metadata.get("license_name") or metadata.get("license")
    return {"license": stated} if isinstance(stated, str) and stated.isprintable() else {}


def _shape(processor: Mapping[str, Any]) -> dict[str, Any]:
    for knob in ("do_flip_channel_order", "do_pad"):
        if processor.get(knob):
            raise ValueError(f"its {knob} is on")
    if not processor.get("do_resize", True):
        raise ValueError("it resizes no photo, its do_resize is off")
    size = processor["size"]
    crops = bool(processor.get("do_center_crop"))
    side = _side(processor["crop_size"] if crops else size)
    share = side / _side(size) if crops else processor.get("crop_pct") or 1.0
    kept = isinstance(size, dict) and "shortest_edge" in size and not (share < 1 and side >= _WHOLE)
    resample = processor.get("resample", 2)
    if resample not in _RESAMPLING:
        raise ValueError(f"its resample is {resample!r}; 1, 2 and 3 are known")
    return {
        "input_size": [3, side, side],
        "crop_mode": "center" if crops or kept else "squash",
        "crop_pct": share,
        "interpolation": _RESAMPLING[resample],
    }


def _range(processor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mean and the standard deviation of pixels in [0, 1]."""
    scaled, normalised = processor.get("do_rescale", True), processor.get("do_normalize", True)
    factor = float(processor.get("rescale_factor", 1 / 255)) if scaled else 1.0
    offset = -1.0 if scaled and processor.get("rescale_offset") else 0.0
    mean = processor["image_mean"] if normalised else [0.0] * 3
    std = processor["image_std"] if normalised else [1.0] * 3
    if not factor > 0:
        raise ValueError(f"its rescale_factor is {factor}")
    return {
        "mean": [_rounded((value - offset) / (255 * factor)) for value in mean],
        "std": [_rounded(value / (255 * factor)) for value in std],
    }


def _rounded(value: float) -> float:
    """Return a value without the noise of 1 / 255 as its authors wrote it, in ten digits."""
    return round(value, 6)


def _side(size: Any) -> int:
    """Return the pixels of a square, or of a shorter side, in each way transformers writes it."""
    if isinstance(size, int):
        return size
    if not isinstance(size, dict):
        raise TypeError(f"its size is {size!r}")
    side = size.get("shortest_edge") or size["height"]
    if side != size.get("width", side):
        raise ValueError(f"{size} is not square")
    return int(side)
