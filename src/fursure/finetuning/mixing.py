"""A batch → which of its photos are blended with which others, and how.

It is drawn for the whole batch, so neither smaller parts nor several processes change it.

Dimension key: B photos of a batch, P photos of a part of it, K classes, C colours, H W height and
width (pixels).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mix:
    """How each photo of a batch is blended with another one of it."""

    other_B: NDArray[np.int64]  # the place in the batch of what is mixed into each photo
    weight: float  # of the photo itself
    window: tuple[slice, slice] | None = None  # rows and columns that are pasted; None: a blend

    def photos(self, x_PCHW: Tensor, other_PCHW: Tensor) -> Tensor:
        """Return photos mixed with the others that are theirs."""
        if self.window is None:
            return torch.lerp(other_PCHW, x_PCHW, self.weight)
        place = (..., *self.window)
        x_PCHW = x_PCHW.clone()
        x_PCHW[place] = other_PCHW[place]
        return x_PCHW

    def targets(self, targets_PK: Tensor, other_PK: Tensor) -> Tensor:
        """Return what the mixed photos show."""
        return torch.lerp(other_PK, targets_PK, self.weight)


def drawn_mix(
    photos: int, side: int, *, mixup: float, cutmix: float, generator: np.random.Generator
) -> Mix | None:
    """Return a blend by MixUp or CutMix, each the other time where both are asked for.

    ``mixup`` (Zhang et al., ICLR 2018) and ``cutmix`` (Yun et al., ICCV 2019) are the ``a`` of
    Beta(a, a), which draws the weight of the photo itself; 0 leaves that kind out, and with both
    left out there is None. Photos are squares of ``side`` pixels.
    """
    if not (mixup or cutmix):
        return None
    blend = bool(mixup) and not (cutmix and generator.random() < 0.5)
    a = mixup if blend else cutmix
    weight = float(generator.beta(a, a))
    other_B = generator.permutation(photos)
    if blend:
        return Mix(other_B, weight)
    window = _window(side, weight, generator)
    tall, wide = (edge.stop - edge.start for edge in window)
    return Mix(other_B, 1 - tall * wide / side**2, window)


def _window(side: int, weight: float, generator: np.random.Generator) -> tuple[slice, slice]:
    """Return a square place that leaves about ``weight`` of the photo its own."""
    edge = round(math.sqrt(1 - weight) * side)
    top = int(generator.integers(0, side - edge + 1))
    left = int(generator.integers(0, side - edge + 1))
    return slice(top, top + edge), slice(left, left + edge)
