"""Numbers and their nouns, and shares that claim no certainty."""

import pytest

from fursure.errors import counted
from fursure.terminal.text import percent


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1200, "1,200 photos")],
)
def test_a_number_takes_its_noun(number: int, expected: str) -> None:
    assert counted(number, "photo") == expected


def test_a_noun_may_bring_its_verb() -> None:
    assert counted(1, "copy is", "copies are") == "1 copy is"
    assert counted(3, "copy is", "copies are") == "3 copies are"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, "100.0%"),
        (0.9996, "> 99.9%"),
        (0.9994, "99.9%"),
        (0.0006, "0.1%"),
        (0.0004, "< 0.1%"),
        (0.0, "0.0%"),
    ],
)
def test_only_what_is_certain_is_called_so(share: float, expected: str) -> None:
    assert percent(share) == expected
