"""A stranger's JSON → plain values, each of its kind and within its range, or a sentence.

A check takes a value and its place in the file, ``figures.accuracy.low`` say, and raises
ValueError where the value is another than its writer can have written.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]

MAX_DEPTH = 20  # nested values
_LONGEST_NUMBER = 19  # digits of a whole number; more fit no table of ours
_MOST = 2**53  # of anything counted: beyond it floats skip whole numbers


def parsed(text: str, name: str) -> Any:
    """Return the values that ``text`` holds; all its numbers are finite, all its words Unicode.

    Raises:
        ValueError: it is no such text; ``name`` is the file's in the message.
    """
    _check_depth(text, name)

    def number(digits: str) -> float:
        value = float(digits)
        if not abs(value) < float("inf"):
            raise ValueError(f"{name} holds {digits[:40]}, which is no number")
        return value

    def whole(digits: str) -> int:
        if len(digits) > _LONGEST_NUMBER:
            raise ValueError(f"{name} holds a number of {len(digits)} digits")
        return int(digits)

    values = json.loads(text, parse_constant=number, parse_float=number, parse_int=whole)
    json.dumps(values, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return values


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"{name} nests more than {MAX_DEPTH} levels deep")


def number(low: float, high: float) -> Check:
    """Return a check for a number from ``low`` to ``high``."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{place} is no number")
        if not low <= value <= high:
            raise ValueError(f"{place} is {value}, outside [{low:g}, {high:g}]")

    return check


def whole(low: int = 0, high: int = _MOST) -> Check:
    """Return a check for a whole number from ``low`` to ``high``."""

    def check(value: Any, place: str) -> None:
        if type(value) is not int:
            raise ValueError(f"{place} is no whole number")
        if not low <= value <= high:
            raise ValueError(f"{place} is {value}, outside [{low}, {high}]")

    return check


def text(longest: int) -> Check:
    """Return a check for words of so many characters at most."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, str) or len(value) > longest:
            raise ValueError(f"{place} is no text of up to {longest} characters")

    return check


def switch(value: Any, place: str) -> None:
    """Check that a value is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{place} is neither true nor false")


def anything(value: Any, place: str) -> None:
    """Let every value pass."""


def maybe(check: Check) -> Check:
    """Return a check that lets null pass as well."""
    return lambda value, place: None if value is None else check(value, place)


def listed(each: Check, *, least: int = 0, most: int) -> Check:
    """Return a check for a list of ``least`` to ``most`` values, each passing ``each``."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"{place} is no list of {least} to {most} values")
        for row, item in enumerate(value):
            each(item, f"{place}[{row}]")

    return check


def keyed(each: Check, *, most: int) -> Check:
    """Return a check for a table of any keys, ``most`` at most, its values passing ``each``."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict) or len(value) > most:
            raise ValueError(f"{place} is no table of up to {most} values")
        for key, item in value.items():
            each(item, f"{place}.{key[:60]}")

    return check


def table(needed: Mapping[str, Check], **later: Check) -> Check:
    """Return a check for a table that has ``needed``; those of ``later`` versions may be missing.

    What it holds beyond both is left alone: a later version may know what it is for.
    """

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{place} is no table")
        if lacking := sorted(needed.keys() - value.keys()):
            raise ValueError(f"{place} lacks {', '.join(lacking)}")
        for key, own in {**needed, **later}.items():
            if key in value:
                own(value[key], f"{place}.{key}")

    return check
