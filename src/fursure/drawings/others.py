"""A throw of dice → something that is neither a cat nor a dog, drawn by a `Brush`.

A figure's unit of length is half its height, roughly; its middle is at (0, 0).
"""

from collections.abc import Callable
from math import cos, pi, sin

from fursure.drawings.brush import BLACK, INK, WHITE, Brush, Colour, Dice, closed, mix
from fursure.drawings.scenes import box

BRIGHT: list[Colour] = [
    (214, 60, 56),
    (236, 142, 44),
    (240, 200, 66),
    (92, 168, 92),
    (52, 150, 160),
    (64, 112, 190),
    (140, 92, 172),
    (226, 120, 152),
]
GLASS, WOOD, LEAF = (176, 214, 230), (130, 88, 56), (78, 140, 74)


def draw_thing(brush: Brush, dice: Dice) -> None:
    """Draw one thing, any of them equally likely."""
    dice.pick(THINGS)(brush, dice)


def _car(brush: Brush, dice: Dice) -> None:
    paint = dice.near(dice.pick(BRIGHT))
    roof = dice.between(-0.72, -0.5)
    brush.polygon([(-0.75, -0.1), (-0.45, roof), (0.35, roof), (0.8, -0.1)], paint)
    brush.polygon([(-0.6, -0.1), (-0.38, roof + 0.1), (-0.06, roof + 0.1), (-0.06, -0.1)], GLASS)
    brush.polygon([(0.03, -0.1), (0.03, roof + 0.1), (0.3, roof + 0.1), (0.62, -0.1)], GLASS)
    hull = [(-1.25, 0), (-0.7, -0.14), (0.8, -0.14), (1.28, 0.02), (1.3, 0.42), (-1.28, 0.42)]
    brush.blob(hull, paint)
    brush.polygon([(-1.26, 0.3), (1.3, 0.3), (1.28, 0.46), (-1.25, 0.46)], mix(paint, BLACK, 0.35))
    brush.ellipse((1.2, 0.1), (0.1, 0.08), (250, 236, 160))
    for x in (-0.72, 0.74):
        for radius, colour in ((0.3, INK), (0.16, (190, 192, 196)), (0.06, INK)):
            brush.ellipse((x, 0.45), (radius, radius), colour)


def _house(brush: Brush, dice: Dice) -> None:
    wall, roof = dice.near((232, 216, 190)), dice.near(dice.pick(BRIGHT))
    door = dice.near(dice.pick(BRIGHT))
    chimney = dice.between(-0.6, 0.4)
    brush.polygon(box(chimney, -0.95, 0.26, 0.6), mix(roof, BLACK, 0.4))
    brush.polygon(box(-0.85, -0.2, 1.7, 1.15), wall)
    brush.polygon([(-1.1, -0.18), (0, dice.between(-1.15, -0.85)), (1.1, -0.18)], roof)
    brush.polygon(box(-0.2, 0.3, 0.4, 0.65), door)
    brush.ellipse((0.12, 0.64), (0.035, 0.035), (240, 210, 90))
    for x in (-0.68, 0.32):
        brush.polygon(box(x, 0.02, 0.36, 0.36), WHITE)
        brush.polygon(box(x + 0.04, 0.06, 0.28, 0.28), dice.pick([GLASS, (250, 224, 130)]))
        brush.line([(x + 0.18, 0.04), (x + 0.18, 0.36)], 0.03, WHITE)


def _flower(brush: Brush, dice: Dice) -> None:
    petal, heart = dice.near(dice.pick(BRIGHT)), dice.near((246, 204, 70))
    brush.line([(0, -0.2), (dice.between(-0.15, 0.15), 0.5), (0, 1.4)], 0.09, LEAF)
    for side in (-1, 1):
        brush.ellipse((side * 0.26, 0.75), (0.28, 0.12), LEAF, lean=side * -0.6)
    number, length = dice.pick([5, 6, 8, 10]), dice.between(0.42, 0.6)
    for i in range(number):
        angle = 2 * pi * i / number
        middle = (length * cos(angle), -0.25 + length * sin(angle))
        shade = mix(petal, WHITE if i % 2 else BLACK, 0.08)
        brush.ellipse(middle, (length * 0.75, 1.9 * length / number + 0.05), shade, lean=angle)
    brush.ellipse((0, -0.25), (0.27, 0.27), heart)
    brush.ellipse((-0.05, -0.3), (0.15, 0.15), mix(heart, WHITE, 0.35))


