"""What a cat or dog looks like → its picture, drawn by a `Brush`.

A figure's unit of length is the radius of its head; the head's middle is at (0, 0). Each feature
has a shape for the cat and one for the dog, and ``dogness`` says where between them it lies.
"""

from fursure.drawings.appearance import Look
from fursure.drawings.brush import (
    BLACK,
    INK,
    WHITE,
    Brush,
    Colour,
    blend,
    closed,
    mirrored,
    mix,
    outline,
)

PINK, TONGUE, BRASS, TAN = (232, 150, 150), (236, 110, 124), (238, 200, 80), (196, 132, 70)
SIDES = (-1, 1)

# Right halves, top to bottom.
CAT_HEAD = outline("0,-.80 .46,-.76 .86,-.36 1.02,.18 .80,.58 .40,.80 0,.86")
DOG_HEAD = outline("0,-.90 .46,-.84 .76,-.44 .78,.06 .64,.52 .42,.90 0,1.02")
# From the inner base over the tip to the outer base; a point given twice makes a corner.
CAT_EAR = outline(".16,-.66 .46,-1.06 .80,-1.42 .80,-1.42 .95,-.92 .98,-.16 .52,-.30")
DOG_EAR = outline(".30,-.78 .62,-.98 1.02,-.70 1.26,-.04 1.12,.58 .84,.36 .66,-.30")
LYING = outline("-.9,.9 .2,.3 1.7,.2 2.6,.9 2.5,1.75 -.9,1.8")
SITTING = closed(outline("0,.3 .62,.7 .9,1.8 1.25,2.7 .9,3.15 0,3.2"))
SHOULDERS = closed(outline("0,.3 .8,.75 1.5,1.6 1.9,3.2 0,3.6"))
CHEST = closed(outline("0,.6 .4,.8 .42,1.3 0,1.75"))
COLLAR = closed(outline("0,.98 .5,.86 .72,.92 .5,1.16 0,1.26"))
MASK = closed(outline("0,-.36 .5,-.22 .62,.2 .36,.7 0,.8"))
BLAZE = closed(outline("0,-.84 .1,-.7 .1,-.2 .3,.3 0,.5"))
STRIPES = [
    outline(stripe)
    for stripe in (
        "-.42,-.72 -.3,-.34",
        "0,-.74 0,-.34",
        ".42,-.72 .3,-.34",
        "-.93,.12 -.66,.16",
        "-.86,.38 -.62,.36",
        ".93,.12 .66,.16",
        ".86,.38 .62,.36",
    )
]
SPOTS = outline("-.5,-.4 .15,-.62 .55,.1 -.6,.2")


def draw_pet(brush: Brush, look: Look) -> None:
    """Draw the whole animal, back to front."""
    shade = mix(look.fur, BLACK, 0.22)
    _draw_body(brush, look, shade)
    pricked = look.ears < 0.55
    if pricked:
        _draw_ears(brush, look)
    head = closed(blend(CAT_HEAD, DOG_HEAD, look.dogness))
    brush.blob(head, shade)
    brush.blob([(x * 0.955 - 0.02, y * 0.95 - 0.035) for x, y in head], look.fur)
    _draw_marking(brush, look)
    if not pricked:
        _draw_ears(brush, look)
    _draw_muzzle(brush, look)
    _draw_nose(brush, look)
    if look.dogness < 0.6:
        _draw_whiskers(brush, look)
    _draw_eyes(brush, look)


def _draw_body(brush: Brush, look: Look, shade: Colour) -> None:
    dog = look.dogness
    match look.pose:
        case "lying":
            brush.line([(1.6, 1.5), (2.7, 1.4), (3.0, 0.9 - 0.4 * dog)], 0.34, shade)
            brush.blob(LYING, shade)
            brush.ellipse((1.75, 1.35), (0.62, 0.5), look.fur)
            for x in (-0.55, 0.35):
                leg = [(x - 0.3, 0.9), (x + 0.3, 0.9), (x + 0.34, 1.8), (x - 0.34, 1.8)]
                brush.blob(leg, look.fur)
        case "sitting":
            tail = [(0.9, 2.9), (1.7, 2.75), (1.9, 2.0 - 0.2 * dog), (1.6 + 0.5 * dog, 1.5)]
            brush.line(tail, 0.36 - 0.08 * dog, shade)
            brush.blob(SITTING, shade)
            for x in (-0.36, 0.36):
                leg = [(x - 0.26, 1.3), (x + 0.26, 1.3), (x + 0.27, 3.1), (x - 0.27, 3.1)]
                brush.blob(leg, look.fur)
                brush.ellipse((x, 3.1), (0.34, 0.2), look.second)
        case "portrait":
            brush.blob(SHOULDERS, shade)
    brush.blob(CHEST, look.second)
    if look.collar is not None and look.pose != "lying":
        brush.blob(COLLAR, look.collar)
        brush.ellipse((0, 1.3), (0.14, 0.14), BRASS)


