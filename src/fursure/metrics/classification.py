"""Probabilities and labels → what a classifier is worth on one split, and that as a table.

Dimension key: N photos, K classes, B calibration bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fursure.errors import some
from fursure.metrics.catalogue import METRICS, Scored
from fursure.metrics.confusion import MATRIX, Confusion
from fursure.metrics.figures import f1_score, validated
from fursure.metrics.intervals import Estimate, proportion
from fursure.terminal.text import printable

_SHOWN = 10  # classes in a table; of more, only the worst are listed
_Value = TypeVar("_Value", bound=Estimate | None)


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


class _Figure(Generic[_Value]):
    """A figure that code asks an evaluation for by name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = name

    def __get__(self, evaluation: "Evaluation", owner: type) -> _Value:
        return cast(_Value, evaluation.figures[self.key])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evaluation:
    """What a model is worth on one split; every figure with its 95 % interval.

    Macro figures are means over the classes that have photos here.
    """

    labels: tuple[str, ...]
    n: int  # photos
    figures: Mapping[str, Estimate | None]  # by the keys of `METRICS`
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]  # photos; a row is a true class, a column an answer
    confused: tuple[tuple[int, int, int], ...] = ()  # instead of it where there are many classes

    accuracy = _Figure[Estimate]()
    balanced_accuracy = _Figure[Estimate]()  # the same thing as macro recall
    macro_precision = _Figure[Estimate]()
    macro_f1 = _Figure[Estimate]()
    top5 = _Figure[Estimate | None]()  # true class among the five likeliest; None: K ≤ 5
    roc_auc = _Figure[Estimate | None]()
    # of the second class; K > 2: macro one-vs-rest; None: one class only
    log_loss = _Figure[Estimate]()  # nats per photo
    brier = _Figure[Estimate]()  # squared distance to the one-hot label, in [0, 2]
    calibration_error = _Figure[Estimate]()  # of the top class, in [0, 1], 0 is perfect

    def __repr__(self) -> str:
        """Return the accuracy, how many photos stand behind it, and the classes, on one line."""
        return f"Evaluation(accuracy {self.accuracy}, n = {self.n:,}; {some(self.labels)})"

    def _repr_html_(self) -> str:
        """Return the figures, the classes and what was taken for what, as a notebook shows them."""
        from html import escape  # an answer on a terminal starts without it

        lines = map(printable, format_table(self).splitlines())
        return f"<pre>{escape(chr(10).join(lines))}</pre>"

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts and finite numbers, ready for ``json.dumps``."""
        return {
            "labels": list(self.labels),
            "n": self.n,
            **{key: _to_json(figure) for key, figure in self.figures.items()},
            "classes": [scores.to_json() for scores in self.classes],
            "confusion": [list(row) for row in self.confusion],
            "confused": [list(cell) for cell in self.confused],
        }

    def widened(self, times: float) -> Self:
        """Return the same figures with intervals so many times as wide."""
        figures = {
            key: figure and figure.widened(times, top=METRICS[key].most)
            for key, figure in self.figures.items()
        }
        classes = tuple(scores.widened(times) for scores in self.classes)
        return replace(self, figures=figures, classes=classes)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the evaluation that `to_json` wrote; a figure that it lacks is None."""
        return cls(
            labels=tuple(map(str, values["labels"])),
            n=int(values["n"]),
            figures={key: _from_json(values.get(key)) for key in METRICS},
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
    scored = Scored.of(probs_NK, labels_N, seed=seed)
    confusion = scored.confusion
    return Evaluation(
        labels=tuple(class_names),
        n=n,
        figures={key: metric.measure(scored) for key, metric in METRICS.items()},
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
    figures = [
        (metric.named(e.labels), f"{figure}{metric.after(figure)}")
        for key, metric in METRICS.items()
        if (figure := e.figures[key])
    ]
    width = max(len(name) for name, _ in figures)
    return "\n".join(f"{name:{width}}  {value}" for name, value in figures)


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
