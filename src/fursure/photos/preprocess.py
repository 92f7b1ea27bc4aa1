"""Upright RGB photo → network input.

The one preprocessing of training, evaluation, export, service and browser. It ends at uint8: the
normalisation is the first layer of the network's graph, so that another runtime has only to
resize. ``mean`` and ``std`` are kept here because whoever builds that graph needs them.

Dimension key: H W height and width (pixels), C channels (red, green, blue).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import ceil, isfinite
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Mode = Literal["crop", "squash", "pad"]
Interpolation = Literal["bilinear", "bicubic", "lanczos"]
RGB = tuple[float, float, float]

RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
COMMON_SIDE = 256  # pixels; what networks up to 224 px need, so that they share one decoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How one photo becomes one network input; stored in the bundle beside the weights."""

    size: int = 224  # pixels, side of the square input
    mode: Mode = "crop"  # the centre; or all of the photo, squashed or padded to a square
    crop: float = 0.875  # share of the shorter side that the centre crop keeps
    interpolation: Interpolation = "bicubic"
    mean: RGB = (0.485, 0.456, 0.406)  # ImageNet, RGB in [0, 1]
    std: RGB = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        """Refuse impossible values.

        Raises:
            ValueError: the sentence names the knob, its value and its range.
        """
        _require("size", self.size, _is_int(self.size) and 1 <= self.size <= 4096, "1 to 4096 px")
        _require("mode", self.mode, self.mode in get_args(Mode), "crop, squash or pad")
        crop_fits = _is_number(self.crop) and 0 < self.crop <= 1
        _require("crop", self.crop, crop_fits, "a share above 0 and up to 1")
        known = self.interpolation in get_args(Interpolation)
        _require("interpolation", self.interpolation, known, "bilinear, bicubic or lanczos")
        mean_fits = _is_rgb(self.mean) and all(0 <= value <= 1 for value in self.mean)
        _require("mean", self.mean, mean_fits, "three numbers from 0 to 1")
        std_fits = _is_rgb(self.std) and all(value > 0 for value in self.std)
        _require("std", self.std, std_fits, "three numbers above 0")

    @property
    def min_side(self) -> int:
        """Return the shorter side, in pixels, that decoding has to keep.

        It is never below what the common networks need: they then share one decoding, and with
        it fingerprints and cached pixels.
        """
        kept = ceil(self.size / self.crop) if self.mode == "crop" else self.size
        return max(COMMON_SIDE, kept)

    def __call__(self, photo: Image.Image) -> NDArray[np.uint8]:
        """Return the pixels (size, size, 3) of an upright RGB ``photo``, as `decode` gives it."""
        square = (self.size, self.size)
        match self.mode:
            case "crop":
                pixels = self._resized(photo, square, _centre(photo.size, self.crop))
            case "squash":
                pixels = self._resized(photo, square, (0, 0, *photo.size))
            case "pad":
                pixels = self._padded(photo)
        return np.asarray(pixels)

    def _resized(
        self, photo: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
    ) -> Image.Image:
        return photo.resize(size, RESAMPLING[self.interpolation], box)

    def _padded(self, photo: Image.Image) -> Image.Image:
        share = self.size / max(photo.size)
        width, height = (max(1, round(side * share)) for side in photo.size)
        red, green, blue = (round(255 * value) for value in self.mean)  # 0 once normalised
        canvas = Image.new("RGB", (self.size, self.size), (red, green, blue))
        whole = self._resized(photo, (width, height), (0, 0, *photo.size))
        canvas.paste(whole, ((self.size - width) // 2, (self.size - height) // 2))
        return canvas

    def to_json(self) -> dict[str, Any]:
        """Return the knobs as plain values that JSON can hold."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, obj: object) -> "Preprocess":
        """Return the value that `to_json` wrote.

        Raises:
            ValueError: a key is missing or unknown, or a value is out of range.
        """
        if not isinstance(obj, Mapping):
            raise ValueError(f"preprocess is {obj!r}; needed is an object with its knobs")
        needed = {field.name for field in fields(cls)}
        if missing := needed - set(obj):
            raise ValueError(f"preprocess lacks {', '.join(sorted(missing))}")
        if unknown := set(obj) - needed:
            raise ValueError(
                f"preprocess has unknown knobs: {', '.join(sorted(map(str, unknown)))}"
            )
        knobs: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in obj.items()
        }
        return cls(**knobs)


def _centre(size: tuple[int, int], crop: float) -> tuple[float, float, float, float]:
    width, height = size
    side = crop * min(size)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _require(knob: str, value: object, fits: bool, needed: str) -> None:
    if not fits:
        raise ValueError(f"preprocess {knob} is {value!r}; needed is {needed}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_int(value) or (isinstance(value, float) and isfinite(value))


def _is_rgb(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(map(_is_number, value))
