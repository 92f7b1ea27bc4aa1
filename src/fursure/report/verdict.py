"""Figures → sentences a person can act on: how often it is right, and whether to believe that.

A sentence is judged by the end of the interval that would disappoint: good is what is good there
too, and too few photos to tell is an answer.
"""

from dataclasses import dataclass
from typing import Literal

from fursure.bundle.meta import Meta
from fursure.errors import counted
from fursure.metrics.catalogue import TELLING
from fursure.metrics.classification import Evaluation
from fursure.metrics.intervals import Estimate

_FEW, _MANY = 100, 1000  # photos: an interval of several points, and one of about one
UNEVEN = 0.005  # a calibration error from which on it is worth a word
CHANCE = 0.5  # of its errors that a coin would make too: above it, the model knows little


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for trusting the model, or against it."""

    level: Literal["good", "fair", "poor"]
    text: str


def headline(evaluation: Evaluation, photos: str) -> str:
    """Return the result in a sentence; ``photos`` says which, as in "photos it had not seen"."""
    accuracy = evaluation.accuracy
    few = "" if evaluation.n >= _FEW else " That is too few photos to say much."
    measured = _counted(evaluation.n, photos) + "," * ("," in photos)  # a clause is closed
    return (
        f"On {measured} it named the right class {accuracy.value:.1%} of the time. "
        f"On more photos like these, expect between {accuracy.low:.1%} and {accuracy.high:.1%}."
        f"{few}"
    )


def _counted(number: int, photos: str) -> str:
    """Return "1 photo it had not seen" or "9 photos it had not seen"."""
    return counted(number, photos.replace("photos", "photo", 1), photos)


def reasons(
    evaluation: Evaluation,
    meta: Meta,
    *,
    basis: str,
    answered: Estimate,
    answered_wrong: Estimate | None,
    strangers: Estimate,
) -> list[Reason]:
    """Return what to weigh before the model is trusted, the weightiest first."""
    return [
        _skill(evaluation),
        _size(evaluation, basis),
        _calibration(evaluation),
        _promise(meta, answered, answered_wrong),
        _familiarity(meta, strangers),
        _weakest(evaluation),
    ]


def _skill(evaluation: Evaluation) -> Reason:
    counts = [scores.support for scores in evaluation.classes]
    blind = max(counts) / sum(counts)  # always naming the most frequent class
    accuracy, left = evaluation.accuracy, 1 - blind
    if accuracy.low <= blind:
        return Reason(
            "poor",
            f"Always answering “{evaluation.labels[counts.index(max(counts))]}” would be right "
            f"{blind:.1%} of the time; it is not shown to do better.",
        )
    share, most = (1 - accuracy.value) / left, (1 - accuracy.low) / left
    level: Literal["good", "fair"] = "good" if most < CHANCE / 2 else "fair"
    return Reason(
        level,
        f"It is wrong {share:.0%} as often as always guessing the largest class would be; on more "
        f"photos, up to {most:.0%}.",
    )


def _size(evaluation: Evaluation, basis: str) -> Reason:
    n = evaluation.n
    width = 100 * (evaluation.accuracy.high - evaluation.accuracy.low)
    level: Literal["good", "fair", "poor"]
    level = "good" if n >= _MANY else "fair" if n >= _FEW else "poor"
    ending = "" if n >= _MANY else " More photos would narrow it."
    return Reason(
        level, f"Measured on {_counted(n, basis)}: known to within {width:.1f} points.{ending}"
    )


def _calibration(evaluation: Evaluation) -> Reason:
    error, n = evaluation.calibration_error, evaluation.n
    if error.low > UNEVEN:
        return Reason(
            "fair" if error.low < TELLING else "poor",
            f"Its confidence is off by {error.value:.1%} on average ({error:.1%}): these photos "
            "differ from those it was calibrated on.",
        )
    if error.high > TELLING:
        return Reason(
            "fair",
            f"{counted(n, 'photo is', 'photos are')} too few to tell whether its "
            f"confidence means what it says: it may be off by up to {error.high:.1%} on average "
            f"(calibration error {error:.1%}).",
        )
    return Reason(
        "good",
        f"Its confidence means what it says, to within {error.high:.1%} on average, as measured on "
        f"{counted(n, 'photo')} (calibration error {error:.1%}).",
    )


def _promise(meta: Meta, answered: Estimate, wrong: Estimate | None) -> Reason:
    risk = meta.max_error
    certified = meta.risks.threshold_for(risk) is not None
    if wrong is None:
        return Reason("poor", "It answered no photo at all: every one was unsure or a stranger.")
    said = (
        f"It answered {answered.value:.1%} of the photos; {wrong.value:.2%} of those answers were "
        f"wrong, on more photos between {wrong.low:.2%} and {wrong.high:.2%}."
    )
    if not certified:
        return Reason("fair", f"{said} No risk could be promised: too few validation photos.")
    if wrong.low > risk:
        return Reason("poor", f"{said} It had promised {risk:.1%} at most: not kept on these.")
    if wrong.high > risk:
        return Reason(
            "fair",
            f"{said} It had promised {risk:.1%} at most: too few answers to tell if that holds.",
        )
    return Reason("good", f"{said} It had promised {risk:.1%} at most, and that holds.")


def _familiarity(meta: Meta, strangers: Estimate) -> Reason:
    expected = float(meta.recipe.get("known_lost", 0.01))
    said = f"It called {strangers.value:.1%} of these photos strangers"
    if strangers.low > 2 * expected:
        return Reason(
            "poor",
            f"{said}, where it is set to give up {expected:.1%} of familiar ones: these photos are "
            "unlike those it was trained on.",
        )
    if strangers.high > max(TELLING, 2 * expected):
        return Reason(
            "fair",
            f"{said}, on more perhaps up to {strangers.high:.1%}: too few photos to tell whether "
            f"those are the {expected:.1%} of familiar ones that it is set to give up.",
        )
    return Reason("good", f"{said}; it is set to give up {expected:.1%} of familiar ones.")


def _weakest(evaluation: Evaluation) -> Reason:
    scored = [scores for scores in evaluation.classes if scores.recall]
    worst = min(scored, key=lambda scores: scores.recall.value if scores.recall else 1.0)
    recall = worst.recall
    assert recall is not None  # noqa: S101 - only scored classes are compared
    said = f"Weakest on “{worst.label}”: {recall:.1%} of its photos recognised"
    if recall.low > evaluation.accuracy.value - TELLING:
        return Reason("good", f"{said}.")
    if recall.high >= evaluation.accuracy.value:
        return Reason("fair", f"{said}: too few to tell whether it is weaker there.")
    return Reason("fair", f"{said}.")
