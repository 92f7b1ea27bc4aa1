"""The rungs of a ladder → a table, and a picture: accuracy by time, error by photos."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fursure.errors import MissingExtra
from fursure.files import replacing
from fursure.metrics.ladder import Difference, Failed, Rung, difference, shown_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

# Okabe and Ito's palette, told apart by colour-blind people too; yellow is too faint for lines
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
MARKERS = "osD^vh<>"
INK, FAINT, GRID = "#26262b", "#6a6a74", "#e6e3dc"
WIDTH, HEIGHT = 800 / 96, 380 / 96  # inches: 800 pixels in a browser
LONGEST = 24  # characters of a name in the picture
TIMES = {  # seconds that an axis may name
    0.1: "0.1 s", 0.3: "0.3 s", 1: "1 s", 3: "3 s", 10: "10 s", 30: "30 s", 60: "1 min",
    180: "3 min", 600: "10 min", 1800: "30 min", 3600: "1 h", 10_800: "3 h", 36_000: "10 h",
}  # fmt: skip
MOST_TIMES = 5  # of them named; of more, each second one
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same layout everywhere
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "text.parse_math": False,  # a name may hold dollar signs
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fursure",  # the same ids every time
}


def table(rungs: Sequence[Rung | Failed]) -> list[str]:
    """Return the lines of the table: a recipe each, compared with the one above it."""
    made = [one for one in rungs if isinstance(one, Rung)]
    away, strangers = (
        any(getattr(one, kind) is not None for one in made) for kind in ("elsewhere", "strangers")
    )
    head = ["recipe", "accuracy", "log loss", "against the one above"]
    head += ["elsewhere", "log loss"] * away + ["strangers labelled"] * strangers
    rows: list[list[str]] = [[*head, "training", "ms/photo", "MB"]]
    width = max(len(one.name) for one in rungs)
    below: Rung | None = None
    for one in rungs:
        if isinstance(one, Failed):
            continue
        gain = None if below is None else difference(below.answers, one.answers)
        rows.append(
            [
                f"{one.name:{width}}",
                str(one.answers.accuracy),
                str(one.answers.log_loss),
                _shown(gain),
                *_abroad(one),
                duration(one.seconds),
                f"{one.milliseconds:.1f}",
                f"{one.megabytes:.1f}",
            ]
        )
        below = one
    lines = _aligned(rows)
    told = [] if below is None else [next(lines)]
    for one in rungs:
        match one:
            case Rung():
                told.append(next(lines))
            case Failed(name, reason):
                told.append(f"{name:{width}}  failed: {reason}")
    return told


def _abroad(one: Rung) -> list[str]:
    """Return what is known of photos unlike the test photos; every recipe has been asked alike."""
    cells: list[str] = []
    if one.elsewhere is not None:
        cells += [str(one.elsewhere.accuracy), str(one.elsewhere.log_loss)]
    if one.strangers is not None:
        cells.append(str(one.strangers.labelled))
    return cells


def _shown(gain: Difference | None) -> str:
    if gain is None:
        return "–"
    one = gain.accuracy
    low, high = f"{100 * one.low:+.2f}", f"{100 * one.high:+.2f}"
    return f"{100 * one.value:+.2f} [{low}, {high}], {shown_p(gain.p_value)}"


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


def draw(rungs: Sequence[Rung], title: str, path: Path) -> None:
    """Write the picture, as SVG or PNG by ``path``'s ending: the same bytes for the same rungs.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("a picture of the ladder", "train") from error

    style: Any = {**mpl.rcParamsDefault, **STYLE}  # whatever the user's own matplotlibrc says
    with mpl.rc_context(style):
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=96)
        FigureCanvasAgg(figure)  # measures text
        _draw_on(figure, rungs, title)
        kind = path.suffix[1:]
        dated = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
        drawn = BytesIO()
        figure.savefig(drawn, format=kind, dpi=192, metadata=dated[kind])
    with replacing(path) as file:
        file.write(drawn.getvalue())


def _draw_on(figure: "Figure", rungs: Sequence[Rung], title: str) -> None:
    looks = list(zip(rungs, cycle(COLOURS), cycle(MARKERS), strict=False))
    curved = any(one.curve for one in rungs)
    figure.text(0.012, 0.975, title, fontsize=10, fontweight="bold", va="top")
    figure.text(0.988, 0.97, "with 95 % intervals", color=FAINT, ha="right", va="top")
    left = figure.add_axes((0.075, 0.085, 0.385 if curved else 0.9, 0.745))
    _accuracy_by_time(left, looks)
    if curved:
        right = figure.add_axes((0.55, 0.085, 0.29, 0.745))
        _error_by_photos(right, looks)


Looks = Sequence[tuple[Rung, str, str]]  # with colour and marker


