"""A throw of dice → what one cat or dog looks like → its picture.

A figure's unit of length is the radius of its head; the head's middle is at (0, 0). Each part has
a cat's outline and a dog's, and ``dogness`` says where between them it lies.
"""

from dataclasses import dataclass
from typing import Literal

from fursure.drawings.brush import BLACK, INK, WHITE, Brush, Colour, Dice, mix

Pet = Literal["cat", "dog"]
Pose = Literal["portrait", "sitting"]

CAT_FURS = [(222, 138, 62), (120, 122, 130), (46, 43, 48), (236, 226, 210), (196, 168, 128)]
DOG_FURS = [(206, 154, 84), (122, 78, 46), (46, 43, 48), (236, 226, 210), (178, 120, 66)]
CAT_EYES, DOG_EYES = [(150, 190, 70), (228, 180, 50), (110, 178, 200)], [(92, 56, 30), (70, 44, 28)]
PINK, TONGUE = (232, 150, 150), (236, 110, 124)

BODIES: dict[Pose, str] = {
    "portrait": "half shade 0,.3 .8,.75 1.5,1.6 1.9,3.2 0,3.6",
    "sitting": """
        line:.34 shade .9,2.9 1.7,2.75 1.9,2 1.6,1.5 | .9,2.9 1.7,2.75 1.9,1.8 2.1,1.5
        half shade 0,.3 .62,.7 .9,1.8 1.25,2.7 .9,3.15 0,3.2
        blob+ fur .1,1.3 .62,1.3 .63,3.1 .09,3.1
        disc+ second .36,3.1 .34,.2
    """,
}
CHEST = "half second 0,.6 .4,.8 .42,1.3 0,1.75"
EARS = """
    blob+ ear .16,-.66 .46,-1.06 .8,-1.42 .8,-1.42 .95,-.92 .98,-.16 .52,-.3\
 | .3,-.78 .62,-.98 1.02,-.7 1.26,-.04 1.12,.58 .84,.36 .66,-.3
    blob+ inner .37,-.74 .55,-.97 .74,-1.18 .83,-.89 .85,-.45 | .5,-.6 .7,-.7 .9,-.5 1,-.1 .7,-.3
"""
_HEAD = """
    half shade 0,-.8 .46,-.76 .86,-.36 1.02,.18 .8,.58 .4,.8 0,.86\
 | 0,-.9 .46,-.84 .76,-.44 .78,.06 .64,.52 .42,.9 0,1.02
    half fur 0,-.79 .44,-.75 .81,-.37 .96,.15 .75,.52 .37,.73 0,.78\
 | 0,-.89 .43,-.83 .71,-.45 .73,.03 .59,.47 .38,.83 0,.94
"""
MARKINGS = {
    "none": "",
    "tabby": """
        line:.09 dark 0,-.74 0,-.34
        line:.09+ dark .42,-.72 .3,-.34
        line:.09+ dark .93,.12 .66,.16
        line:.09+ dark .86,.38 .62,.36
    """,
    "patch": "disc dark .38,-.18 .34,.4",
    "blaze": "half second 0,-.84 .1,-.7 .1,-.2 .3,.3 0,.5",
}
TONGUE_OUT = "blob tongue .15,.44 .19,.6 0,.7 -.19,.6 -.15,.44 | .15,.6 .2,1 0,1.2 -.2,1 -.15,.6"
FACE = """
    disc+ muzzle .19,.36 .25,.21 | .22,.41 .33,.33
    disc muzzle 0,.22 .12,.12 | 0,.24 .32,.34
    line:.04 ink 0,.2 0,.36 | 0,.2 0,.54
    line:.04+ ink 0,.36 .12,.46 .25,.39 | 0,.54 .2,.64 .39,.57
    blob nose -.11,.12 0,.11 .11,.12 .05,.25 0,.28 -.05,.25\
 | -.23,.03 0,.01 .23,.03 .12,.27 0,.33 -.12,.27
    disc+ ink .42,-.06 .25,.235 | .34,-.14 .19,.205
    disc+ eye .42,-.06 .215,.2 | .34,-.14 .155,.17
    disc+ black .42,-.06 .055,.17 | .34,-.14 .12,.11
    disc+ white .38,-.14 .05,.05 | .3,-.22 .05,.05
"""
WHISKERS = """
    line:.02+ hair .3,.31 .85,.14 1.35,.09
    line:.02+ hair .3,.37 .85,.32 1.35,.39
    line:.02+ hair .3,.42 .85,.5 1.35,.7
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One individual."""

    dogness: float  # of head and face: 0 is a cat's, 1 a dog's, and all between can be drawn
    ears: float  # their dogness; some dogs prick their ears, some cats fold them
    fur: Colour
    second: Colour  # of muzzle, chest and paws
    eye: Colour
    marking: str  # of `MARKINGS`
    pose: Pose
    tongue: bool  # out


def look_of(kind: Pet, dice: Dice) -> Look:
    """Return an individual of ``kind``; about one in seven has much of the other kind."""
    is_dog = kind == "dog"
    foreign = dice.between(0.25, 0.55) if dice.chance(0.14) else dice.between(0, 0.12)
    dogness = abs(is_dog - foreign)
    odd_ears = dice.chance(0.14 if is_dog else 0.07)
    likely, less = (DOG_FURS, CAT_FURS) if is_dog else (CAT_FURS, DOG_FURS)
    fur = dice.near(dice.pick(likely if dice.chance(0.6) else less))
    dark_face = sum(fur) > 640 and dice.chance(0.6)
    return Look(
        dogness=dogness,
        ears=abs(dogness - dice.between(0.65, 0.95)) if odd_ears else dogness,
        fur=fur,
        second=mix(fur, BLACK, 0.55) if dark_face else dice.near((244, 238, 228), 8),
        eye=dice.near(dice.pick(DOG_EYES if dogness >= 0.5 else CAT_EYES), 10),
        marking=dice.pick(["none", "patch", "blaze", "none" if is_dog else "tabby"]),
        pose=dice.pick(["portrait", "sitting"]),
        tongue=dice.chance(0.65 if is_dog else 0.06),
    )


def draw_pet(brush: Brush, look: Look) -> None:
    """Draw the whole animal, back to front."""
    ear = mix(look.fur, BLACK, 0.18 + 0.22 * look.ears)
    colours = {
        "fur": look.fur, "shade": mix(look.fur, BLACK, 0.22), "dark": mix(look.fur, BLACK, 0.45),
        "second": look.second, "muzzle": mix(look.second, look.fur, 0.25), "eye": look.eye,
        "ear": ear, "inner": mix(PINK, ear, min(1.0, look.ears * 1.3)), "tongue": TONGUE,
        "nose": mix(PINK, BLACK, 0.95 * look.dogness), "ink": INK, "black": BLACK, "white": WHITE,
        "hair": WHITE if sum(look.fur) < 520 else mix(look.fur, INK, 0.55),
    }  # fmt: skip
    brush.figure(BODIES[look.pose], colours, look.dogness)
    brush.figure(CHEST, colours)
    brush.figure(EARS, colours, look.ears)
    tongue, whiskers = look.tongue * TONGUE_OUT, (look.dogness < 0.6) * WHISKERS
    for parts in (_HEAD, MARKINGS[look.marking], tongue, FACE, whiskers):
        brush.figure(parts, colours, look.dogness)
