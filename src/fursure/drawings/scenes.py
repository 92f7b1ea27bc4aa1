"""A throw of dice → what lies behind a drawn figure.

Coordinates run from (-1, -1), top left, to (1, 1).
"""

import numpy as np
from PIL import Image

from fursure.drawings.brush import BLACK, WHITE, Brush, Colour, Dice, mix

WALLS: list[Colour] = [
    (196, 214, 224), (226, 206, 186), (186, 206, 178), (222, 196, 204), (202, 194, 222),
    (232, 222, 190), (120, 140, 160), (158, 120, 110),
]  # fmt: skip
GROUNDS: list[Colour] = [(126, 164, 96), (172, 134, 98), (150, 152, 158), (206, 184, 150)]


def backdrop(dice: Dice, side: int) -> Image.Image:
    """Return a background: a gradient, often a pattern on it, often a floor."""
    wall, other = dice.near(dice.pick(WALLS)), dice.near(dice.pick(WALLS))
    corners_HWC = np.array([[wall, mix(wall, WHITE, 0.25)], [mix(wall, other, 0.6), other]])
    picture = Image.fromarray(corners_HWC.astype(np.uint8)).resize(
        (side, side), Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5)
    )
    brush = Brush(picture, (side / 2, side / 2), side / 2)
    _pattern(brush, dice, mix(wall, dice.pick([WHITE, BLACK, *WALLS]), dice.between(0.1, 0.35)))
    if dice.chance(0.65):
        level, tilt = dice.between(0.3, 0.65), dice.between(-0.08, 0.08)
        floor = [(-1, level - tilt), (1, level + tilt), (1, 1), (-1, 1)]
        brush.polygon(floor, dice.near(dice.pick(GROUNDS)))
    return picture


def _pattern(brush: Brush, dice: Dice, colour: Colour) -> None:
    match dice.pick(["none", "stripes", "lights"]):
        case "stripes":
            slant, step = dice.between(-0.6, 0.6), dice.between(0.2, 0.45)
            for left in np.arange(-1.6, 1.6, step).tolist():
                brush.line([(left, -1), (left + slant, 1)], step / 2, colour)
        case "lights":
            for _ in range(14):
                radius, middle = dice.between(0.06, 0.3), (dice.between(-1, 1), dice.between(-1, 1))
                brush.ellipse(middle, (radius, radius), mix(colour, WHITE, dice.between(0, 0.4)))
