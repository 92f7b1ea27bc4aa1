"""A throw of dice → what one cat or dog looks like."""

from dataclasses import dataclass
from typing import Literal

from fursure.drawings.brush import BLACK, Colour, Dice, mix

Pet = Literal["cat", "dog"]
Pose = Literal["portrait", "sitting", "lying"]
Marking = Literal["none", "tabby", "mask", "blaze", "patch", "brows", "spots"]

ORANGE, GREY, CHARCOAL, CREAM = (222, 138, 62), (120, 122, 130), (46, 43, 48), (236, 226, 210)
BROWN, BLUE, SAND, GOLD = (150, 116, 82), (96, 104, 120), (196, 168, 128), (206, 154, 84)
CHOCOLATE, CHESTNUT, WHEAT = (122, 78, 46), (178, 120, 66), (226, 196, 148)
CAT_FURS = [ORANGE, GREY, CHARCOAL, CREAM, BROWN, BLUE, SAND]
DOG_FURS = [GOLD, CHOCOLATE, CHARCOAL, CREAM, CHESTNUT, GREY, WHEAT]
CAT_EYES = [(150, 190, 70), (228, 180, 50), (110, 178, 200), (190, 200, 90), (214, 140, 40)]
DOG_EYES = [(92, 56, 30), (70, 44, 28), (120, 76, 36), (120, 160, 190)]
COLLARS = [(200, 40, 50), (40, 110, 190), (40, 150, 90), (230, 170, 30), (150, 60, 160)]
CAT_MARKINGS: list[Marking] = ["none", "none", "tabby", "tabby", "mask", "blaze", "patch"]
DOG_MARKINGS: list[Marking] = ["none", "none", "patch", "blaze", "brows", "spots", "mask"]
POSES: list[Pose] = ["portrait", "portrait", "sitting", "lying"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One individual."""

    dogness: float  # of head and face: 0 is a cat's, 1 a dog's, and all between can be drawn
    ears: float  # their dogness; some dogs prick their ears, some cats fold them
    fur: Colour
    second: Colour  # of muzzle, chest and paws
    eye: Colour
    collar: Colour | None
    marking: Marking
    pose: Pose
    gaze: float  # where the eyes look: -1 left, 1 right
    happy: bool  # the eyes closed
    tongue: bool  # out


def look_of(kind: Pet, dice: Dice) -> Look:
    """Return an individual of ``kind``; about one in seven has much of the other kind."""
    is_dog = kind == "dog"
    foreign = dice.between(0.25, 0.55) if dice.chance(0.14) else dice.between(0, 0.12)
    dogness = abs(is_dog - foreign)
    odd_ears = dice.chance(0.14 if is_dog else 0.07)
    likely, less = (DOG_FURS, CAT_FURS) if is_dog else (CAT_FURS, DOG_FURS)
    fur = dice.near(dice.pick(likely if dice.chance(0.75) else less))
    pale = sum(fur) > 640
    return Look(
        dogness=dogness,
        ears=abs(dogness - dice.between(0.65, 0.95)) if odd_ears else dogness,
        fur=fur,
        second=mix(fur, BLACK, 0.55)
        if pale and dice.chance(0.6)
        else dice.near((244, 238, 228), 8),
        eye=dice.near(dice.pick(DOG_EYES if dogness >= 0.5 else CAT_EYES), 10),
        collar=dice.pick(COLLARS) if dice.chance(0.5 if is_dog else 0.2) else None,
        marking=dice.pick(DOG_MARKINGS if is_dog else CAT_MARKINGS),
        pose=dice.pick(POSES),
        gaze=dice.between(-1, 1),
        happy=dice.chance(0.07),
        tongue=dice.chance(0.65 if is_dog else 0.06),
    )
