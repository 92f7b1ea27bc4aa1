"""A throw of dice → a picture of nothing: plain colours, gradients, noise, textures.

Dimension key: H W height and width (pixels), C colour (RGB), P points.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.drawings.brush import Dice

SIDE = 320  # pixels
PLAIN = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255))


def plain(dice: Dice) -> Image.Image:
    """Return one colour."""
    colour = dice.pick(PLAIN) if dice.chance(0.2) else tuple(_colour(dice).astype(int).tolist())
    return Image.new("RGB", (SIDE, SIDE), colour)


def gradient(dice: Dice) -> Image.Image:
    """Return one colour that turns into another, in a straight line or from a middle."""
    y_HW, x_HW = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    turn = dice.between(0, 2 * np.pi)
    share_HW = (np.cos(turn) * (x_HW - 0.5) + np.sin(turn) * (y_HW - 0.5)) / 1.42 + 0.5
    if dice.chance(0.4):
        share_HW = np.hypot(x_HW - dice.between(0.2, 0.8), y_HW - dice.between(0.2, 0.8))
    return _mixed(np.clip(share_HW, 0, 1), dice)


def noise(dice: Dice) -> Image.Image:
    """Return independent grains, grey or coloured, of one to sixteen pixels."""
    grain = dice.pick((1, 1, 2, 4, 8, 16))
    cells, channels = -(-SIDE // grain), dice.pick((1, 3))
    draw = dice.generator
    match dice.pick(("uniform", "normal", "salt and pepper")):
        case "uniform":
            small_HWC: NDArray[np.floating] = draw.random((cells, cells, channels))
        case "normal":
            spread = dice.between(0.05, 0.3)
            small_HWC = dice.between(0.2, 0.8) + spread * draw.standard_normal(
                (cells, cells, channels)
            )
        case _:
            small_HWC = (draw.random((cells, cells, channels)) < dice.between(0.05, 0.95)) * 1.0
    whole_HWC = small_HWC.repeat(grain, axis=0).repeat(grain, axis=1)[:SIDE, :SIDE]
    return _image(255 * np.broadcast_to(whole_HWC, (SIDE, SIDE, 3)))


def clouds(dice: Dice) -> Image.Image:
    """Return noise whose amplitude falls with the frequency, as it does in photos."""
    steepness = dice.between(0.8, 2.2)
    if dice.chance(0.5):
        return _mixed(_clouds(dice, steepness), dice)
    return _image(255 * np.stack([_clouds(dice, steepness) for _ in range(3)], axis=-1))


def checkers(dice: Dice) -> Image.Image:
    """Return a chessboard, stripes or dots, at any angle."""
    y_HW, x_HW = np.mgrid[0:SIDE, 0:SIDE] / dice.between(6, 60)
    turn = dice.between(0, np.pi) if dice.chance(0.6) else 0.0
    u_HW = np.cos(turn) * x_HW - np.sin(turn) * y_HW
    v_HW = np.sin(turn) * x_HW + np.cos(turn) * y_HW
    match dice.pick(("chessboard", "stripes", "waves", "dots")):
        case "chessboard":
            share_HW = (np.floor(u_HW) + np.floor(v_HW)) % 2
        case "stripes":
            share_HW = np.floor(u_HW) % 2
        case "waves":
            share_HW = 0.5 + 0.5 * np.sin(2 * np.pi * (u_HW + 0.3 * np.sin(v_HW)))
        case _:
            share_HW = (np.hypot(u_HW % 1 - 0.5, v_HW % 1 - 0.5) < 0.35) * 1.0
    return _mixed(share_HW, dice)


def cells(dice: Dice) -> Image.Image:
    """Return Voronoi cells, each in a colour of its own, some with dark edges."""
    count = int(dice.between(8, 60))
    places_P2 = (dice.generator.random((count, 2)) * SIDE).astype(np.float32)
    y_HW, x_HW = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    first_HW = second_HW = np.full((SIDE, SIDE), np.inf, np.float32)
    nearest_HW = np.zeros((SIDE, SIDE), np.int64)
    for number, (y, x) in enumerate(places_P2):
        distance_HW = np.hypot(y_HW - y, x_HW - x)
        nearest_HW[distance_HW < first_HW] = number
        second_HW = np.minimum(second_HW, np.maximum(first_HW, distance_HW))
        first_HW = np.minimum(first_HW, distance_HW)
    colours_PC = _colour(dice) + dice.between(10, 120) * dice.generator.standard_normal((count, 3))
    pixels_HWC = colours_PC[nearest_HW]
    if dice.chance(0.5):
        pixels_HWC = pixels_HWC * (second_HW - first_HW > 3)[..., None]
    return _image(pixels_HWC)


def _clouds(dice: Dice, steepness: float) -> NDArray[np.float64]:
    frequency_HW = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency_HW[0, 0] = 1
    white_HW = np.fft.rfft2(dice.generator.standard_normal((SIDE, SIDE)))
    cloud_HW = np.fft.irfft2(white_HW / frequency_HW**steepness, s=(SIDE, SIDE))
    cloud_HW = cloud_HW - cloud_HW.min()
    return np.asarray(cloud_HW / cloud_HW.max())


def _colour(dice: Dice) -> NDArray[np.float64]:
    return np.asarray(255 * dice.generator.random(3))


def _mixed(share_HW: NDArray[np.floating], dice: Dice) -> Image.Image:
    """Return one colour where the share is 0, another where it is 1."""
    one_C, other_C = _colour(dice), _colour(dice)
    return _image(one_C + share_HW[..., None] * (other_C - one_C))


def _image(pixels_HWC: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8))