def _draw_ears(brush: Brush, look: Look) -> None:
    ear = blend(CAT_EAR, DOG_EAR, look.ears)
    outside = mix(look.fur, BLACK, 0.6 if look.marking == "mask" else 0.18 + 0.22 * look.ears)
    inside = mix(mix(PINK, look.fur, 0.25), outside, min(1.0, look.ears * 1.3))
    x0, y0 = (sum(axis) / len(ear) for axis in zip(*ear, strict=True))
    inner = [(x0 + (x - x0) * 0.58, y0 + (y - y0) * 0.58) for x, y in ear]
    for side in (ear, mirrored(ear)):
        brush.blob(side, outside)
    for side in (inner, mirrored(inner)):
        brush.blob(side, inside)


def _draw_marking(brush: Brush, look: Look) -> None:
    dark = mix(look.fur, BLACK, 0.45)
    match look.marking:
        case "tabby":
            for stripe in STRIPES:
                brush.line(stripe, 0.09, dark)
        case "mask":
            brush.blob(MASK, dark)
        case "blaze":
            brush.blob(BLAZE, look.second)
        case "patch":
            brush.ellipse((0.38, -0.18), (0.34, 0.4), dark, lean=0.3)
        case "brows":
            for side in SIDES:
                brush.ellipse((side * 0.32, -0.46), (0.13, 0.09), TAN, lean=side * 0.4)
        case "spots":
            for spot in SPOTS:
                brush.ellipse(spot, (0.12, 0.1), dark)


def _draw_muzzle(brush: Brush, look: Look) -> None:
    dog = look.dogness
    puff = (
        mix(look.fur, BLACK, 0.42) if look.marking == "mask" else mix(look.second, look.fur, 0.25)
    )
    line = INK if sum(puff) > 240 else mix(puff, WHITE, 0.35)
    y = 0.36 + 0.18 * dog  # of the mouth
    if look.tongue:
        out = y + 0.24 + 0.26 * dog
        tip = [(0.15, y + 0.08), (0.19, out), (0, out + 0.1 + 0.08 * dog), (-0.19, out)]
        brush.blob([*tip, (-0.15, y + 0.08)], TONGUE)
        brush.line([(0, y + 0.1), (0, out - 0.06 * dog)], 0.03, mix(TONGUE, INK, 0.35))
    for side in SIDES:
        cheek = side * (0.19 + 0.03 * dog), 0.36 + 0.05 * dog
        brush.ellipse(cheek, (0.25 + 0.08 * dog, 0.21 + 0.12 * dog), puff)
    brush.ellipse((0, 0.22 + 0.02 * dog), (0.12 + 0.2 * dog, 0.12 + 0.22 * dog), puff)
    brush.line([(0, 0.2), (0, y)], 0.035, line)
    for side in SIDES:
        low, corner = side * (0.12 + 0.08 * dog), side * (0.25 + 0.14 * dog)
        brush.line([(0, y), (low, y + 0.1), (corner, y + 0.03)], 0.035 + 0.01 * dog, line)


def _draw_nose(brush: Brush, look: Look) -> None:
    dog = look.dogness
    y, wide, tall = 0.2 - 0.02 * dog, 0.11 + 0.12 * dog, 0.075 + 0.075 * dog
    skin = PINK if sum(look.fur) > 200 else mix(PINK, BLACK, 0.45)
    nose = mix(skin, BLACK, 0.95 * min(1.0, dog * 1.3))
    upper = [(-wide, y - tall), (0, y - tall * 1.15), (wide, y - tall)]
    lower = [(wide * 0.5, y + tall * 0.6), (0, y + tall), (-wide * 0.5, y + tall * 0.6)]
    brush.blob([*upper, *lower], nose)
    brush.ellipse(
        (-wide * 0.35, y - tall * 0.6), (wide * 0.25, tall * 0.22), mix(nose, WHITE, 0.55)
    )


def _draw_whiskers(brush: Brush, look: Look) -> None:
    hair = WHITE if sum(look.fur) < 520 else mix(look.fur, INK, 0.55)
    for side in SIDES:
        for rise in (-0.16, 0.02, 0.2):
            middle, end = (side * 0.85, 0.3 + rise), (side * 1.35, 0.36 + rise * 1.7)
            whisker = [(side * 0.3, 0.36 + rise * 0.3), middle, end]
            brush.line(whisker, 0.022 * (1 - look.dogness), hair)


def _draw_eyes(brush: Brush, look: Look) -> None:
    dog, dark_fur = look.dogness, sum(look.fur) < 240
    y, rx, ry = -0.06 - 0.08 * dog, 0.215 - 0.06 * dog, 0.2 - 0.03 * dog
    rim = mix(look.fur, BLACK, 0.7) if dark_fur else INK
    lid = mix(look.fur, WHITE, 0.5) if dark_fur else INK
    for side in SIDES:
        x = side * (0.42 - 0.08 * dog)
        if look.happy:
            brush.line([(x - rx, y + 0.04), (x, y - 0.1), (x + rx, y + 0.04)], 0.06, lid)
            continue
        lean = side * -0.28 * (1 - dog)
        brush.ellipse((x, y), (rx + 0.035, ry + 0.035), rim, lean)
        brush.ellipse((x, y), (rx, ry), look.eye, lean)
        pupil = x + look.gaze * 0.05
        brush.ellipse((pupil, y), (0.055 + 0.065 * dog, ry * (0.86 - 0.2 * dog)), BLACK)
        brush.ellipse((pupil - 0.06, y - 0.08), (0.05, 0.05), WHITE)
