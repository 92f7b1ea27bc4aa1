"""A recipe's dataclasses → the range of every knob; and the flags of `fursure train`, in a table.

Recipe files, bundles and the command line check by these ranges, and a written recipe shows them
beside the values.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin

from fursure.ranges import Choice, Knob, Switch
from fursure.recipe import BACKBONE_KINDS, HEADS, FineTune, Recipe, Stage

PARTS = {"head", "tune", "stages"}  # fields whose values have knobs of their own


def knobs_of(cls: type) -> dict[str, Knob]:
    """Return every knob of ``cls``, and its range: of words and switches the type says it all.

    Raises:
        TypeError: a field says no range.
    """
    return {field.name: _range(field.type) for field in fields(cls) if field.name not in PARTS}


def _range(hint: Any) -> Knob:
    if get_origin(hint) is Annotated:
        knob: Knob = hint.__metadata__[0]
        return knob
    if hint is bool:
        return Switch()
    literals = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
    if not literals:
        raise TypeError(f"{hint} says no range; annotate it with one of fursure.ranges.")
    return Choice(tuple(word for part in literals for word in get_args(part)))


KNOBS: dict[type, dict[str, Knob]] = {
    cls: knobs_of(cls) for cls in (Recipe, *HEADS.values(), FineTune, Stage)
}


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of `fursure train`, called as the knob is that it sets."""

    key: str
    about: str
    of: tuple[type, ...] = (Recipe,)  # whose knob; of stages, the last one's is set
    metavar: str | None = None

    @property
    def name(self) -> str:
        """The flag as it is typed."""
        return f"--{self.key.replace('_', '-')}"


FLAGS: tuple[Flag, ...] = (  # in the order in which the help lists them
    Flag(
        "backbone",
        f"{'; '.join(BACKBONE_KINDS.values())}. Several, each with its own --backbone, give their "
        "features together.",
    ),
    Flag("features_output", "The tensor to take as features from an .onnx file.", metavar="TENSOR"),
    Flag("head", "What is trained on the features."),
    Flag(
        "class_weight",
        "balanced: every class weighs the same, however few its photos.",
        of=(*HEADS.values(), FineTune),
    ),
    Flag("seed", "Of splits and training."),
    Flag("photos", "Training photos to use at most, evenly by class."),
    Flag("validation", "Share of the photos for choosing and certifying."),
    Flag("test", "Share of the photos for the figures."),
    Flag(
        "known_lost",
        "Share of known photos that may be called strangers; more finds more strangers.",
    ),
    Flag("image_size", "Pixels, side of the network's input."),
    Flag("resize", "How a photo becomes square."),
    Flag(
        "precision",
        "Of the backbone's weights. fp16 stores a converted one in half the space; int8 computes "
        "in whole numbers, faster and a little less exactly, and needs a frozen one.",
    ),
    Flag("flips", "Answer with the mean of a photo and its mirror image, in twice the time."),
    Flag("augment", "How training photos vary from pass to pass.", of=(FineTune,)),
    Flag("minutes", "At most for training the network itself.", of=(FineTune,)),
    Flag("epochs", "Passes over the training photos, of the last stage.", of=(Stage,)),
    Flag("rate", "Highest learning rate, of the last stage.", of=(Stage,)),
)
