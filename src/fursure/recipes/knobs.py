"""The range of every knob, in one table, and its flag, in another.

Recipe files, bundles and the command line take the ranges from here, and a written recipe shows
them beside the values. `fursure train` builds its flags from `FLAGS`.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin

from fursure.recipe import FineTune, LogisticRegression, Mlp, Recipe, Stage


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def holds(self, value: int) -> bool:
        """Return whether ``value`` lies in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Number:
    """A number from ``low`` to ``high``; where an end is open, it is itself left out."""

    low: float
    high: float
    open: Literal["", "low", "high"] = ""

    def __str__(self) -> str:
        low = f"above {self.low:.9g}, up" if self.open == "low" else f"from {self.low:.9g}"
        high = f", below {self.high:.9g}" if self.open == "high" else f" to {self.high:.9g}"
        return f"a number {low}{high}"

    def holds(self, value: float) -> bool:
        """Return whether ``value`` lies in the range; NaN lies nowhere."""
        above = value > self.low if self.open == "low" else value >= self.low
        below = value < self.high if self.open == "high" else value <= self.high
        return above and below


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        *words, last = [f'"{word}"' for word in self.words]
        return f"{', '.join(words)} or {last}"

    def holds(self, value: str) -> bool:
        """Return whether ``value`` is one of them."""
        return value in self.words


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class Text:
    """Words of any kind; several lines where ``lines`` says so."""

    shortest: int
    longest: int
    lines: bool = False

    def __str__(self) -> str:
        return f"text of {self.shortest} to {self.longest} characters"

    def holds(self, value: str) -> bool:
        """Return whether ``value`` is short enough and cannot move the cursor."""
        shown = value.replace("\n", "") if self.lines else value
        return self.shortest <= len(value) <= self.longest and shown.isprintable()


@dataclass(frozen=True, slots=True)
class Several:
    """A list; ``alone``: one value may also stand without its brackets."""

    each: Whole | Number | Text
    longest: int
    alone: bool = False

    def __str__(self) -> str:
        if self.alone:
            return f"{self.each}, or a list of 1 to {self.longest} such"
        return f"a list of 1 to {self.longest}, each {self.each}"


Knob = Whole | Number | Choice | Switch | Text | Several
PARTS = {"head", "tune", "stages"}  # fields whose values have knobs of their own


def _knobs(cls: type, **ranges: Knob) -> dict[str, Knob]:
    """Return every knob of ``cls``: of words and switches the annotation says it all."""
    return {
        field.name: ranges.get(field.name) or _annotated(field.type)
        for field in fields(cls)
        if field.name not in PARTS
    }


def _annotated(hint: Any) -> Knob:
    if hint is bool:
        return Switch()
    literals = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
    return Choice(tuple(word for part in literals for word in get_args(part)))


SHARE = Number(0, 1, open="high")
DECAY = Number(0, 1, open="low")
RATE = Number(0, 10, open="low")
COUNT = Whole(1, 10_000)
MIXING = Number(0, 10)

KNOBS: dict[type, dict[str, Knob]] = {
    Recipe: _knobs(
        Recipe,
        name=Text(1, 100),
        backbone=Several(Text(1, 1_000), 8, alone=True),
        features_output=Text(1, 1_000),
        image_size=Whole(32, 1_024),
        photos=Whole(2, 10**9),
        validation=Number(0.01, 0.5),
        test=Number(0.01, 0.5),
        known_lost=Number(0, 0.5),
        cross_validate_below=Whole(0, 10**6),
        folds=Whole(2, 100),
        seed=Whole(0, 2**32 - 1),  # what every generator takes
        note=Text(0, 2_000, lines=True),
    ),
    LogisticRegression: _knobs(
        LogisticRegression,
        strengths=Several(Number(0, 1e6, open="low"), 100),
    ),
    Mlp: _knobs(
        Mlp,
        hidden=Several(Whole(1, 65_536), 8),
        dropout=SHARE,
        l2=Number(0, 1e3),
        epochs=COUNT,
        patience=COUNT,
        rate=RATE,
        decay=DECAY,
        batch=COUNT,
    ),
    FineTune: _knobs(
        FineTune,
        train_size=Whole(32, 1_024),
        runs=Whole(1, 20),
        beside=Text(1, 1_000),
        mix=Number(0, 1, open="low"),
        batch=COUNT,
        layer_decay=DECAY,
        weight_decay=Number(0, 1),
        warmup=SHARE,
        label_smoothing=SHARE,
        mixup=MIXING,
        cutmix=MIXING,
        dropout=SHARE,
        ema=SHARE,
        patience=COUNT,
        minutes=Number(0, 100_000, open="low"),
    ),
    Stage: _knobs(Stage, epochs=COUNT, rate=RATE),
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
        "lite0, lite1, lite2, timm:NAME, hub:ORG/REPO, or a path: .fursure, .onnx, or a folder of "
        "weights. Several, each with its own --backbone, give their features together.",
    ),
    Flag("features_output", "The tensor to take as features from an .onnx file.", metavar="TENSOR"),
    Flag("head", "What is trained on the features."),
    Flag(
        "class_weight",
        "balanced: every class weighs the same, however few its photos.",
        of=(LogisticRegression, Mlp, FineTune),
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
    Flag("precision", "Storage of a converted backbone's weights."),
    Flag("flips", "Answer with the mean of a photo and its mirror image, in twice the time."),
    Flag("augment", "How training photos vary from pass to pass.", of=(FineTune,)),
    Flag("minutes", "At most for training the network itself.", of=(FineTune,)),
    Flag("epochs", "Passes over the training photos, of the last stage.", of=(Stage,)),
    Flag("rate", "Highest learning rate, of the last stage.", of=(Stage,)),
)
