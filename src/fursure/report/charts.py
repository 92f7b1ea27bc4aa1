"""Curves → SVG drawings that follow the page's colours, in the dark too.

Hand-made rather than by a plotting library, which takes half a second to import and cannot know
whether the page is light or dark: a page of curves is then a few kilobytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from math import ceil, floor, log10

WIDTH, HEIGHT = 360, 280  # of a chart's own units, which are pixels where the page has room
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 20, 12, 40  # around the plot
_LINE = 14  # of those units, between the names of two curves
_NAME = 60  # of those units, for the names to the right of the plot
NAMES = ("a", "b", "c", "d", "e", "f")  # classes of lines; the page gives each a colour

Chart = tuple[str, str, str]  # title, SVG and explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve: its points in order."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False
    bars: Sequence[tuple[float, float]] = ()  # the 95 % interval at each point


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What one direction shows."""

    title: str
    low: float = 0.0
    high: float = 1.0
    percent: bool = True
    log: bool = False  # and then low > 0
    marks: Mapping[float, str] = field(default_factory=dict)  # ticks that have names

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies, in [0, 1]; what is beyond lies at the end."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = log10(low), log10(high), log10(value)
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return about five round numbers on the axis, or those of the marks that lie on it."""
        if self.log:
            return self._rounder()
        raw = (self.high - self.low) / 4
        power = 10.0 ** floor(log10(raw))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.99)
        first = ceil(self.low / step - 1e-9)
        count = floor(self.high / step + 1e-9) - first + 1
        return [(first + number) * step for number in range(count)]

    def _rounder(self) -> list[float]:
        """Return three ticks or more, each a mark or 1, 2 or 5, or some between where few are."""
        powers = [10.0**power for power in range(-6, 9)]
        choices = [list(self.marks)] if self.marks else []
        choices += [[step * ten for ten in powers for step in (1, 2, 5)]]
        choices += [[step * ten for ten in powers for step in (1, 1.5, 2, 3, 4, 5, 7)]]
        for choice in choices:
            ticks = [tick for tick in choice if self.low <= tick <= self.high]
            if len(ticks) > 2:
                break
        return ticks[::2] if len(ticks) > 5 else ticks

    def shown(self, value: float) -> str:
        """Return a tick's label."""
        scaled = 100 * value if self.percent else value
        return self.marks.get(value, f"{scaled:,.6g}{' %' if self.percent else ''}")


def chart(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    title: str,
    diagonal: bool = False,
    named: bool = False,
) -> str:
    """Return an SVG of ``lines``; ``title`` says in words what it shows, for who cannot see it.

    ``named``: the name of each line stands beside it.
    """
    width = WIDTH + _NAME * named
    return (
        f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{drawing(lines, x, y, diagonal=diagonal, named=named)}</svg>"
    )


def drawing(
    lines: Sequence[Line], x: Axis, y: Axis, *, diagonal: bool = False, named: bool = False
) -> str:
    """Return what is inside a chart; ``named``: each line has its name to the right of the plot."""
    place = _Place(x, y)
    parts = [_frame(place)]
    if diagonal:
        parts.append(
            f'<path class="ideal" d="M{place.across(0)} {place.down(0)}'
            f'L{place.across(1)} {place.down(1)}"/>'
        )
    names = _names(lines, place) if named else [""] * len(lines)
    for number, (line, name) in enumerate(zip(lines, names, strict=True)):
        parts.append(f'<g class="line {NAMES[number % len(NAMES)]}">{_line(line, place)}{name}</g>')
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value lies on the drawing."""

    x: Axis
    y: Axis

    def across(self, value: float) -> float:
        return round(_LEFT + self.x.share(value) * (WIDTH - _LEFT - _RIGHT), 1)

    def down(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - self.y.share(value) * (HEIGHT - _TOP - _BOTTOM), 1)


def _frame(place: _Place) -> str:
    foot, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in place.y.ticks():
        at = place.down(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at}H{right}"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{at + 3.5}" class="end">{place.y.shown(tick)}</text>'
        )
    for tick in place.x.ticks():
        at = place.across(tick)
        parts.append(f'<path class="grid" d="M{at} {_TOP}V{foot}"/>')
        parts.append(f'<text x="{at}" y="{foot + 15}" class="mid">{place.x.shown(tick)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 6}" class="mid axis">{escape(place.x.title)}</text>'
        f'<text transform="translate(12 {(_TOP + foot) / 2}) rotate(-90)" class="mid axis">'
        f"{escape(place.y.title)}</text>"
    )
    return "".join(parts)


def _line(line: Line, place: _Place) -> str:
    points = [(place.across(x), place.down(y)) for x, y in zip(line.x, line.y, strict=True)]
    way = "L".join(f"{x} {y}" for x, y in points)
    drawn = f'<path d="M{way}"/>' if len(points) > 1 else ""
    for (across, _), (low, high) in zip(points, line.bars, strict=False):
        drawn += f'<path class="bar" d="M{across} {place.down(low)}V{place.down(high)}"/>'
    if line.dots or len(points) == 1:
        drawn += "".join(f'<circle cx="{x}" cy="{y}" r="3.2"/>' for x, y in points)
    return f"<title>{escape(line.name)}</title>{drawn}"


def _names(lines: Sequence[Line], place: _Place) -> list[str]:
    """Return the name of each line, and what leads to it from the line's last point."""
    right, ends = WIDTH - _RIGHT, [place.down(line.y[-1]) for line in lines]
    return [
        f'<path class="lead" d="M{place.across(line.x[-1])} {end}H{right}L{right + 12} {height}"/>'
        f'<text x="{right + 16}" y="{height + 4}">{escape(line.name)}</text>'
        for line, end, height in zip(lines, ends, _apart(ends), strict=True)
    ]


def _apart(heights: Sequence[float]) -> list[float]:
    """Return the heights a line of text apart, each as near as may be to what it was."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    places = list(heights)
    for upper, lower in pairwise(order):
        places[lower] = max(places[lower], places[upper] + _LINE)
    foot: float = HEIGHT - _BOTTOM
    for number in reversed(order):
        places[number] = min(places[number], foot)
        foot = places[number] - _LINE
    return places


def bounds(values: Iterable[float]) -> tuple[float, float]:
    """Return round ends of an axis that holds every value, from zero."""
    most = max(values, default=1.0) or 1.0
    power = 10.0 ** floor(log10(most))
    return 0.0, next(
        power * factor for factor in (1, 1.5, 2, 3, 5, 7.5, 10) if power * factor >= most
    )
