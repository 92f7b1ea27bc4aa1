"""Recipes on the same test photos → what each is worth, and which one to keep.

Whoever compares many recipes finds a better one by chance alone, so the p-values of all pairs are
adjusted together (Holm, Scandinavian Journal of Statistics 1979).

Dimension key: N test photos, K classes, P points of a learning curve.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fursure.metrics.answers import Answers, StrangerAnswers
from fursure.metrics.intervals import Estimate, bootstrap
from fursure.metrics.paired import accuracy_difference, mcnemar

SIGNIFICANT = 0.05
MARGIN = 0.01  # of accuracy: what fewer photos may cost and still do
LONGER = 1.25  # times as long, and so many
FAR = 20  # a point of a curve with so many times fewer photos says nothing of twice as many
FEWEST = 3  # points that make a line
WAITED = 10.0  # seconds more, are not about the same time: a clock is no better than that


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of a learning curve."""

    photos: int  # learned from: training and validation
    answers: Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One recipe of the ladder, trained and measured."""

    name: str
    backbone: str
    answers: Answers
    seconds: float  # of training, with every photo encoded anew
    megabytes: float  # of the bundle
    milliseconds: float  # a photo: decoding and network, in one process
    engine: str
    photos: int  # learned from: training and validation
    curve: tuple[CurvePoint, ...] = ()  # of fewer photos, from few to many
    elsewhere: Answers | None = None  # on photos of another origin, where there are some
    strangers: StrangerAnswers | None = (
        None  # on photos of none of the classes, where there are some
    )

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """The learning curve up to all photos."""
        return (*self.curve, CurvePoint(self.photos, self.answers))


@dataclass(frozen=True, slots=True)
class Failed:
    """A recipe that gave no model."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Model B against model A on the same photos; differences are B - A."""

    accuracy: Estimate  # in [-1, 1], > 0: B is better
    log_loss: Estimate  # nats per photo, < 0: B is better
    p_value: float  # McNemar's, of the accuracies

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "accuracy": self.accuracy.to_json(),
            "log_loss": self.log_loss.to_json(),
            "p_value": self.p_value,
        }