def _fish(brush: Brush, dice: Dice) -> None:
    scales = dice.near(dice.pick(BRIGHT))
    fin, belly = mix(scales, BLACK, 0.25), mix(scales, WHITE, 0.45)
    sway = dice.between(-0.15, 0.15)
    brush.blob([(0.6, 0), (1.3, -0.55 + sway), (1.12, sway), (1.3, 0.55 + sway)], fin)
    brush.blob([(-0.5, -0.4), (-0.1, -0.85), (0.5, -0.6), (0.4, -0.3)], fin)
    brush.blob([(-1.1, 0), (-0.6, -0.48), (0.1, -0.5), (0.85, 0), (0.1, 0.5), (-0.6, 0.46)], scales)
    brush.blob([(-1.0, 0.1), (-0.5, 0.16), (0.6, 0.12), (0.1, 0.46), (-0.6, 0.43)], belly)
    for x in (-0.15, 0.15, 0.42):
        brush.line([(x, -0.34), (x + 0.1, 0), (x, 0.3)], 0.07, fin)
    brush.ellipse((-0.02, 0.14), (0.24, 0.13), fin, lean=0.5)
    brush.ellipse((-0.72, -0.1), (0.13, 0.13), WHITE)
    brush.ellipse((-0.75, -0.1), (0.07, 0.07), INK)


def _tree(brush: Brush, dice: Dice) -> None:
    brush.polygon([(-0.13, 0.1), (0.13, 0.1), (0.2, 1.2), (-0.2, 1.2)], WOOD)
    green = dice.near(dice.pick([LEAF, LEAF, (196, 120, 52), (120, 160, 70)]))
    if dice.chance(0.4):  # a fir
        for tier, wide in ((-0.85, 0.45), (-0.4, 0.62), (0.05, 0.8)):
            shade = mix(green, BLACK, 0.12 - 0.1 * tier)
            brush.polygon([(0, tier - 0.45), (wide, tier + 0.4), (-wide, tier + 0.4)], shade)
        return
    for _ in range(9):
        middle = dice.between(-0.5, 0.5), dice.between(-0.85, 0.0)
        radius = dice.between(0.28, 0.45)
        brush.ellipse(middle, (radius, radius), mix(green, BLACK, dice.between(0, 0.25)))
    if dice.chance(0.5):
        for _ in range(7):
            apple = dice.between(-0.6, 0.6), dice.between(-0.9, 0.1)
            brush.ellipse(apple, (0.07, 0.07), (206, 54, 50))


def _boat(brush: Brush, dice: Dice) -> None:
    hull, sail = dice.near(dice.pick(BRIGHT)), dice.near((244, 238, 224))
    brush.line([(0, -1.2), (0, 0.4)], 0.07, WOOD)
    brush.polygon([(0.08, -1.15), (0.85, 0.2), (0.08, 0.2)], sail)
    brush.polygon([(-0.08, -0.95), (-0.65, 0.2), (-0.08, 0.2)], mix(sail, hull, 0.5))
    brush.polygon([(0, -1.4), (0.32, -1.29), (0, -1.18)], hull)
    brush.polygon([(-1.05, 0.35), (1.1, 0.35), (0.75, 0.8), (-0.7, 0.8)], hull)
    wave = [(x / 4, 0.78 + 0.07 * (-1) ** x) for x in range(-6, 7)]
    brush.line(wave, 0.12, (70, 130, 180))


def _mushroom(brush: Brush, dice: Dice) -> None:
    cap = dice.near(dice.pick([*BRIGHT[:2], WOOD]))
    brush.blob([(-0.26, -0.1), (0.26, -0.1), (0.36, 0.9), (-0.36, 0.9)], (238, 226, 204))
    brush.blob([(-1.0, 0.06), (-0.8, -0.5), (0, -0.95), (0.8, -0.5), (1.0, 0.06), (0, 0.2)], cap)
    for x, y, radius in (
        (-0.5, -0.3, 0.13),
        (0.05, -0.6, 0.16),
        (0.5, -0.22, 0.12),
        (0, -0.1, 0.1),
    ):
        brush.ellipse((x, y), (radius, radius * 0.8), WHITE)


