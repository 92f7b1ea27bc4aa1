"""What the judges say of each photo → labels worth a look, and photos of no class.

Dimension key: N photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.check.findings import Finding
from fursure.check.label_noise import Noise
from fursure.check.suspects import FARTHER, STRANGER_DISTANCE, TENTH, Judged
from fursure.metrics.intervals import Estimate
from fursure.rows.photo import Photo

_WORTH = 0.05  # chance of a wrong label from which on a look is worth its while: one in twenty
LEANING = 1.0  # log odds for another label; with less, a chance is but the share wrong anywhere
PROBABLE = 0.5  # chance above which a label is called probably wrong
_SHOWN = 5  # neighbours named and shown with a suspect


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What was found, and how many of the doubted labels are expected to be wrong."""

    findings: tuple[Finding, ...]
    wrong: Estimate  # of the labels listed, n of them

    def sentence(self) -> str:
        """Return in words how much the list of labels is worth."""
        listed, wrong = self.wrong.n or 0, self.wrong
        if listed == 0:
            return f"No label is worth a look: none has a chance of {_WORTH:.0%} to be wrong."
        if listed == 1:
            return f"1 label is worth a look: wrong with a chance of {_chance(wrong.value)}."
        many = round(wrong.value)
        about = f"about {many:,} of them" if many else "less than one of them"
        expected = f"{'are' if many > 1 else 'is'} expected to be wrong"
        span = f"[{wrong.low:,.0f}, {wrong.high:,.0f}]"
        return f"{listed:,} labels are worth a look; {about} {expected} {span}."


def doubts(
    photos: Sequence[Photo],
    labels: Sequence[str],
    judged: Judged,
    asked_N: NDArray[np.bool_],
    *,
    seed: int = 0,
) -> Doubts:
    """Return what to look at among the photos that are asked about, each for one reason only.

    A photo that resembles no other may belong to no class, whatever label the judges prefer.
    """
    chance_N = judged.noise.chances()
    doubted_N = asked_N & worth_a_look(judged.noise)
    strange_N = asked_N & (judged.strangeness_N > np.where(doubted_N, FARTHER, STRANGER_DISTANCE))
    listed_N = doubted_N & ~strange_N
    findings = (
        *_wrong(photos, labels, judged, chance_N, listed_N),
        *_strange(photos, labels, judged, strange_N),
    )
    return Doubts(findings=findings, wrong=judged.noise.count(listed_N, seed=seed))


def worth_a_look(noise: Noise) -> NDArray[np.bool_]:
    """Return which labels (N) the judges lean against, and are wrong with some chance."""
    return (noise.chances() >= _WORTH) & (noise.odds_N < -LEANING)


def _wrong(
    photos: Sequence[Photo],
    labels: Sequence[str],
    judged: Judged,
    chance_N: NDArray[np.float64],
    listed_N: NDArray[np.bool_],
) -> Iterator[Finding]:
    """Yield the photos that the others would give another label."""
    for row in map(int, np.flatnonzero(listed_N)):
        photo, other, chance = photos[row], labels[judged.other_N[row]], float(chance_N[row])
        near = judged.neighbours.of(row)
        bearing = sum(photos[place].label == other for place in near[:TENTH])
        yield Finding(
            kind="label" if chance > PROBABLE else "doubt",
            paths=(photo.path,),
            labels=(photo.label or "",),
            reason=f"labelled {photo.label}, looks like {other}: wrong with a chance of "
            f"{_chance(chance)}; {bearing} of the {min(TENTH, len(near))} most similar are "
            f"{other}",
            score=chance,
            suggestion=other,
            neighbours=tuple(photos[place].path for place in near[:_SHOWN]),
        )


def _strange(
    photos: Sequence[Photo],
    labels: Sequence[str],
    judged: Judged,
    strange_N: NDArray[np.bool_],
) -> Iterator[Finding]:
    """Yield the photos that resemble none of the others as photos usually do."""
    middle = float(np.median(judged.similarity_N))
    neither = f"Neither {labels[0]} nor {labels[1]}" if len(labels) == 2 else "None of the classes"
    for row in map(int, np.flatnonzero(strange_N)):
        other = labels[judged.other_N[row]]
        rather = f"; if one of them, rather {other}" if judged.doubt_N[row] > 0 else ""
        yield Finding(
            kind="stranger",
            paths=(photos[row].path,),
            labels=(photos[row].label or "",),
            reason=f"{neither}? It resembles none of the others: similarity "
            f"{judged.similarity_N[row]:.2f} to the tenth nearest, where the middle photo has "
            f"{middle:.2f}{rather}",
            score=float(judged.strangeness_N[row]),
            neighbours=tuple(photos[place].path for place in judged.familiar.of(row)[:_SHOWN]),
        )


def _chance(chance: float) -> str:
    """Return a chance as text that never claims certainty."""
    return f"{chance:.0%}" if chance < 0.995 else "over 99 %"
