"""Probabilities and labels → what a classifier is worth on one split, and that as a table.

Dimension key: N photos, K classes, B calibration bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.confusion import MATRIX, Confusion
from fursure.metrics.figures import (
    brier_losses,
    calibration_error,
    calibration_gaps,
    f1_score,
    log_losses,
    macro,
    roc_auc,
    top,
    validated,
)
from fursure.metrics.intervals import (
    Estimate,
    cost_of_a_mistake,
    mean_loss,
    proportion,
    reweighted,
)

TELLING = 0.05  # what a share may be off by, or else too few photos were measured
WORST_BRIER = 2.0  # all probability on one wrong class
_SHOWN = 10  # classes in a table; of more, only the worst are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScores:
    """One class against the others; ``None`` where the photos at hand define no value."""

    label: str
    support: int  # photos of this class
    predicted: int  # photos taken for this class
    precision: Estimate | None  # None: never predicted
    recall: Estimate | None  # None: no photo of this class
    f1: Estimate | None  # None: no photo of this class

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "label": self.label,
            "support": self.support,
            "predicted": self.predicted,
            "precision": _to_json(self.precision),
            "recall": _to_json(self.recall),
            "f1": _to_json(self.f1),
        }

    def widened(self, times: float) -> Self:
        """Return the scores with intervals so many times as wide."""
        return replace(
            self,
            precision=self.precision and self.precision.widened(times),
            recall=self.recall and self.recall.widened(times),
            f1=self.f1 and self.f1.widened(times),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the scores that `to_json` wrote."""
        return cls(
            label=str(values["label"]),
            support=int(values["support"]),
            predicted=int(values["predicted"]),
            precision=_from_json(values["precision"]),
            recall=_from_json(values["recall"]),
            f1=_from_json(values["f1"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model is worth on one split; every figure with its 95 % interval.

    Macro figures are means over the classes that have photos here.
    """

    labels: tuple[str, ...]
    n: int  # photos
    accuracy: Estimate
    balanced_accuracy: Estimate  # the same thing as macro recall
    macro_precision: Estimate
    macro_f1: Estimate
    top5: Estimate | None  # share with the true class among the five likeliest; None: K ≤ 5
    roc_auc: Estimate | None  # of the second class; K > 2: macro one-vs-rest; None: one class only
    log_loss: Estimate  # nats per photo
    brier: Estimate  # squared distance to the one-hot label, in [0, 2]
    calibration_error: Estimate  # of the top class, in [0, 1], 0 is perfect
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]  # photos; a row is a true class, a column an answer
    confused: tuple[tuple[int, int, int], ...] = ()  # instead of it where there are many classes

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts and finite numbers, ready for ``json.dumps``."""
        return {
            "labels": list(self.labels),
            "n": self.n,
            "accuracy": self.accuracy.to_json(),
            "balanced_accuracy": self.balanced_accuracy.to_json(),
            "macro_precision": self.macro_precision.to_json(),
            "macro_f1": self.macro_f1.to_json(),
            "top5": _to_json(self.top5),
            "roc_auc": _to_json(self.roc_auc),
            "log_loss": self.log_loss.to_json(),
            "brier": self.brier.to_json(),
            "calibration_error": self.calibration_error.to_json(),
            "classes": [scores.to_json() for scores in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "confused": [list(cell) for cell in self.confused],
        }

    def widened(self, times: float) -> Self:
        """Return the same figures with intervals so many times as wide."""
        return replace(
            self,
            accuracy=self.accuracy.widened(times),
            balanced_accuracy=self.balanced_accuracy.widened(times),
            macro_precision=self.macro_precision.widened(times),
            macro_f1=self.macro_f1.widened(times),
            top5=self.top5 and self.top5.widened(times),
            roc_auc=self.roc_auc and self.roc_auc.widened(times, top=1),
            log_loss=self.log_loss.widened(times),
            brier=self.brier.widened(times, top=WORST_BRIER),
            calibration_error=self.calibration_error.widened(times),
            classes=tuple(scores.widened(times) for scores in self.classes),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the evaluation that `to_json` wrote."""
        return cls(
            labels=tuple(map(str, values["labels"])),
            n=int(values["n"]),
            accuracy=Estimate.from_json(values["accuracy"]),
            balanced_accuracy=Estimate.from_json(values["balanced_accuracy"]),
            macro_precision=Estimate.from_json(values["macro_precision"]),
            macro_f1=Estimate.from_json(values["macro_f1"]),
            top5=_from_json(values["top5"]),
            roc_auc=_from_json(values["roc_auc"]),
            log_loss=Estimate.from_json(values["log_loss"]),
            brier=Estimate.from_json(values["brier"]),
            calibration_error=Estimate.from_json(values["calibration_error"]),
            classes=tuple(ClassScores.from_json(scores) for scores in values["classes"]),
            confusion=tuple(tuple(map(int, row)) for row in values["confusion"]),
            confused=tuple((int(a), int(b), int(n)) for a, b, n in values.get("confused", ())),
        )


def _to_json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.to_json()


def _from_json(values: Mapping[str, Any] | None) -> Estimate | None:
    return None if values is None else Estimate.from_json(values)


def score_probs(
    probs_NK: NDArray[np.floating],
    labels_N: NDArray[np.integer],
    class_names: Sequence[str],
    *,
    seed: int = 0,
) -> Evaluation:
    """Score predicted probabilities against true class indices.

    A class without photos has undefined figures (``None``) and is left out of the macro ones.
    Counts get Wilson intervals; macro figures and areas Wilson's at their effective number of
    trials; losses allow for a mistake that was not seen, with weights drawn from ``seed``.

    Raises:
        ValueError: the arrays do not fit together or hold no probabilities.
    """
    probs_NK, labels_N = validated(probs_NK, labels_N)
    n, classes = probs_NK.shape
    if len(class_names) != classes:
        raise ValueError(f"{len(class_names)} class names do not fit {classes} classes.")
    predicted_N = probs_NK.argmax(axis=1)
    correct_N = predicted_N == labels_N
    confusion = Confusion.of(labels_N, predicted_N, classes)
    precision, recall, macro_f1 = macro(confusion)
    losses_N, squares_N = log_losses(probs_NK, labels_N), brier_losses(probs_NK, labels_N)
    gaps_NB = calibration_gaps(probs_NK.max(axis=1), correct_N)
    drawn = reweighted(np.column_stack([losses_N, squares_N, gaps_NB]), seed=seed)
    return Evaluation(
        labels=tuple(class_names),
        n=n,
        accuracy=proportion(int(correct_N.sum()), n),
        balanced_accuracy=recall,
        macro_precision=precision,
        macro_f1=macro_f1,
        top5=top(5, probs_NK, labels_N) if classes > 5 else None,
        roc_auc=roc_auc(probs_NK, labels_N),
        log_loss=mean_loss(losses_N, cost_of_a_mistake(losses_N), drawn.of(slice(0, 1))),
        brier=mean_loss(squares_N, WORST_BRIER, drawn.of(slice(1, 2))),
        calibration_error=calibration_error(gaps_NB, drawn.of(slice(2, None))),
        classes=_class_scores(confusion, class_names),
        confusion=confusion.matrix() if classes <= MATRIX else (),
        confused=confusion.largest() if classes > MATRIX else (),
    )


def _class_scores(confusion: Confusion, class_names: Sequence[str]) -> tuple[ClassScores, ...]:
    hits_K: list[int] = confusion.hits.tolist()
    support_K: list[int] = confusion.support.tolist()
    predicted_K: list[int] = confusion.predicted.tolist()
    return tuple(
        ClassScores(
            label=label,
            support=support,
            predicted=predicted,
            precision=proportion(hits, predicted) if predicted else None,
            recall=proportion(hits, support) if support else None,
            f1=f1_score(hits, support + predicted - hits) if support else None,
        )
        for label, hits, support, predicted in zip(
            class_names, hits_K, support_K, predicted_K, strict=True
        )
    )


def format_table(evaluation: Evaluation) -> str:
    """Return the figures, the classes and, for ten classes or fewer, the confusion matrix.

    Of more classes the ten with the lowest F1 are listed, under a line that says so.
    """
    parts = [_figure_lines(evaluation), _class_lines(evaluation)]
    if len(evaluation.labels) <= _SHOWN:
        parts.append(_confusion_lines(evaluation))
    return "\n\n".join(parts)


def _figure_lines(e: Evaluation) -> str:
    area = "ROC AUC" if len(e.labels) > 2 else f"ROC AUC of {e.labels[1]}"
    figures: list[tuple[str, Estimate | None, str]] = [
        ("accuracy", e.accuracy, f", n = {e.n}{doubt(e.accuracy)}"),
        ("balanced accuracy", e.balanced_accuracy, ""),
        ("top-5 accuracy", e.top5, ""),
        ("macro precision", e.macro_precision, ""),
        ("macro F1", e.macro_f1, ""),
        (area, e.roc_auc, ""),
        ("log loss", e.log_loss, " nats per photo"),
        ("Brier score", e.brier, ""),
        ("calibration error", e.calibration_error, doubt(e.calibration_error)),
    ]
    width = max(len(name) for name, figure, _ in figures if figure)
    return "\n".join(f"{name:{width}}  {figure}{note}" for name, figure, note in figures if figure)


def doubt(share: Estimate) -> str:
    """Return what to add to a share that so few photos leave open by `TELLING` or more."""
    return "; too few photos to tell more" if share.high - share.low > TELLING else ""


def _class_lines(e: Evaluation) -> str:
    shown, title = list(e.classes), []
    if len(e.classes) > _SHOWN:
        scored = [scores for scores in e.classes if scores.f1]
        shown = sorted(scored, key=lambda scores: scores.f1.value if scores.f1 else 0.0)[:_SHOWN]
        title = [f"The {len(shown)} of {len(e.classes)} classes with the lowest F1:"]
    header = ["class", "photos", "precision", "recall", "F1"]
    return "\n".join([*title, *_aligned([header, *map(_class_row, shown)])])


def _class_row(scores: ClassScores) -> list[str]:
    figures = (scores.precision, scores.recall, scores.f1)
    return [scores.label, str(scores.support), *(f"{f:.1%}" if f else "–" for f in figures)]


def _confusion_lines(e: Evaluation) -> str:
    header = ["true class / answer", *e.labels]
    rows = [[label, *map(str, row)] for label, row in zip(e.labels, e.confusion, strict=True)]
    return "\n".join(_aligned([header, *rows]))


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return the rows in columns, the first flush left, the others flush right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]).rstrip() for row in rows
    ]