def difference(a: Answers, b: Answers) -> Difference:
    """Compare two models photo by photo.

    Raises:
        ValueError: they answered different numbers of photos.
    """
    return Difference(
        accuracy=accuracy_difference(a.correct_N, b.correct_N),
        log_loss=bootstrap(b.losses_N - a.losses_N),
        p_value=mcnemar(a.correct_N, b.correct_N).p_value,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in order.

    Those below 0.05 are then all justified, with 95 % certainty, however many were compared.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A recipe against the one that was kept before it, which is quicker to train."""

    kept: Rung
    rung: Rung
    difference: Difference  # of the rung to the kept one
    p_value: float  # McNemar's, after Holm

    @property
    def significant(self) -> bool:
        """Whether the accuracies differ by more than chance."""
        return self.p_value < SIGNIFICANT

    @property
    def better(self) -> bool:
        """Whether the rung is worth more, and therefore kept."""
        if self.tie:
            return self._settles < 0
        return self.significant and self.difference.accuracy.value > 0 and not self.losses

    @property
    def losses(self) -> tuple[str, ...]:
        """What the rung loses, beyond chance, on photos unlike the test photos."""
        return (*_lost_elsewhere(self.kept, self.rung), *_lost_to_strangers(self.kept, self.rung))

    @property
    def tie(self) -> bool:
        """Whether neither the accuracies nor the times tell them apart."""
        return not self.significant and _alike(self.kept.seconds, self.rung.seconds)

    @property
    def _settles(self) -> float:
        """Return what settles a tie, < 0 for the rung: clear log loss, else the smaller model."""
        loss = self.difference.log_loss
        return loss.value if _clear(loss) else self.rung.megabytes - self.kept.megabytes

    @property
    def sentence(self) -> str:
        """What the step adds and costs, and what follows."""
        gain = self.difference.accuracy
        interval = f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        points = f"{100 * abs(gain.value):.1f} points {interval}"
        if gain.value > 0:
            result = f"adds {points} to {self.kept.name}"
        elif gain.value < 0:
            result = f"loses {points} against {self.kept.name}"
        else:
            result = f"is right as often as {self.kept.name}, {points}"
        chance = "" if self.significant else ", not significant"
        loss = self.difference.log_loss
        return (
            f"{self.rung.name} {result} ({shown_p(self.p_value)}{chance}; log loss {loss:+.4f}), "
            f"{_longer(self.kept.seconds, self.rung.seconds)}: {self._follows}."
        )

    @property
    def _follows(self) -> str:
        winner = self.rung if self.better else self.kept
        if self.tie:
            why = "lower log loss" if _clear(self.difference.log_loss) else "smaller model"
            return f"a tie, so the {why} decides: keep {winner.name}"
        if self.losses and self.significant and self.difference.accuracy.value > 0:
            return f"{' and '.join(self.losses)}, so keep {winner.name}"
        return "worth it where accuracy counts" if self.better else f"keep {winner.name}"


def _lost_elsewhere(kept: Rung, rung: Rung) -> Iterator[str]:
    if kept.elsewhere is None or rung.elsewhere is None:
        return
    if len(kept.elsewhere.losses_N) != len(rung.elsewhere.losses_N):
        return  # an encoder that had seen some of them was not asked about those
    loss = difference(kept.elsewhere, rung.elsewhere).log_loss
    if loss.low > 0:
        yield f"it is less right of photos of another origin (log loss {loss:+.4f})"


def _lost_to_strangers(kept: Rung, rung: Rung) -> Iterator[str]:
    if kept.strangers is None or rung.strangers is None:
        return
    before, now = kept.strangers, rung.strangers
    p_value = mcnemar(~before.labelled_S, ~now.labelled_S).p_value
    if p_value < SIGNIFICANT and now.labelled.value > before.labelled.value:
        yield (
            f"it gives a label to {now.labelled.value:.1%} of the strangers instead of "
            f"{before.labelled.value:.1%} ({shown_p(p_value)})"
        )


def shown_p(p_value: float) -> str:
    """Return a p-value as people write it."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.{4 if p_value < 0.1 else 2}f}"


def _alike(quick: float, slow: float) -> bool:
    """Return whether two times, in seconds, are about the same to whoever waits."""
    return slow < LONGER * quick or slow - quick < WAITED


def _clear(difference: Estimate) -> bool:
    """Return whether a difference has a sign beyond its interval."""
    return difference.low > 0 or difference.high < 0


def _longer(quick: float, slow: float) -> str:
    if _alike(quick, slow):
        return "in about the same time"
    times = slow / quick
    return f"for {times:.{0 if times >= 10 else 1}f}x the time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which recipe to keep, and why."""

    kept: Rung
    steps: tuple[_Step, ...]
    pairs: int  # of recipes, for whose comparison the p-values are adjusted

    @property
    def sentences(self) -> tuple[str, ...]:
        """The steps, what was kept, and how many photos it takes."""
        sentences = [step.sentence for step in self.steps]
        if self.steps:
            sentences.append(f"Kept: {self.kept.name}, {self.kept.answers.accuracy}.")
        sentences += [
            sentence for sentence in (enough_photos(self.kept), twice(self.kept)) if sentence
        ]
        if self.pairs > 1:
            sentences.append(
                f"Each p is McNemar's, adjusted after Holm for all {self.pairs} pairs."
            )
        return tuple(sentences)


def verdict(rungs: Sequence[Rung]) -> Verdict:
    """Climb from the quickest training to the slowest; keep what is significantly more accurate.

    A tie, by accuracy and by time, goes to the clearly lower log loss, then to the smaller model.

    Raises:
        ValueError: there is no rung.
    """
    climbed = sorted(rungs, key=lambda rung: (rung.seconds, rung.name))
    pairs = list(combinations(range(len(climbed)), 2))
    found = [difference(climbed[a].answers, climbed[b].answers) for a, b in pairs]
    adjusted = dict(zip(pairs, holm([step.p_value for step in found]), strict=True))
    differences = dict(zip(pairs, found, strict=True))
    kept, steps = 0, []
    for place in range(1, len(climbed)):
        step = _Step(
            kept=climbed[kept],
            rung=climbed[place],
            difference=differences[kept, place],
            p_value=adjusted[kept, place],
        )
        steps.append(step)
        kept = place if step.better else kept
    return Verdict(kept=climbed[kept], steps=tuple(steps), pairs=len(pairs))


def enough_photos(rung: Rung) -> str:
    """Return a sentence on how many photos would do; of a recipe without a curve, none.

    Fewer do if the 95 % interval of what they cost ends within `MARGIN`. They are tried from many
    to few and the first that fails ends it, so no number tried weakens the others.
    """
    *fewer, whole = rung.points
    if not fewer:
        return ""
    enough = None
    for point in reversed(fewer):
        if difference(whole.answers, point.answers).accuracy.low < -MARGIN:
            break
        enough = point
    if enough is not None:
        least = 100 * difference(whole.answers, enough.answers).accuracy.low
        losses = f"{enough.answers.log_loss.value:.3f} and {whole.answers.log_loss.value:.3f}"
        return (
            f"{enough.photos:,} photos would do: {rung.name} learns {_share(enough)} from them and "
            f"{_share(whole)} from all {whole.photos:,} (log loss {losses}); the interval of the "
            f"difference ends at {least:+.1f} points."
        )
    last = difference(fewer[-1].answers, whole.answers)
    if last.p_value < SIGNIFICANT and last.accuracy.value > 0:
        return (
            f"More photos still help {rung.name}: {fewer[-1].photos:,} give {_share(fewer[-1])}, "
            f"all {whole.photos:,} give {_share(whole)} ({shown_p(last.p_value)})."
        )
    return (
        f"Whether {rung.name} needs all {whole.photos:,} photos, {len(whole.answers.correct_N):,} "
        f"test photos cannot tell: {fewer[-1].photos:,} give {_share(fewer[-1])}, all give "
        f"{_share(whole)}."
    )


def twice(rung: Rung) -> str:
    """Return a sentence on what twice the photos would bring; without a curve, none.

    A line through the log loss of the last points against the logarithm of their photos, for every
    test photo by itself: the mean of the lines, and its interval. Curves flatten, so it is the most
    to hope for.
    """
    near = [point for point in rung.points if point.photos >= rung.photos / FAR]
    if len(near) < FEWEST:
        return ""
    doublings_P = np.log2([point.photos for point in near])
    weights_P = doublings_P - doublings_P.mean()
    weights_P /= (weights_P**2).sum()
    gain = bootstrap(weights_P @ np.stack([point.answers.losses_N for point in near]))
    nothing = "" if _clear(gain) else ", which may be nothing"
    return (
        f"Twice the {rung.photos:,} photos would change the log loss of {rung.name} by "
        f"{gain:+.4f} at most, if its last points go on in a line{nothing}."
    )


def _share(point: CurvePoint) -> str:
    return f"{point.answers.accuracy.value:.1%}"
