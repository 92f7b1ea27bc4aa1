"""A batch of photos and targets → the same batch, photos blended with others of it.

Dimension key: B photos of a batch, K classes, C colours, H W height and width (pixels).
"""

import math

import numpy as np
import torch
from torch import Tensor


def mixed(
    x_BCHW: Tensor,
    targets_BK: Tensor,
    *,
    mixup: float,
    cutmix: float,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Return the batch blended by MixUp or CutMix, each the other time where both are asked for.

    ``mixup`` (Zhang et al., ICLR 2018) and ``cutmix`` (Yun et al., ICCV 2019) are the ``a`` of
    Beta(a, a), which draws the weight of the photo itself; 0 leaves that kind out.
    """
    if not (mixup or cutmix):
        return x_BCHW, targets_BK
    blend = bool(mixup) and not (cutmix and generator.random() < 0.5)
    a = mixup if blend else cutmix
    weight = float(generator.beta(a, a))
    other = torch.from_numpy(generator.permutation(len(x_BCHW))).to(x_BCHW.device)
    if blend:
        x_BCHW = torch.lerp(x_BCHW[other], x_BCHW, weight)
    else:
        x_BCHW, weight = _pasted(x_BCHW, x_BCHW[other], weight, generator)
    return x_BCHW, torch.lerp(targets_BK[other], targets_BK, weight)


def _pasted(
    x_BCHW: Tensor, other_BCHW: Tensor, weight: float, generator: np.random.Generator
) -> tuple[Tensor, float]:
    """Return the photos with a rectangle of the others, and the share that is still their own."""
    height, width = x_BCHW.shape[2:]
    side = math.sqrt(1 - weight)
    tall, wide = round(side * height), round(side * width)
    top = int(generator.integers(0, height - tall + 1))
    left = int(generator.integers(0, width - wide + 1))
    x_BCHW = x_BCHW.clone()
    window = (..., slice(top, top + tall), slice(left, left + wide))
    x_BCHW[window] = other_BCHW[window]
    return x_BCHW, 1 - tall * wide / (height * width)
