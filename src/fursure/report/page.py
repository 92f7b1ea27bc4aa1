"""An evaluation → one HTML page that needs nothing else: no network, no script, no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fursure.bundle.meta import Meta
from fursure.errors import OutputExists
from fursure.files import replacing
from fursure.metrics.catalogue import METRICS
from fursure.metrics.classification import Evaluation
from fursure.metrics.curves import Bin, Curve, most_confused
from fursure.metrics.intervals import Estimate
from fursure.metrics.paired import Comparison
from fursure.report.charts import Axis, Chart, Line, bounds, chart
from fursure.report.html import rendered
from fursure.report.verdict import headline, reasons

MARK = b'<meta name="generator" content="fursure report">'
CONFUSED = 15  # largest confusions in a list
GRID = 12  # classes up to which the whole confusion matrix is shown
_CLASSES = 60  # rows of the table of classes
FAILED = 50  # photos that could not be used, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One photo on the page, as the network saw it."""

    path: str
    truth: str
    answer: str
    label: str  # the likeliest class
    confidence: float
    familiarity: float
    picture: str  # a data: address, as are the others
    heat: str | None  # where the network looked, to lay over it
    nearest: tuple[tuple[str, str], ...] = ()  # label and picture of photos of training
    other: str | None = None  # what the model that it is compared with said


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures that belong together."""

    title: str
    note: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A photo on the map of features."""

    x: float  # in [0, 1]
    y: float
    label: int
    wrong: bool
    title: str
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """What is drawn."""

    roc: tuple[Curve, ...]
    precision_recall: tuple[Curve, ...]
    selective: Curve
    before: tuple[Bin, ...]  # reliability without temperature
    after: tuple[Bin, ...]
    training: tuple[Chart, ...] = ()  # by pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """All that a report says."""

    title: str
    data: str  # which photos
    basis: str  # what photos these are, as a sentence goes on: "photos it had not seen"
    meta: Meta
    evaluation: Evaluation
    answered: Estimate
    answered_wrong: Estimate | None
    strangers: Estimate
    curves: Curves
    galleries: tuple[Gallery, ...]
    no_nearest: str  # why no photos of training are beside them; "" where they are
    spots: tuple[Spot, ...]
    facts: Mapping[str, str]
    failed: tuple[tuple[str, str], ...]  # path and reason
    comparison: Comparison | None = None


def write_report_page(page: ReportPage, path: Path, *, overwrite: bool = False) -> None:
    """Write the page, whole or not at all; a report that lies there is replaced.

    Raises:
        MissingExtra: jinja2 is not installed.
        OutputExists: another file lies there, and it is not to be overwritten.
    """
    check_free(path, overwrite=overwrite)
    html = rendered("report.html", "a report page", page=page, **_prepared(page))
    with replacing(path) as file:
        file.write(html.encode("utf-8", "backslashreplace"))


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse a path where something else than a report lies.

    Raises:
        OutputExists: as said.
    """
    if path.is_dir():
        raise OutputExists(path, "a folder", replaced=False)
    if overwrite or not path.exists():
        return
    with path.open("rb") as file:
        if MARK in file.read(2000):
            return
    raise OutputExists(path, "no report of fursure")


def _prepared(page: ReportPage) -> dict[str, Any]:
    """Return what the template shows besides the page's own values."""
    evaluation = page.evaluation
    ranked = sorted(evaluation.classes, key=lambda scores: scores.f1.value if scores.f1 else 2.0)
    return {
        "headline": headline(evaluation, page.basis),
        "reasons": reasons(
            evaluation,
            page.meta,
            basis=page.basis,
            answered=page.answered,
            answered_wrong=page.answered_wrong,
            strangers=page.strangers,
        ),
        "figures": _figures(evaluation),
        "classes": ranked[:_CLASSES] if len(ranked) > _CLASSES else evaluation.classes,
        "whole": len(evaluation.labels) <= GRID,
        "confused": [
            (evaluation.labels[row], evaluation.labels[column], photos)
            for row, column, photos in _confused(evaluation)
        ],
        "largest": max((max(row) for row in evaluation.confusion), default=1),
        "charts": _charts(page),
        "risks": page.meta.risks.rows,
        "failed": page.failed[:FAILED],
    }


def _confused(evaluation: Evaluation) -> Sequence[tuple[int, int, int]]:
    """Return the largest confusions as (true class, answer, photos)."""
    if evaluation.confusion:
        return most_confused(evaluation.confusion, CONFUSED)
    return evaluation.confused[:CONFUSED]


def _figures(e: Evaluation) -> list[tuple[str, str, str]]:
    return [
        (metric.titled(e.labels), str(figure), metric.about)
        for key, metric in METRICS.items()
        if (figure := e.figures[key])
    ]


def _charts(page: ReportPage) -> list[Chart]:
    """Return every chart."""
    curves = page.curves
    charts: list[Chart] = []
    if curves.roc:
        axes = Axis(title="false positives"), Axis(title="true positives")
        area = page.evaluation.roc_auc
        title = f"ROC: area {area.value:.4f}" if area else "ROC: one class only"
        drawn = chart(_lines(curves.roc), *axes, title=title, diagonal=True)
        charts.append(("ROC", drawn, "Up and to the left is better; the dashed line is chance."))
    if curves.precision_recall:
        axes = Axis(title="recall"), Axis(title="precision")
        drawn = chart(_lines(curves.precision_recall), *axes, title="Precision over recall")
        charts.append(
            ("Precision and recall", drawn, "How many finds are right, the more one wants to find.")
        )
    return [*charts, _reliability(curves), _selective(page), *curves.training]


def _lines(curves: Sequence[Curve]) -> list[Line]:
    return [Line(name=curve.name, x=curve.x, y=curve.y) for curve in curves]


def _reliability(curves: Curves) -> Chart:
    lines = [
        Line(
            name=name,
            x=[bucket.confidence for bucket in bins],
            y=[bucket.right.value for bucket in bins],
            dots=True,
            bars=[(bucket.right.low, bucket.right.high) for bucket in bins] if number else (),
        )
        for number, (name, bins) in enumerate(
            [("before calibration", curves.before), ("after calibration", curves.after)]
        )
    ]
    values = [*lines[0].x, *lines[0].y, *lines[1].x, *lines[1].y]
    low = max(0.0, min([*values, 0.9]) - 0.05)
    axes = Axis(title="confidence", low=low), Axis(title="right", low=low)
    drawn = chart(lines, *axes, title="Share right, by confidence", diagonal=True)
    note = "On the dashed line, 90 % sure is right nine times in ten. Faint: before calibration."
    return "Reliability", drawn, note


def _selective(page: ReportPage) -> Chart:
    curve = page.curves.selective
    _, top = bounds([*curve.y, 0.01])
    lines = [Line(name=curve.name, x=curve.x, y=curve.y)]
    answered, wrong = page.answered, page.answered_wrong
    if wrong is not None:
        lines.append(Line(name="as it is set", x=[answered.value], y=[wrong.value], dots=True))
    axes = Axis(title="share of photos answered"), Axis(title="wrong answers", high=top)
    drawn = chart(lines, *axes, title="Wrong answers, by the share of photos answered")
    note = "Answer only where it is surest, and fewer answers are wrong. The dot: as it is set now."
    return "Risk and coverage", drawn, note
