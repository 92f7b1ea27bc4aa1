"""Bytes → bytes that are nearly the same: the one mutator of the fuzzer, the tests, the benchmarks.

It knows nothing of formats; `fuzzing.shapes` takes those apart whose checks have to fit.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Chance = random.Random
Change = Callable[[bytes, Chance], bytes]

EXTREMES = (0, 1, 2, 3, 5, 7, 8, 9, 10, 12, 13)  # and around each power of two, below
ORDERS: tuple[tuple[int, str], ...] = ((1, "<"), (2, "<"), (2, ">"), (4, "<"), (4, ">"), (8, "<"))
NUMBERS = re.compile(rb"-?\d+")
WRITTEN = (  # numbers as text
    *(b"0", b"-1", b"1", b"00", b"255", b"256", b"65535", b"65536", b"2147483647", b"4294967296"),
    *(b"9223372036854775808", b"1e999", b"-0.0", b"NaN", b"1e-400", b"9" * 400, b"0x7f", b"1_0"),
)
HEAD = 400  # bytes; where most formats say what follows
STEPS = (1, 1, 1, 1, 2, 2, 3, 5, 8)  # changes at once


@dataclass(frozen=True, slots=True)
class Mutator:
    """Changes of one kind of input: what to splice with, what words its format has."""

    others: Sequence[bytes] = ()
    words: Sequence[bytes] = ()
    longest: int = 2**17  # bytes

    def __call__(self, data: bytes, chance: Chance) -> bytes:
        """Return ``data`` with one to eight changes."""
        changed = bytearray(data)
        for _ in range(chance.choice(STEPS)):
            chance.choice(CHANGES)(changed, chance, self)
        del changed[self.longest :]
        return bytes(changed)


def _place(changed: bytearray, chance: Chance) -> int:
    """Return a place inside, or 0 of nothing: near the start as often as not."""
    size = len(changed)
    if chance.random() < 0.5:
        size = min(size, HEAD)
    return int(chance.random() * size)


def _span(changed: bytearray, chance: Chance) -> slice:
    start = _place(changed, chance)
    return slice(start, start + chance.choice((1, 2, 4, 8, 12, 32, 128, 1024)))


def _flip_bit(changed: bytearray, chance: Chance, _: Mutator) -> None:
    if changed:
        changed[_place(changed, chance)] ^= 1 << int(chance.random() * 8)


def _set_byte(changed: bytearray, chance: Chance, _: Mutator) -> None:
    if changed:
        changed[_place(changed, chance)] = chance.choice((0, 1, 127, 128, 255, 32, 10, 34, 92))


def _any_byte(changed: bytearray, chance: Chance, _: Mutator) -> None:
    if changed:
        changed[_place(changed, chance)] = int(chance.random() * 256)


def _extreme(changed: bytearray, chance: Chance, _: Mutator) -> None:
    """Write a number that is the first or the last of something, in either order of bytes."""
    size, order = chance.choice(ORDERS)
    start = _place(changed, chance)
    number = chance.choice(EXTREMES)
    if chance.random() < 0.7:
        number = (1 << int(chance.random() * (8 * size + 1))) + chance.choice((-2, -1, 0, 1))
    if chance.random() < 0.2:  # nearly what it was
        old = int.from_bytes(changed[start : start + size], "little" if order == "<" else "big")
        number = old + chance.choice((-16, -1, 1, 16))
    value = (number % (1 << 8 * size)).to_bytes(size, "little" if order == "<" else "big")
    changed[start : start + size] = value


def _cut(changed: bytearray, chance: Chance, _: Mutator) -> None:
    del changed[_place(changed, chance) :]


def _remove(changed: bytearray, chance: Chance, _: Mutator) -> None:
    del changed[_span(changed, chance)]


def _repeat(changed: bytearray, chance: Chance, _: Mutator) -> None:
    """Write a piece again and again where it stands."""
    span = _span(changed, chance)
    piece = changed[span]
    changed[span] = piece * chance.choice((2, 2, 3, 8, 64))


def _move(changed: bytearray, chance: Chance, _: Mutator) -> None:
    piece = changed[_span(changed, chance)]
    at = _place(changed, chance)
    changed[at : at + len(piece) * int(chance.random() * 2)] = piece


def _insert(changed: bytearray, chance: Chance, _: Mutator) -> None:
    at = _place(changed, chance)
    changed[at:at] = chance.randbytes(chance.choice((1, 2, 4, 16, 64)))


def _word(changed: bytearray, chance: Chance, mutator: Mutator) -> None:
    if not mutator.words:
        return _any_byte(changed, chance, mutator)
    word, at = chance.choice(mutator.words), _place(changed, chance)
    changed[at : at + (len(word) if chance.random() < 0.5 else 0)] = word
    return None


def _written(changed: bytearray, chance: Chance, mutator: Mutator) -> None:
    """Replace a number that is written out."""
    match = NUMBERS.search(changed, _place(changed, chance))
    if match is None:
        return _extreme(changed, chance, mutator)
    changed[match.start() : match.end()] = chance.choice(WRITTEN)
    return None


def _splice(changed: bytearray, chance: Chance, mutator: Mutator) -> None:
    """Go on as another input does, from the same place or from any."""
    if mutator.others:
        other = chance.choice(mutator.others)
        at = _place(changed, chance)
        changed[at:] = other[at if chance.random() < 0.5 else int(chance.random() * len(other)) :]


def _graft(changed: bytearray, chance: Chance, mutator: Mutator) -> None:
    """Put a piece of another input in."""
    if mutator.others:
        other = bytearray(chance.choice(mutator.others))
        at, piece = _place(changed, chance), other[_span(other, chance)]
        changed[at : at + len(piece) * int(chance.random() * 2)] = piece


CHANGES: tuple[Callable[[bytearray, Chance, Mutator], None], ...] = (
    *(_flip_bit, _set_byte, _any_byte, _any_byte, _extreme, _extreme, _extreme, _word, _word),
    *(_written, _remove, _repeat, _move, _insert, _graft, _splice, _cut),
)
