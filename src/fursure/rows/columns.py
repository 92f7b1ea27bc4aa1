"""Columns of a table with very many rows, in a fraction of what as many objects take.

Dimension key: N rows, W different values.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import eq
from typing import Any, Generic, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

_Value = TypeVar("_Value")
RowChoice = NDArray[np.intp] | NDArray[np.bool_] | slice
_BLOCK = 4096  # rows made into objects at a time


@final
@dataclass(frozen=True, slots=True, eq=False)
class Texts(Sequence[str]):
    """Many texts, as the bytes of their letters and where each begins."""

    letters: bytes | bytearray  # UTF-8
    start_N: NDArray[np.int64]
    size_N: NDArray[np.int32]  # bytes

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Texts":
        """Return a column of ``texts``; a column is one."""
        if isinstance(texts, cls):
            return texts
        made = TextsMaker()
        made.extend(texts)
        return made.done()

    def __len__(self) -> int:
        return len(self.start_N)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Texts": ...
    def __getitem__(self, row: int | slice) -> "str | Texts":
        """Return a text, or the column of some."""
        if isinstance(row, slice):
            return self.at(row)
        start = int(self.start_N[row])
        return self.letters[start : start + int(self.size_N[row])].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        letters = self.letters
        for start, size in zip(each_number(self.start_N), each_number(self.size_N), strict=True):
            yield letters[start : start + size].decode("utf-8", "surrogatepass")

    def at(self, rows: RowChoice) -> "Texts":
        """Return the column of some rows, without copying a letter."""
        return Texts(self.letters, self.start_N[rows], self.size_N[rows])

    def in_order(self) -> NDArray[np.intp]:
        """Return the rows in the order of their texts; of equal ones, the first comes first."""
        texts = list(self)
        return np.array(sorted(range(len(texts)), key=texts.__getitem__), np.intp)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Coded(Sequence[_Value], Generic[_Value]):
    """A column many of whose values are equal: each value once, and its number in every row.

    The values are in order, None before all, so numbers compare like what they stand for.
    """

    words: Sequence[_Value]  # (W,); some may be in no row any more
    code_N: NDArray[np.int32]

    @classmethod
    def of(cls, values: "Iterable[_Value]") -> "Coded[_Value]":
        """Return a column of ``values``: texts, or None; a column is one."""
        if isinstance(values, cls):
            return values
        made = CodedMaker[_Value]()
        made.extend(values)
        return made.done()

    @classmethod
    def filled(cls, value: _Value, rows: int) -> "Coded[_Value]":
        """Return a column of one value."""
        return cls([value], np.zeros(rows, np.int32))

    @classmethod
    def picked(cls, values: Iterable[_Value], number_N: NDArray[np.int64]) -> "Coded[_Value]":
        """Return the column whose rows have those of the ``values``, given by number."""
        column = cls.of(values)
        return column.at(number_N)

    def __len__(self) -> int:
        return len(self.code_N)

    @overload
    def __getitem__(self, row: int) -> _Value: ...
    @overload
    def __getitem__(self, row: slice) -> "Coded[_Value]": ...
    def __getitem__(self, row: int | slice) -> "_Value | Coded[_Value]":
        """Return a value, or the column of some."""
        return self.at(row) if isinstance(row, slice) else self.words[int(self.code_N[row])]

    def __iter__(self) -> Iterator[_Value]:
        return map(self.words.__getitem__, each_number(self.code_N))

    def __eq__(self, other: object) -> bool:
        """Return whether the values are those of another sequence, in its order."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # it equals lists, which have none

    def at(self, rows: RowChoice) -> "Coded[_Value]":
        """Return the column of some rows."""
        return Coded(self.words, self.code_N[rows])

    def present(self) -> list[_Value]:
        """Return the different values there are, in order."""
        return [self.words[code] for code in self._codes()]

    def where(self, wanted: Callable[[_Value], bool]) -> NDArray[np.bool_]:
        """Return which rows have a value that is ``wanted``; it is asked once a value."""
        wanted_W = np.zeros(len(self.words), bool)
        for code in self._codes():
            wanted_W[code] = wanted(self.words[code])
        return np.asarray(wanted_W[self.code_N])

    def are(self, value: _Value) -> NDArray[np.bool_]:
        """Return which rows have this value."""
        place = bisect_left(self.words, _rank(value), key=_rank)
        known = place < len(self.words) and self.words[place] == value
        return np.asarray(self.code_N == (place if known else -1))

    def _codes(self) -> list[int]:
        """Return the numbers of the values there are."""
        return np.flatnonzero(np.bincount(self.code_N, minlength=len(self.words))).tolist()

    def but(self, rows: RowChoice, value: _Value) -> "Coded[_Value]":
        """Return the column with this value in some rows."""
        words, code_N = list(self.words), self.code_N.copy()
        place = bisect_left(words, _rank(value), key=_rank)
        if place == len(words) or words[place] != value:
            words.insert(place, value)
            code_N[code_N >= place] += 1
        code_N[rows] = place
        return Coded(words, code_N)

    def put(self, rows_N: NDArray[np.bool_], other: "Coded[_Value]") -> "Coded[_Value]":
        """Return the column with the values of another, shorter one in some rows."""
        if other.words is self.words:
            code_N = self.code_N.copy()
            code_N[rows_N] = other.code_N
            return Coded(self.words, code_N)
        theirs = iter(other)
        pairs = zip(self, rows_N.tolist(), strict=True)
        return Coded.of(next(theirs) if changed else value for value, changed in pairs)

    def numbered(self, order: Iterable[_Value]) -> NDArray[np.int64]:
        """Return the place that each row's value has in ``order``, -1 for one that is not in it."""
        place = {value: number for number, value in enumerate(order)}
        place_W = np.full(len(self.words), -1)
        for code in self._codes():
            place_W[code] = place.get(self.words[code], -1)
        return np.asarray(place_W[self.code_N])


@final
class TextsMaker:
    """A column of texts while they come."""

    def __init__(self) -> None:
        self._letters, self._sizes = bytearray(), array("i")

    def extend(self, texts: Iterable[str]) -> None:
        """Take more."""
        for text in texts:
            piece = text.encode("utf-8", "surrogatepass")  # of a name that is no UTF-8
            self._letters += piece
            self._sizes.append(len(piece))

    def done(self) -> Texts:
        """Return the column."""
        size_N = np.array(self._sizes, np.int32)
        return Texts(self._letters, np.cumsum(size_N, dtype=np.int64) - size_N, size_N)


@final
class CodedMaker(Generic[_Value]):
    """A column of values many of which are equal, while they come."""

    def __init__(self) -> None:
        self._number: dict[_Value, int] = {}
        self._seen = array("i")

    def extend(self, values: Iterable[_Value]) -> None:
        """Take more."""
        number = self._number
        self._seen.extend(number.setdefault(value, len(number)) for value in values)

    def done(self) -> Coded[_Value]:
        """Return the column."""
        words = sorted(self._number, key=_rank)
        code_W = np.empty(len(words), np.int32)
        code_W[[self._number[word] for word in words]] = np.arange(len(words))
        return Coded(words, code_W[np.array(self._seen, np.intp)])


def each_number(column_N: NDArray[Any]) -> Iterator[int]:
    """Yield numbers of Python's, made a block at a time."""
    for start in range(0, len(column_N), _BLOCK):
        yield from column_N[start : start + _BLOCK].tolist()


def _rank(word: Any) -> tuple[bool, str]:
    """Return by what values are ordered: None before all texts."""
    return word is not None, word or ""
