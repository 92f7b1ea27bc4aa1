"""How a training went, as `metrics.json` has it → charts of training and validation, by pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fursure.report.charts import Axis, Chart, Line, bounds, chart

_DOTTED = 40  # steps of a curve on which each has a dot


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """One training, step by step."""

    of: str  # what trained, where there are several
    steps: tuple[float, ...]
    axis: str  # what a step is
    train_losses: tuple[float | None, ...]  # nats per photo
    val_losses: tuple[float, ...]
    val_accuracies: tuple[float | None, ...]


def training_charts(training: Mapping[str, Any]) -> tuple[Chart, ...]:
    """Return title, SVG and explanation of every curve: of the network, each run, or of the head.

    One step alone is no curve. What an older version did not write is not drawn.
    """
    courses = [*_of_networks(training.get("epochs", ()))] or [*_of_head(training.get("curve", ()))]
    return tuple(drawn for course in courses if len(course.steps) > 1 for drawn in _drawn(course))


def _of_networks(epochs: Sequence[Mapping[str, Any]]) -> Iterator[_Course]:
    runs = sorted({epoch.get("run", 1) for epoch in epochs})
    for run in runs:
        mine = [epoch for epoch in epochs if epoch.get("run", 1) == run]
        yield _Course(
            of=f", run {run}" if len(runs) > 1 else "",
            steps=tuple(float(number) for number in range(len(mine))),
            axis="pass",
            train_losses=tuple(epoch.get("train_loss") for epoch in mine),
            val_losses=tuple(epoch["val_loss"] for epoch in mine),
            val_accuracies=tuple(epoch["val_accuracy"] for epoch in mine),
        )


def _of_head(curve: Sequence[Mapping[str, Any]]) -> Iterator[_Course]:
    if curve:
        name = str(curve[0].get("name", "step"))
        yield _Course(
            of=" of the head",
            steps=tuple(point["knob"] for point in curve),
            axis=name.rpartition(" ")[0] or name,
            train_losses=tuple(point.get("training_log_loss") for point in curve),
            val_losses=tuple(point["validation_log_loss"] for point in curve),
            val_accuracies=tuple(point.get("validation_accuracy") for point in curve),
        )


def _drawn(course: _Course) -> Iterator[Chart]:
    yield _losses(course)
    accuracies = [share for share in course.val_accuracies if share is not None]
    if len(accuracies) == len(course.steps):
        low = max(0.0, min(accuracies) - 0.05)
        y = Axis(title="validation accuracy", low=low)
        line = _line("validation", course.steps, accuracies)
        drawn = chart([line], _across(course), y, title=f"Validation accuracy by {course.axis}")
        yield (
            f"Validation accuracy{course.of}",
            drawn,
            f"Right answers among the validation photos that chose the {course.axis}.",
        )


def _losses(course: _Course) -> Chart:
    known = [
        (step, loss)
        for step, loss in zip(course.steps, course.train_losses, strict=True)
        if loss is not None
    ]
    lines = [_line("validation", course.steps, course.val_losses)]
    if known:
        lines.append(_line("training", *zip(*known, strict=True)))
    low, high = bounds(loss for line in lines for loss in line.y)
    y = Axis(title="log loss, nats", low=low, high=high, percent=False)
    best = course.steps[min(range(len(course.steps)), key=course.val_losses.__getitem__)]
    drawn = chart(
        lines, _across(course), y, title=f"Log loss by {course.axis}, validation and training",
        named=True,
    )  # fmt: skip
    note = (
        f"Validation was lowest at {course.axis} {best:g}. Where training goes on falling and "
        "validation rises, photos are learned by heart."
    )
    return f"Log loss{course.of}", drawn, note


def _line(name: str, x: Sequence[float], y: Sequence[float]) -> Line:
    return Line(name=name, x=x, y=y, dots=len(x) < _DOTTED)


def _across(course: _Course) -> Axis:
    low, high = min(course.steps), max(course.steps)
    log = course.axis == "strength"
    return Axis(title=course.axis, low=low, high=max(high, low + 1e-9), percent=False, log=log)
