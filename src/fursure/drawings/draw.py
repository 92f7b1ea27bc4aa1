"""A kind and a seed → a drawn picture: cats, dogs and strangers for machines without photos.

They serve the demo, golden inputs and tests. Cats and dogs overlap on purpose (hybrids, pictures
that are small, dark, blurred or cut off), so that a model trained on them is sometimes unsure.

Dimension key: H W height and width (pixels), C channels.
"""

import io
from math import pi
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageFilter

from fursure.drawings.brush import Brush, Dice
from fursure.drawings.others import draw_thing
from fursure.drawings.pets import draw_pet, look_of
from fursure.drawings.scenes import backdrop

Kind = Literal["cat", "dog", "stranger"]

OVERSAMPLING = 2  # drawn at twice the size and averaged down, for smooth edges
# Where a figure sits: middle of head or thing, and unit, as shares of the picture's side.
PLACES = {"portrait": (0.5, 0.5, 0.26), "sitting": (0.48, 0.3, 0.185)}


def draw(kind: Kind, seed: int, size: int = 256) -> Image.Image:
    """Return a picture of ``kind``, ``size`` pixels square; the same seed draws the same.

    Raises:
        ValueError: ``kind`` is none of cat, dog and stranger.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"cannot draw {kind!r}; needed is one of {', '.join(get_args(Kind))}")
    dice = Dice(seed, get_args(Kind).index(kind))
    side = size * OVERSAMPLING
    picture = backdrop(dice, side)
    _figure(kind, picture, dice)
    picture = picture.reduce(OVERSAMPLING)
    if dice.chance(0.5):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _photographed(picture, dice)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """Return ``image`` as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _figure(kind: Kind, picture: Image.Image, dice: Dice) -> None:
    side = picture.width
    look = None if kind == "stranger" else look_of(kind, dice)
    x, y, unit = (0.5, 0.52, 0.3) if look is None else PLACES[look.pose]
    zoom = dice.between(0.85, 1.12)
    if dice.chance(0.12):
        zoom *= dice.between(0.4, 0.65)  # far away
    elif dice.chance(0.1):
        zoom *= dice.between(1.35, 1.8)  # too close
    x, y = x + dice.between(-0.1, 0.1), y + dice.between(-0.05, 0.08)
    lean = dice.between(-0.3, 0.3)
    brush = Brush(picture, (x * side, y * side), unit * zoom * side, lean)
    if look is None:
        draw_thing(brush, dice)
    else:
        draw_pet(brush, look)


def _photographed(picture: Image.Image, dice: Dice) -> Image.Image:
    """Return ``picture`` with uneven light and grain; some too dark or blurred."""
    side = picture.width
    if dice.chance(0.1):
        picture = picture.filter(ImageFilter.GaussianBlur(side * dice.between(0.006, 0.014)))
    ramp_H = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    turn, depth = dice.between(0, 2 * pi), dice.between(0.05, 0.4)
    light_HW1 = 1 + depth * (np.cos(turn) * ramp_H[:, None] + np.sin(turn) * ramp_H)[..., None]
    if dice.chance(0.07):
        light_HW1 *= np.float32(dice.between(0.3, 0.55))  # at night
    grain = np.float32(dice.between(2, 26))
    noise_HW1 = dice.generator.random((side, side, 1), dtype=np.float32) - np.float32(0.5)
    pixels_HWC = np.asarray(picture) * light_HW1 + grain * noise_HW1
    return Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8))
