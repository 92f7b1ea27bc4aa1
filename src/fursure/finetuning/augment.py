"""Squares of photos (uint8) → network inputs, each photo changed in its own random way.

Every change of place (crop, zoom, shift, turn, shear, mirror) is one affine map, so a photo is
resampled once, a batch at a time, on whatever device it lies. What is drawn for a photo depends
on (seed, pass, photo) alone: neither the batch nor the order nor an interruption changes it.

Dimension key: N photos, H W height and width (pixels), C colours (RGB), P numbers drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune

DRAWS = 16  # P: numbers drawn for each photo, more than a preset uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How far each change may go."""

    area: tuple[float, float] | None = None  # share of the square that a random crop keeps
    ratio: float = 1.0  # of that crop's sides, at most (Szegedy et al., CVPR 2015)
    zoom: float = 0.0  # share by which the central crop grows or shrinks, at most
    shift: float = 0.0  # share of the side, at most
    turn: float = 0.0  # degrees, at most
    shear: float = 0.0  # degrees, at most
    mirror: bool = False
    colour: float = 0.0  # share by which brightness, contrast and saturation change, at most
    erase: float = 0.0  # chance that a rectangle is greyed (Zhong et al., AAAI 2020)


PRESETS = {
    "none": Preset(),
    "classic": Preset(zoom=0.2, shift=0.1, turn=20, shear=10, mirror=True),
    "strong": Preset(area=(0.4, 1.0), ratio=4 / 3, turn=10, mirror=True, colour=0.3),
}