def _accuracy_by_time(axes: "Axes", looks: Looks) -> None:
    _titled(axes, "Accuracy, by time to train")
    axes.set_xscale("log")
    times = [one.seconds for one, *_ in looks]
    low, high = min(times) / 2.5, max(times) * 2.5
    axes.set_xlim(low, high)
    ticks = [one for one in TIMES if low <= one <= high]
    chosen = ticks[::2] if len(ticks) > MOST_TIMES else ticks
    axes.set_xticks(chosen, [TIMES[one] for one in chosen])
    axes.minorticks_off()
    for one, colour, marker in looks:
        share = one.answers.accuracy
        axes.plot([one.seconds] * 2, [100 * share.low, 100 * share.high], color=colour, lw=1.4)
        axes.plot([one.seconds], [100 * share.value], marker, color=colour, ms=6.5, mec="white")
    axes.margins(y=0.12)
    axes.set_ylim(top=min(100.0, axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter("{x:g} %")
    names = [
        axes.annotate(
            _short(one.name), (one.seconds, 100 * one.answers.accuracy.value),
            xytext=(8, 0), textcoords="offset points", va="center", color=_darker(colour),
        )
        for one, colour, _ in looks
    ]  # fmt: skip
    _apart(axes, names, looks)


def _error_by_photos(axes: "Axes", looks: Looks) -> None:
    _titled(axes, "Error, by photos to learn from")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends: list[tuple[float, str, str]] = []
    for one, colour, marker in looks:
        photos = [point.photos for point in one.points]
        # an error of nothing has no place on such an axis: half a photo stands for it
        least = 50 / len(one.answers.correct_N)
        shares = [point.answers.accuracy for point in one.points]
        errors = [max(least, 100 * (1 - share.value)) for share in shares]
        lows = [max(least / 2, 100 * (1 - share.high)) for share in shares]
        highs = [100 * (1 - share.low) for share in shares]
        if one.curve:
            axes.fill_between(photos, lows, highs, color=colour, alpha=0.13, lw=0)
            axes.plot(photos, errors, color=colour, lw=1.6)
        else:
            axes.plot(photos * 2, [lows[0], highs[0]], color=colour, lw=1.4)
        axes.plot(photos, errors, marker, color=colour, ms=4.5, mec="white", mew=0.5)
        ends.append((errors[-1], _short(one.name), colour))
    _plain_ticks(axes)
    _named_at_the_end(axes, ends)


def _titled(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=INK, pad=8)
    axes.grid(visible=True, axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _plain_ticks(axes: "Axes") -> None:
    """Put ticks at plain figures: 1, 2 and 5, and more between them where few are in range."""
    axes.minorticks_off()
    rounder, finer = (
        [step * 10.0**power for power in range(-4, 8) for step in steps]
        for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
    )
    low, high = axes.get_ylim()
    ticks = [one for one in rounder if low <= one <= high]
    if len(ticks) < 4:
        ticks = [one for one in finer if low <= one <= high]
    axes.set_yticks(ticks, [f"{one:g} %" for one in ticks])
    low, high = axes.get_xlim()
    ticks = [one for one in rounder if low <= one <= high]
    axes.set_xticks(ticks[::2] if len(ticks) > 6 else ticks)
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _named_at_the_end(axes: "Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Name every line to the right of the axes, at its height or where there is room next to it."""
    height = axes.get_window_extent().height / 96 * 72  # points
    line = 11 / height
    places: list[tuple[float, str, str]] = []
    to_axes = axes.transData + axes.transAxes.inverted()
    for error, name, colour in sorted(ends, key=lambda end: (end[0], end[1])):
        wanted = float(to_axes.transform((axes.get_xlim()[1], error))[1])
        places.append((max(wanted, places[-1][0] + line) if places else wanted, name, colour))
    for place, name, colour in places:
        axes.text(1.02, place, name, transform=axes.transAxes, va="center", color=_darker(colour))


def _apart(axes: "Axes", names: Sequence["Text"], looks: Looks) -> None:
    """Put each name beside its point, where it covers no other name, no bar, and no edge."""
    frame, taken = axes.get_window_extent(), list(_bars(axes, looks))
    places = [(x, y) for y in (0, 12, -12, 24, -24) for x in (8, -8)]
    for name in names:
        for across, up in places:
            name.set_position((across, up))
            name.set_horizontalalignment("left" if across > 0 else "right")
            box = name.get_window_extent()
            if frame.x0 <= box.x0 and box.x1 <= frame.x1 and not box.count_overlaps(taken):
                break
        taken.append(name.get_window_extent())


def _bars(axes: "Axes", looks: Looks) -> Iterator["Bbox"]:
    """Yield where the intervals are on the canvas, as wide as their points."""
    from matplotlib.transforms import Bbox

    for one, *_ in looks:
        share = one.answers.accuracy
        ends = [(one.seconds, 100 * share.low), (one.seconds, 100 * share.high)]
        yield Bbox(axes.transData.transform(ends)).padded(4, 0)


def _darker(colour: str) -> tuple[float, ...]:
    """Return a colour that letters can have: of the lighter ones white paper leaves little."""
    from matplotlib.colors import to_rgb

    return tuple(0.78 * part for part in to_rgb(colour))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