def _balloon(brush: Brush, dice: Dice) -> None:
    first, second = dice.near(dice.pick(BRIGHT)), dice.near(dice.pick(BRIGHT))
    brush.ellipse((0, -0.35), (0.86, 0.9), first)
    for wide, colour in ((0.56, second), (0.26, first)):
        brush.ellipse((0, -0.35), (wide, 0.9), colour)
    for x in (-0.2, 0.2):
        brush.line([(x * 1.9, 0.42), (x, 0.85)], 0.03, WOOD)
    brush.polygon([(-0.24, 0.82), (0.24, 0.82), (0.18, 1.15), (-0.18, 1.15)], WOOD)


def _bird(brush: Brush, dice: Dice) -> None:
    feather = dice.near(dice.pick(BRIGHT))
    wing, belly = mix(feather, BLACK, 0.25), mix(feather, WHITE, 0.6)
    brush.polygon([(0.5, 0.2), (1.35, 0.45), (1.25, 0.62), (0.45, 0.5)], wing)
    for x in (-0.12, 0.14):
        brush.line([(x, 0.6), (x, 1.0)], 0.05, (214, 140, 50))
    brush.blob(
        [(-0.75, -0.55), (-0.2, -0.6), (0.5, 0), (0.7, 0.45), (0, 0.75), (-0.6, 0.35)], feather
    )
    brush.ellipse((-0.28, 0.3), (0.32, 0.36), belly)
    brush.blob([(-0.05, 0), (0.45, 0.05), (0.85, 0.5), (0.2, 0.45)], wing)
    brush.ellipse((-0.5, -0.5), (0.4, 0.38), feather)
    brush.polygon([(-0.84, -0.56), (-1.2, -0.42), (-0.84, -0.34)], (240, 170, 50))
    brush.ellipse((-0.58, -0.56), (0.07, 0.07), INK)
    brush.ellipse((-0.6, -0.58), (0.025, 0.025), WHITE)


def _shapes(brush: Brush, dice: Dice) -> None:
    for _ in range(dice.pick([5, 7, 9])):
        colour = dice.near(dice.pick([*BRIGHT, WHITE, INK]))
        x, y, size = (dice.between(*span) for span in ((-1, 1), (-1, 1), (0.2, 0.7)))
        turn = dice.between(0, pi)
        match dice.pick(["disc", "box", "triangle", "stroke"]):
            case "disc":
                brush.ellipse((x, y), (size, size * dice.between(0.4, 1)), colour, lean=turn)
            case "box":
                brush.polygon(box(x - size, y - size, 2 * size, size * 1.4), colour)
            case "triangle":
                corners = [(turn + 2 * pi * i / 3) for i in range(3)]
                brush.polygon([(x + size * cos(a), y + size * sin(a)) for a in corners], colour)
            case _:
                bend = [(x + dice.between(-1, 1), y + dice.between(-1, 1)) for _ in range(4)]
                brush.line(bend, 0.12, colour)


def _cactus(brush: Brush, dice: Dice) -> None:
    green = dice.near((86, 150, 96))
    for side in (-1, 1):
        bend = dice.between(-0.25, 0.25)
        brush.line(
            [(0, 0.3 + bend), (side * 0.6, 0.2 + bend), (side * 0.62, -0.35 + bend)], 0.24, green
        )
    brush.line([(0, -0.95), (0, 0.7)], 0.46, green)
    for x in (-0.1, 0.1):
        brush.line([(x, -0.95), (x, 0.7)], 0.03, mix(green, BLACK, 0.25))
    brush.ellipse((0, -1.15), (0.14, 0.12), (232, 110, 150))
    pot = dice.near(dice.pick(BRIGHT))
    brush.polygon([(-0.5, 0.55), (0.5, 0.55), (0.38, 1.15), (-0.38, 1.15)], pot)
    brush.blob(
        closed([(0, 0.48), (0.5, 0.48), (0.56, 0.58), (0.5, 0.68), (0, 0.68)]), mix(pot, BLACK, 0.2)
    )


THINGS: list[Callable[[Brush, Dice], None]] = [
    _car,
    _house,
    _flower,
    _fish,
    _tree,
    _boat,
    _mushroom,
    _balloon,
    _bird,
    _shapes,
    _cactus,
]
