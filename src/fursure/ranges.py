"""What a value may be: a number within a range, one of a few words, a text, or several of those.

As text each says what is needed, for messages and for the lines of a written recipe.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``low`` to ``high``."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def holds(self, value: int) -> bool:
        """Return whether ``value`` lies in the range."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Number:
    """A number from ``low`` to ``high``; where an end is open, it is itself left out."""

    low: float
    high: float
    open: Literal["", "low", "high"] = ""

    def __str__(self) -> str:
        low = f"above {self.low:.9g}, up" if self.open == "low" else f"from {self.low:.9g}"
        high = f", below {self.high:.9g}" if self.open == "high" else f" to {self.high:.9g}"
        return f"a number {low}{high}"

    def holds(self, value: float) -> bool:
        """Return whether ``value`` lies in the range; NaN lies nowhere."""
        above = value > self.low if self.open == "low" else value >= self.low
        below = value < self.high if self.open == "high" else value <= self.high
        return above and below


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        *words, last = [f'"{word}"' for word in self.words]
        return f"{', '.join(words)} or {last}"

    def holds(self, value: str) -> bool:
        """Return whether ``value`` is one of them."""
        return value in self.words


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True, slots=True)
class Text:
    """Words of any kind; several lines where ``lines`` says so."""

    shortest: int
    longest: int
    lines: bool = False

    def __str__(self) -> str:
        return f"text of {self.shortest} to {self.longest} characters"

    def holds(self, value: str) -> bool:
        """Return whether ``value`` is short enough and cannot move the cursor."""
        shown = value.replace("\n", "") if self.lines else value
        return self.shortest <= len(value) <= self.longest and shown.isprintable()


@dataclass(frozen=True, slots=True)
class Several:
    """A list; ``alone``: one value may also stand without its brackets."""

    each: Whole | Number | Text
    longest: int
    alone: bool = False

    def __str__(self) -> str:
        if self.alone:
            return f"{self.each}, or a list of 1 to {self.longest} such"
        return f"a list of 1 to {self.longest}, each {self.each}"


Knob = Whole | Number | Choice | Switch | Text | Several
