"""Work under way → what a person who waits sees of it: a bar, or a line that follows the passes.

On a terminal both are drawn over themselves; elsewhere each is a plain line now and then, and a
plain line a pass.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isfinite, log
from typing import Protocol, TextIO, final

import click

from fursure.terminal.colour import coloured, has_colour

REPORT_EVERY = 10.0  # seconds between lines where standard error is no terminal
_BLOCKS, _PLAIN = "▁▂▃▄▅▆▇█", "_.-~=+*#"  # from low to high; the second for old code pages
_WIDEST, _NARROWEST = 20, 4  # passes in a drawn curve
_LONGEST_BAR = 36  # columns
_REDRAWN = 0.1  # seconds between two drawings of a bar
_USUAL = 80  # columns, where nobody says how many


class PassLike(Protocol):
    """What is shown of a pass (`fursure.run.Pass`)."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def train_loss(self) -> float:
        """In nats per photo; may be no number."""

    @property
    def val_loss(self) -> float:
        """In nats per photo."""

    @property
    def val_accuracy(self) -> float:
        """In [0, 1]."""

    @property
    def best(self) -> bool:
        """Whether it is the best so far."""

    def sentence(self) -> str:
        """Return all of that in words."""


def is_live(stream: TextIO) -> bool:
    """Return whether a line on ``stream`` can be drawn over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def sparkline(losses: Sequence[float], *, width: int, encoding: str | None) -> str:
    """Return the last ``width`` losses as bars, the highest of them at the top, by their logarithm.

    A loss falls by factors. What is no number is an x.
    """
    blocks = _BLOCKS if _can_show(_BLOCKS, encoding) else _PLAIN
    shown = [log(loss) if isfinite(loss) and loss > 0 else None for loss in losses[-width:]]
    known = [value for value in shown if value is not None]
    low, span = (
        min(known, default=0.0),
        max(max(known, default=0.0) - min(known, default=0.0), 1e-9),
    )
    return "".join(
        "x" if value is None else blocks[round((value - low) / span * (len(blocks) - 1))]
        for value in shown
    )


def followed(title: str, steps: Sequence[PassLike], *, columns: int, stream: TextIO) -> str:
    """Return the passes so far on one line of less than ``columns``."""
    last = steps[-1]
    name, accuracy = f"{title}, {last.name}", f"{last.val_accuracy:.2%}"
    room = columns - len(f"{name}  training  0.0000  validation  0.0000  {accuracy}") - 1
    width = max(_NARROWEST, min(_WIDEST, room // 2))

    def drawn(losses: list[float]) -> str:
        return f"{sparkline(losses, width=width, encoding=stream.encoding)} {losses[-1]:.4f}"

    validation = drawn([step.val_loss for step in steps])
    learned = [step.train_loss for step in steps if isfinite(step.train_loss)]
    parts = [name, f"training {drawn(learned)}" if learned else "", f"validation {validation}"]
    line = _fitting([parts, [name, f"validation {validation}"], [validation], []], columns - 9)
    shown = coloured(accuracy, "good", stream) if last.best else accuracy
    return f"{line}  {shown}" if line else shown


def barred(
    title: str, done: int, total: int | None, seconds: float, beside: str, *, columns: int
) -> str:
    """Return how far the work is on one line of less than ``columns``: what matters least goes."""
    rate = done / max(seconds, 1e-3)
    count = f"{done:,}/{total:,}" if total else f"{done:,}"
    left = f"{(total - done) / rate:.0f} s left" if total and rate else ""
    if total and done >= total:
        left = f"{seconds:.1f} s"
    speed = f"{rate:.0f}/s"
    line = _fitting(
        [
            [title, count, speed, left, beside],
            [title, count, speed, beside],
            [title, count, beside],
            [title, count, speed],
            [title, count],
            [title[: max(columns - len(count) - 3, 0)], count],
        ],
        columns,
    )
    room = min(_LONGEST_BAR, columns - len(line) - len("  []") - 1)
    if not total or room < _NARROWEST or not line.startswith(title):
        return line
    full = min(room, room * done // total)
    return f"{title}  [{'#' * full}{'-' * (room - full)}]{line[len(title) :]}"


def _fitting(choices: Iterable[Sequence[str]], columns: int) -> str:
    """Return the first choice of parts that is shorter than ``columns``; of the last, its begin."""
    line = ""
    for parts in choices:
        line = "  ".join(filter(None, parts))
        if len(line) < columns:
            break
    return line[: max(columns - 1, 0)]


@final
class Live:
    """What one command shows on standard error; ``say`` prints a whole line there."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._beside = ""  # the bar: the passes of what it counts
        self._bars = 0  # that are open

    def say(self, text: str) -> None:
        """Print a whole line, where one that is being drawn over stands as well."""
        if self._bars:
            _over("")
        self._say(text)

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show photos done, rate and time left."""
        began = time.monotonic()
        if not is_live(sys.stderr):
            yield from self._lines(title, total, began)
            return
        done, drawn = 0, 0.0

        def draw() -> None:
            seconds = time.monotonic() - began
            _over(barred(title, done, total, seconds, self._beside, columns=_columns()))

        def advance(more: int) -> None:
            nonlocal done, drawn
            done += more
            if (now := time.monotonic()) - drawn >= _REDRAWN:
                drawn = now
                draw()

        self._bars += 1
        draw()
        try:
            yield advance
        finally:
            draw()
            with suppress(OSError):
                click.echo(err=True)
            self._bars -= 1

    def _lines(
        self, title: str, total: int | None, began: float
    ) -> Iterator[Callable[[int], None]]:
        done, spoken = 0, began

        def advance(more: int) -> None:
            nonlocal done, spoken
            done += more
            now = time.monotonic()
            if now - spoken >= REPORT_EVERY:
                spoken = now
                rate = done / (now - began)
                left = f", {(total - done) / rate:.0f} s left" if total else ""
                self._say(f"{title}: {done}{f' of {total}' if total else ''}, {rate:.0f}/s{left}")

        yield advance
        seconds = time.monotonic() - began
        if done:
            self._say(f"{title}: {done} in {seconds:.1f} s, {done / max(seconds, 1e-3):.0f}/s")

    @contextmanager
    def watch(self, title: str) -> Iterator[Callable[[PassLike], None]]:
        """Show each pass: on a terminal in one line, beside the bar where one is open."""
        if not is_live(sys.stderr):
            yield lambda step: self._say(f"{title}, {step.sentence()}")
            return
        steps: list[PassLike] = []

        def hear(step: PassLike) -> None:
            steps.append(step)
            if self._bars:
                spark = sparkline(
                    [s.val_loss for s in steps], width=8, encoding=sys.stderr.encoding
                )
                self._beside = f"{step.name}: {spark} {step.val_loss:.4f}, {step.val_accuracy:.1%}"
            else:
                _over(followed(title, steps, columns=_columns(), stream=sys.stderr))

        try:
            yield hear
        finally:
            self._beside = ""
            if steps:
                _over("")
        if steps:
            kept = next((step for step in reversed(steps) if step.best), steps[-1])
            drawn = sparkline(
                [step.val_loss for step in steps], width=_WIDEST, encoding=sys.stderr.encoding
            )
            self._say(f"{title}: {drawn} {kept.sentence()}")


def _columns() -> int:
    """Return how wide standard error is; standard output may be a pipe meanwhile."""
    with suppress(OSError, ValueError, AttributeError):
        return int(os.environ.get("COLUMNS", "")) or _USUAL
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL
    return _USUAL


def _over(line: str) -> None:
    """Draw over the line on which the cursor stands."""
    with suppress(OSError):
        click.echo(f"\r{line}\x1b[K", err=True, nl=False, color=has_colour(sys.stderr) or None)


def _can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