@dataclass(frozen=True, slots=True)
class Augment:
    """A preset for one kind of network input."""

    preset: Preset
    preprocess: Preprocess
    seed: int

    @classmethod
    def of(cls, settings: FineTune, preprocess: Preprocess, seed: int) -> "Augment":
        """Return what a training changes in photos that ``preprocess`` prepares for answers."""
        size = settings.train_size or preprocess.size
        return cls(PRESETS[settings.augment], replace(preprocess, size=size), seed)

    def __call__(self, squares_NHWC: Tensor, rows: Sequence[int], number: int) -> Tensor:
        """Return the inputs (N, 3, size, size), normalised, of photos in their pass ``number``.

        ``squares_NHWC`` are uint8, on the device to work on; ``rows`` name the photos.
        """
        drawn_NP = np.stack([self._drawn(row, number) for row in rows])
        device, size = squares_NHWC.device, self.preprocess.size
        x_NCHW = squares_NHWC.permute(0, 3, 1, 2).float().div_(255)
        to_N23 = sent(self._places(drawn_NP), device)
        grid_NHW2 = functional.affine_grid(to_N23, [len(rows), 3, size, size], align_corners=False)
        x_NCHW = functional.grid_sample(
            x_NCHW, grid_NHW2, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        if self.preset.colour:
            x_NCHW = _recoloured(x_NCHW, 1 + self.preset.colour * _signed(drawn_NP[:, 9:12]))
        x_NCHW = normalised(x_NCHW, self.preprocess)
        if self.preset.erase:
            _erase(x_NCHW, drawn_NP[:, 12:16], self.preset.erase)
        return x_NCHW

    def _drawn(self, row: int, number: int) -> NDArray[np.float64]:
        """Return the numbers (P,) in [0, 1) of one photo in one pass."""
        key = np.array([self.seed % 2**32 * 2**32 + number, row], np.uint64)
        return np.random.Generator(np.random.Philox(key=key)).random(DRAWS)

    def _places(self, drawn_NP: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the maps (N, 2, 3) from places in the input to places in the square."""
        width_N, height_N, x_N, y_N = self._windows(drawn_NP)
        angle_N, tilt_N = (
            np.deg2rad(most) * _signed(drawn_NP[:, column])
            for column, most in ((4, self.preset.turn), (5, self.preset.shear))
        )
        side_N = np.where(drawn_NP[:, 6] < 0.5, -1.0, 1.0) if self.preset.mirror else 1.0
        cos_N, sin_N = np.cos(angle_N), np.sin(angle_N)
        places = [
            [width_N * cos_N * side_N, -height_N * np.sin(angle_N + tilt_N), x_N],
            [width_N * sin_N * side_N, height_N * np.cos(angle_N + tilt_N), y_N],
        ]
        shape = np.broadcast_shapes(*(np.shape(value) for row in places for value in row))
        return np.stack(
            [np.stack([np.broadcast_to(v, shape) for v in row], axis=-1) for row in places], axis=-2
        ).astype(np.float32)

    def _windows(self, drawn_NP: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return half-widths, half-heights and centres (N,) in [-1, 1]: the part that is shown."""
        preset = self.preset
        if preset.area:
            low, high = preset.area
            area_N = low + (high - low) * drawn_NP[:, 0]
            ratio_N = preset.ratio ** _signed(drawn_NP[:, 1])
            width_N = np.minimum(np.sqrt(area_N * ratio_N), 1)
            height_N = np.minimum(np.sqrt(area_N / ratio_N), 1)
            x_N = _signed(drawn_NP[:, 2]) * (1 - width_N)  # anywhere inside the square
            y_N = _signed(drawn_NP[:, 3]) * (1 - height_N)
            return width_N, height_N, x_N, y_N
        crop = _shown(self.preprocess)
        width_N = crop * (1 + preset.zoom * _signed(drawn_NP[:, 0]))
        x_N, y_N = (2 * preset.shift * _signed(drawn_NP[:, column]) for column in (2, 3))
        return width_N, width_N, x_N, y_N


def square_side(preprocess: Preprocess) -> int:
    """Return the side, in pixels, of the squares that inputs are cut from."""
    return round(preprocess.size / _shown(preprocess))


def _shown(preprocess: Preprocess) -> float:
    """Return the share of a square's side that the network sees without augmentation."""
    return preprocess.crop if preprocess.mode == "crop" else 1.0


def normalised(x_NCHW: Tensor, preprocess: Preprocess) -> Tensor:
    """Return colours in [0, 1] as the network takes them, laid out as convolutions like them."""
    mean, std = (
        sent(np.array(values, np.float32), x_NCHW.device).view(1, 3, 1, 1)
        for values in (preprocess.mean, preprocess.std)
    )
    return ((x_NCHW - mean) / std).contiguous(memory_format=torch.channels_last)


def sent(numbers: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor on a device; a GPU takes it without ending what it does."""
    return torch.from_numpy(numbers).to(device, non_blocking=True)


def _signed(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * drawn - 1


def _recoloured(x_NCHW: Tensor, factors_N3: NDArray[np.float64]) -> Tensor:
    """Return photos with other brightness, contrast and saturation."""
    factors = sent(factors_N3.astype(np.float32), x_NCHW.device)
    bright, contrast, saturation = (factors[:, k].view(-1, 1, 1, 1) for k in range(3))
    x_NCHW = x_NCHW * bright
    x_NCHW = torch.lerp(x_NCHW.mean((1, 2, 3), keepdim=True), x_NCHW, contrast)
    x_NCHW = torch.lerp(x_NCHW.mean(1, keepdim=True), x_NCHW, saturation)
    return x_NCHW.clamp_(0, 1)


def _erase(x_NCHW: Tensor, drawn_N4: NDArray[np.float64], chance: float) -> None:
    """Set a rectangle of some photos to the mean colour, in place."""
    height, width = x_NCHW.shape[2:]
    for row, (draw, area, left, top) in enumerate(drawn_N4):
        if draw < chance:
            side = np.sqrt(0.02 + 0.3 * area)  # 2 to 32 % of the photo
            tall, wide = int(side * height), int(side * width)
            y, x = int(top * (height - tall)), int(left * (width - wide))
            x_NCHW[row, :, y : y + tall, x : x + wide] = 0
