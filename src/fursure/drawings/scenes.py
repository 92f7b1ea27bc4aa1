"""A throw of dice → what lies behind a drawn figure, and what stands in front of it.

Coordinates run from (-1, -1), top left, to (1, 1).
"""

import numpy as np
from PIL import Image

from fursure.drawings.brush import BLACK, WHITE, Brush, Colour, Dice, Points, mix

WALLS: list[Colour] = [
    (196, 214, 224),
    (226, 206, 186),
    (186, 206, 178),
    (222, 196, 204),
    (202, 194, 222),
    (232, 222, 190),
    (120, 140, 160),
    (158, 120, 110),
]
GRASS, BOARDS, STONE, _SAND, MOSS = (
    (126, 164, 96),
    (172, 134, 98),
    (150, 152, 158),
    (206, 184, 150),
    (96, 120, 104),
)
GROUNDS: list[Colour] = [GRASS, BOARDS, STONE, _SAND, MOSS]
SKY, CARD, POST = (170, 208, 232), (190, 150, 104), (150, 120, 92)


def backdrop(dice: Dice, side: int) -> Image.Image:
    """Return a background: a gradient, often a pattern on it, often a floor."""
    wall, other = dice.near(dice.pick(WALLS)), dice.near(dice.pick(WALLS))
    corners_HWC = np.array([[wall, mix(wall, WHITE, 0.25)], [mix(wall, other, 0.6), other]])
    picture = Image.fromarray(corners_HWC.astype(np.uint8)).resize(
        (side, side), Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5)
    )
    brush = brush_over(picture)
    faint = mix(wall, dice.pick([WHITE, BLACK, *WALLS]), dice.between(0.1, 0.35))
    match dice.pick(["plain", "plain", "dots", "stripes", "bokeh", "window", "hills"]):
        case "dots":
            _dots(brush, dice, faint)
        case "stripes":
            _stripes(brush, dice, faint)
        case "bokeh":
            _bokeh(brush, dice, other)
        case "window":
            _window(brush, dice)
        case "hills":
            _hills(brush, dice, wall)
    if dice.chance(0.65):
        _floor(brush, dice)
    return picture


def foreground(picture: Image.Image, dice: Dice) -> None:
    """Draw something that hides a part of the figure."""
    brush = brush_over(picture)
    match dice.pick(["grass", "leaves", "box", "posts"]):
        case "grass":
            for _ in range(26):
                x, tall = dice.between(-1.05, 1.05), dice.between(0.25, 0.6)
                tip = x + dice.between(-0.15, 0.15), 1.05 - tall
                brush.polygon([(x - 0.04, 1.05), tip, (x + 0.04, 1.05)], dice.near(GRASS, 30))
        case "leaves":
            for _ in range(3):
                middle = dice.between(-1, -0.4), dice.between(-1, 0.6)
                brush.ellipse(middle, (0.42, 0.15), dice.near(MOSS), lean=dice.between(-1, 1))
        case "box":
            top, card = dice.between(0.3, 0.55), dice.near(CARD)
            brush.polygon([(-0.95, top), (0.95, top), (0.88, 1.05), (-0.88, 1.05)], card)
            brush.polygon(box(-0.95, top, 1.9, 0.07), mix(card, BLACK, 0.2))
        case "posts":
            for x in (dice.between(-0.9, -0.5), dice.between(0.4, 0.8)):
                brush.polygon(box(x, -1, 0.16, 2), dice.near(POST))


def brush_over(picture: Image.Image) -> Brush:
    """Return a brush whose coordinates span the whole picture."""
    half = picture.width / 2
    return Brush(picture, (half, half), half)


def box(x: float, y: float, width: float, height: float) -> Points:
    """Return the corners of a rectangle."""
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def _dots(brush: Brush, dice: Dice, colour: Colour) -> None:
    step, radius = dice.between(0.22, 0.4), dice.between(0.03, 0.08)
    count = int(2 / step) + 2
    for row in range(count):
        for column in range(count):
            middle = (column + row % 2 / 2) * step - 1, row * step - 1
            brush.ellipse(middle, (radius, radius), colour)


def _stripes(brush: Brush, dice: Dice, colour: Colour) -> None:
    slant, step = dice.between(-0.6, 0.6), dice.between(0.2, 0.45)
    for i in range(-3, int(2 / step) + 4):
        left, right = i * step - 1, (i + 0.45) * step - 1
        brush.polygon([(left, -1), (right, -1), (right + slant, 1), (left + slant, 1)], colour)


def _bokeh(brush: Brush, dice: Dice, colour: Colour) -> None:
    for _ in range(14):
        radius = dice.between(0.06, 0.3)
        light = mix(colour, WHITE, dice.between(0.05, 0.4))
        brush.ellipse((dice.between(-1, 1), dice.between(-1, 1)), (radius, radius), light)


def _window(brush: Brush, dice: Dice) -> None:
    x = dice.between(-0.9, 0.1)
    brush.polygon(box(x, -0.9, 0.9, 1.1), WHITE)
    for pane in (x + 0.05, x + 0.48):
        brush.polygon(box(pane, -0.85, 0.37, 1.0), dice.near(SKY))


def _hills(brush: Brush, dice: Dice, haze: Colour) -> None:
    for y in (0.75, 1.05):
        green = mix(dice.pick(GROUNDS), haze, 1.15 - y)
        brush.ellipse((dice.between(-0.8, 0.8), y), (dice.between(0.9, 1.5), 0.9), green)


def _floor(brush: Brush, dice: Dice) -> None:
    ground, level = dice.near(dice.pick(GROUNDS)), dice.between(0.3, 0.65)
    tilt = dice.between(-0.08, 0.08)
    brush.polygon([(-1, level - tilt), (1, level + tilt), (1, 1), (-1, 1)], ground)
    if dice.chance(0.3):  # a rug
        brush.ellipse((0, 0.85), (0.8, 0.14), mix(ground, dice.pick(WALLS), 0.6))
