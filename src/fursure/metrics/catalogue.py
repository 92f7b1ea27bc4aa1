"""Every metric in one list: how it is measured, and how it is called, explained and shown.

The tables, the JSON, the bundle, the report page and the model card read `METRICS`, so a metric
is added here and nowhere else. What an older version did not write is None.

Dimension key: N photos, K classes, B calibration bins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.confusion import Confusion
from fursure.metrics.figures import (
    brier_losses,
    calibration_error,
    calibration_gaps,
    log_losses,
    macro,
    roc_auc,
    top,
)
from fursure.metrics.intervals import (
    Estimate,
    Reweighted,
    cost_of_a_mistake,
    mean_loss,
    proportion,
    reweighted,
)

TELLING = 0.05  # what a share may be off by, or else too few photos were measured
WORST_BRIER = 2.0  # all probability on one wrong class


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Probabilities beside true classes, and what several metrics need of them, each once."""

    probs_NK: NDArray[np.float64]
    labels_N: NDArray[np.int64]
    correct_N: NDArray[np.bool_]
    confusion: Confusion
    macros: tuple[Estimate, Estimate, Estimate]  # precision, recall, F1
    losses_N: NDArray[np.float64]  # nats
    squares_N: NDArray[np.float64]  # Brier's
    gaps_NB: NDArray[np.float64]  # confidence - correctness
    drawn: Reweighted  # of those three, in this order

    @classmethod
    def of(
        cls, probs_NK: NDArray[np.float64], labels_N: NDArray[np.int64], *, seed: int = 0
    ) -> Self:
        """Return what `validated` arrays come to; weights are drawn from ``seed``."""
        predicted_N = probs_NK.argmax(axis=1)
        correct_N = predicted_N == labels_N
        confusion = Confusion.of(labels_N, predicted_N, probs_NK.shape[1])
        losses_N, squares_N = log_losses(probs_NK, labels_N), brier_losses(probs_NK, labels_N)
        gaps_NB = calibration_gaps(probs_NK.max(axis=1), correct_N)
        return cls(
            probs_NK=probs_NK,
            labels_N=labels_N,
            correct_N=correct_N,
            confusion=confusion,
            macros=macro(confusion),
            losses_N=losses_N,
            squares_N=squares_N,
            gaps_NB=gaps_NB,
            drawn=reweighted(np.column_stack([losses_N, squares_N, gaps_NB]), seed=seed),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure that tells what a classifier is worth."""

    key: str  # in JSON, and in `Evaluation.figures`
    name: str  # as a table calls it
    about: str  # what it says, for the report page
    measure: Callable[[Scored], Estimate | None]  # None: these photos define no value
    of_second: bool = False  # of two classes it is about the second, and its name says so
    most: float | None = None  # its largest value, where it is no share and has one
    unit: str = ""
    counted: bool = False  # the number of photos stands behind it
    doubted: bool = False  # and that they are too few to tell more, where they are
    on_card: bool = False  # the model card states it

    def named(self, labels: Sequence[str]) -> str:
        """Return what it is called where these classes are told apart."""
        return f"{self.name} of {labels[1]}" if self.of_second and len(labels) == 2 else self.name

    def titled(self, labels: Sequence[str]) -> str:
        """Return its name as a line begins with it."""
        name = self.named(labels)
        return name[0].upper() + name[1:]

    def after(self, figure: Estimate) -> str:
        """Return what stands behind a figure: its unit, its n, and whether that is little."""
        count = f", n = {figure.n}" if self.counted else ""
        return f"{self.unit}{count}{doubt(figure) if self.doubted else ''}"


def doubt(share: Estimate) -> str:
    """Return what to add to a share that so few photos leave open by `TELLING` or more."""
    return "; too few photos to tell more" if share.high - share.low > TELLING else ""


def _accuracy(scored: Scored) -> Estimate:
    return proportion(int(scored.correct_N.sum()), len(scored.correct_N))


def _balanced_accuracy(scored: Scored) -> Estimate:
    return scored.macros[1]


def _top5(scored: Scored) -> Estimate | None:
    return top(5, scored.probs_NK, scored.labels_N) if scored.probs_NK.shape[1] > 5 else None


def _macro_precision(scored: Scored) -> Estimate:
    return scored.macros[0]


def _macro_f1(scored: Scored) -> Estimate:
    return scored.macros[2]


def _roc_auc(scored: Scored) -> Estimate | None:
    return roc_auc(scored.probs_NK, scored.labels_N)


def _log_loss(scored: Scored) -> Estimate:
    losses_N = scored.losses_N
    return mean_loss(losses_N, cost_of_a_mistake(losses_N), scored.drawn.of(slice(0, 1)))


def _brier(scored: Scored) -> Estimate:
    return mean_loss(scored.squares_N, WORST_BRIER, scored.drawn.of(slice(1, 2)))


def _calibration_error(scored: Scored) -> Estimate:
    return calibration_error(scored.gaps_NB, scored.drawn.of(slice(2, None)))


METRICS: dict[str, Metric] = {  # in the order in which a table lists them
    metric.key: metric
    for metric in (
        Metric(
            key="accuracy",
            name="accuracy",
            about="share of photos given their own class",
            measure=_accuracy,
            counted=True,
            doubted=True,
            on_card=True,
        ),
        Metric(
            key="balanced_accuracy",
            name="balanced accuracy",
            about="the same, every class counting alike",
            measure=_balanced_accuracy,
        ),
        Metric(
            key="top5",
            name="top-5 accuracy",
            about="the own class is among the five likeliest",
            measure=_top5,
        ),
        Metric(
            key="macro_precision",
            name="macro precision",
            about="how often a named class is right",
            measure=_macro_precision,
        ),
        Metric(
            key="macro_f1",
            name="macro F1",
            about="precision and recall in one figure",
            measure=_macro_f1,
        ),
        Metric(
            key="roc_auc",
            name="ROC AUC",
            about="1 is perfect, 0.5 is chance",
            measure=_roc_auc,
            of_second=True,
            most=1.0,
        ),
        Metric(
            key="log_loss",
            name="log loss",
            about="nats per photo; punishes confident mistakes",
            measure=_log_loss,
            unit=" nats per photo",
            on_card=True,
        ),
        Metric(
            key="brier",
            name="Brier score",
            about="squared error of the probabilities, 0 to 2",
            measure=_brier,
            most=WORST_BRIER,
        ),
        Metric(
            key="calibration_error",
            name="calibration error",
            about="how far confidence and success differ",
            measure=_calibration_error,
            doubted=True,
            on_card=True,
        ),
    )
}
