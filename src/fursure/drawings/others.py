"""A throw of dice → something that is neither a cat nor a dog, drawn by a `Brush`.

A figure's unit of length is half its height, roughly; its middle is at (0, 0).
"""

from fursure.drawings.brush import BLACK, INK, WHITE, Brush, Colour, Dice, mix

BRIGHT: list[Colour] = [
    (214, 60, 56), (236, 142, 44), (240, 200, 66), (92, 168, 92), (52, 150, 160), (64, 112, 190),
    (140, 92, 172), (226, 120, 152),
]  # fmt: skip
CAR = """
    poly paint -.75,-.1 -.45,-.62 .35,-.62 .8,-.1
    poly glass -.6,-.1 -.38,-.52 -.06,-.52 -.06,-.1
    poly glass .03,-.1 .03,-.52 .3,-.52 .62,-.1
    blob paint -1.25,0 -.7,-.14 .8,-.14 1.28,.02 1.3,.42 -1.28,.42
    poly dark -1.26,.3 1.3,.3 1.28,.46 -1.25,.46
    disc+ ink .73,.45 .3,.3
    disc+ white .73,.45 .15,.15
"""
HOUSE = """
    poly dark .3,-.95 .56,-.95 .56,-.3 .3,-.3
    poly second -.85,-.2 .85,-.2 .85,.95 -.85,.95
    poly paint -1.1,-.18 0,-1 1.1,-.18
    poly dark -.2,.3 .2,.3 .2,.95 -.2,.95
    poly+ white .32,.02 .68,.02 .68,.38 .32,.38
    poly+ glass .36,.06 .64,.06 .64,.34 .36,.34
"""
FLOWER = """
    line:.09 leaf 0,-.2 .1,.5 0,1.4
    blob+ leaf 0,.9 .3,.5 .6,.5 .3,.85
    disc+ paint .48,-.1 .33,.26
    disc+ light .3,-.66 .3,.3
    disc+ dark .3,.22 .3,.3
    disc second 0,-.22 .27,.27
"""
FISH = """
    blob dark .6,0 1.3,-.55 1.12,0 1.3,.55
    blob dark -.5,-.4 -.1,-.85 .5,-.6 .4,-.3
    blob paint -1.1,0 -.6,-.48 .1,-.5 .85,0 .1,.5 -.6,.46
    blob light -1,.1 -.5,.16 .6,.12 .1,.46 -.6,.43
    line:.07 dark -.15,-.34 -.05,0 -.15,.3
    line:.07 dark .2,-.34 .3,0 .2,.3
    disc white -.72,-.1 .13,.13
    disc ink -.75,-.1 .07,.07
"""
BIRD = """
    poly dark .5,.2 1.35,.45 1.25,.62 .45,.5
    line:.05+ second .13,.6 .13,1
    blob paint -.75,-.55 -.2,-.6 .5,0 .7,.45 0,.75 -.6,.35
    disc light -.28,.3 .32,.36
    blob dark -.05,0 .45,.05 .85,.5 .2,.45
    disc paint -.5,-.5 .4,.38
    poly second -.84,-.56 -1.2,-.42 -.84,-.34
    disc ink -.58,-.56 .07,.07
"""


def draw_thing(brush: Brush, dice: Dice) -> None:
    """Draw one thing, any of them equally likely, in one of many colours."""
    paint, second = dice.near(dice.pick(BRIGHT)), dice.near(dice.pick(BRIGHT))
    colours = {
        "paint": paint, "dark": mix(paint, BLACK, 0.3), "light": mix(paint, WHITE, 0.5),
        "second": second, "white": WHITE, "ink": INK, "glass": (176, 214, 230),
        "leaf": (78, 140, 74),
    }  # fmt: skip
    brush.figure(dice.pick([CAR, HOUSE, FLOWER, FISH, BIRD]), colours)
