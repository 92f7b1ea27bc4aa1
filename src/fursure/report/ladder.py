"""The rungs of a ladder → a table, and a picture: accuracy by time, error by photos."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from fursure.metrics.ladder import Difference, Failed, Rung, difference, shown_p
from fursure.report.charts import HEIGHT, NAMES, WIDTH, Axis, Line, drawing
from fursure.terminal.text import printable

# Okabe and Ito's palette, told apart by colour-blind people too; yellow is too faint for lines
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LONGEST = 24  # characters of a name in the picture
PANEL = WIDTH + 140  # a chart, with the names beside it
TIMES = {  # seconds that an axis may name
    0.1: "0.1 s", 0.3: "0.3 s", 1: "1 s", 3: "3 s", 10: "10 s", 30: "30 s", 60: "1 min",
    180: "3 min", 600: "10 min", 1800: "30 min", 3600: "1 h", 10_800: "3 h", 36_000: "10 h",
}  # fmt: skip
_STYLE = (  # plain, so that what puts the picture into a document can read it
    "text{font:11px DejaVu Sans,Verdana,sans-serif;fill:#6a6a74}.line text,.axis{fill:#26262b}"
    ".title{font-size:15px;font-weight:bold;fill:#26262b}.end{text-anchor:end}"
    ".mid{text-anchor:middle}path{fill:none}.grid{stroke:#e6e3dc}.line path{stroke-width:2}"
    ".line .bar{stroke-width:1.4}.line .lead{stroke-width:1;opacity:.4}"
    + "".join(
        f".{name} path{{stroke:{colour}}}.{name} circle{{fill:{colour}}}"
        for name, colour in zip(NAMES, _COLOURS, strict=True)
    )
)


def ladder_table(rungs: Sequence[Rung | Failed]) -> list[str]:
    """Return the lines of the table: a recipe each, compared with the one above it."""
    made = [rung for rung in rungs if isinstance(rung, Rung)]
    away, strangers = (
        any(getattr(rung, kind) is not None for rung in made) for kind in ("elsewhere", "strangers")
    )
    head = ["recipe", "accuracy", "log loss", "against the one above"]
    head += ["elsewhere", "log loss"] * away + ["strangers labelled"] * strangers
    rows: list[list[str]] = [[*head, "training", "ms/photo", "MB"]]
    width = max(len(rung.name) for rung in rungs)
    below: Rung | None = None
    for rung in rungs:
        if isinstance(rung, Failed):
            continue
        gain = None if below is None else difference(below.answers, rung.answers)
        rows.append(
            [
                f"{rung.name:{width}}",
                str(rung.answers.accuracy),
                str(rung.answers.log_loss),
                _shown(gain),
                *_abroad(rung),
                duration(rung.seconds),
                f"{rung.milliseconds:.1f}",
                f"{rung.megabytes:.1f}",
            ]
        )
        below = rung
    lines = _aligned(rows)
    below_lines = [] if below is None else [next(lines)]
    for rung in rungs:
        match rung:
            case Rung():
                below_lines.append(next(lines))
            case Failed(name, reason):
                below_lines.append(f"{name:{width}}  failed: {reason}")
    return below_lines


def _abroad(rung: Rung) -> list[str]:
    """Return what is known of photos unlike the test photos; every recipe has been asked alike."""
    cells: list[str] = []
    if rung.elsewhere is not None:
        cells += [str(rung.elsewhere.accuracy), str(rung.elsewhere.log_loss)]
    if rung.strangers is not None:
        cells.append(str(rung.strangers.labelled))
    return cells


def _shown(gain: Difference | None) -> str:
    if gain is None:
        return "–"
    gained = gain.accuracy
    low, high = f"{100 * gained.low:+.2f}", f"{100 * gained.high:+.2f}"
    return f"{100 * gained.value:+.2f} [{low}, {high}], {shown_p(gain.p_value)}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows in columns: words flush left, the last three, figures, flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row[:-3], widths, strict=False)]
        cells += [f"{cell:>{width}}" for cell, width in zip(row[-3:], widths[-3:], strict=True)]
        yield "  ".join(cells).rstrip()


def duration(seconds: float) -> str:
    """Return a time as people say it, to two or three digits."""
    if seconds < 99.5:
        return f"{seconds:.{0 if seconds >= 9.95 else 1}f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def picture(rungs: Sequence[Rung], title: str) -> str:
    """Return the picture as a whole SVG file: the same text for the same rungs."""
    panels = [_accuracy_by_time(rungs)]
    if any(rung.curve for rung in rungs):
        panels.append(_error_by_photos(rungs))
    width, height = len(panels) * PANEL, HEIGHT + 48
    drawn = "".join(
        f'<g transform="translate({number * PANEL} 40)">{panel}</g>'
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text class="title" x="12" y="24">{escape(title)}</text>'
        f'<text class="end" x="{width - 12}" y="24">with 95 % intervals</text>{drawn}</svg>\n'
    )


def _accuracy_by_time(rungs: Sequence[Rung]) -> str:
    shares = [rung.answers.accuracy for rung in rungs]
    lines = [
        Line(
            name=_short(rung.name),
            x=[rung.seconds],
            y=[share.value],
            bars=[(share.low, share.high)],
        )
        for rung, share in zip(rungs, shares, strict=True)
    ]
    low, high = min(share.low for share in shares), max(share.high for share in shares)
    margin = (high - low) / 8
    return drawing(
        lines,
        _log_axis("time to train", [rung.seconds for rung in rungs], 2.5, marks=TIMES),
        Axis(title="accuracy", low=max(0.0, low - margin), high=min(1.0, high + margin)),
        named=True,
    )


def _error_by_photos(rungs: Sequence[Rung]) -> str:
    lines = [_errors(rung) for rung in rungs]
    photos = [point.photos for rung in rungs for point in rung.points]
    ends = [end for line in lines for interval in line.bars for end in interval]
    return drawing(
        lines,
        _log_axis("photos to learn from", photos, 1.2, percent=False),
        _log_axis("error", ends, 1.1),
        named=True,
    )


def _log_axis(title: str, values: Sequence[float], room: float, **more: Any) -> Axis:
    """Return the axis that the values fit on, with so many times their reach at either end."""
    return Axis(title=title, low=min(values) / room, high=max(values) * room, log=True, **more)


def _errors(rung: Rung) -> Line:
    """Return the learning curve; an error of nothing has no place on it: half a photo stands in."""
    least = 0.5 / len(rung.answers.correct_N)
    shares = [point.answers.accuracy for point in rung.points]
    return Line(
        name=_short(rung.name),
        x=[point.photos for point in rung.points],
        y=[max(least, 1 - share.value) for share in shares],
        bars=[(max(least / 2, 1 - share.high), 1 - share.low) for share in shares],
        dots=True,
    )


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
