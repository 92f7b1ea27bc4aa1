"""Words → words in colour, on a terminal that has it; the one place that asks.

``NO_COLOR`` (no-color.org) forbids colour and ``FORCE_COLOR`` asks for it even in a pipe, both with
any value but an empty one; the first wins. JSON and files are printed elsewhere and never have any.
"""

import os
from typing import IO, Literal

import click

Tone = Literal["good", "doubtful", "strange", "bad"]
SHADES: dict[Tone, str] = {
    "good": "green",
    "doubtful": "yellow",
    "strange": "magenta",
    "bad": "red",
}


def has_colour(stream: IO[str]) -> bool:
    """Return whether what is printed to ``stream`` may be in colour."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(text: str, tone: Tone, stream: IO[str]) -> str:
    """Return ``text`` in the colour of ``tone``, or as it is where ``stream`` has none."""
    return click.style(text, fg=SHADES[tone]) if has_colour(stream) else text
