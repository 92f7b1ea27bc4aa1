"""Features of many photos, one row each: as halves in memory, or in a file, handed out as singles.

Features are rounded to half precision when they are made (`fursure.splitting.scan`), so keeping
them so loses nothing, and a million photos need no more memory than a block of them.

Dimension key: N photos, B photos of a block, D features.
"""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.system import release

_BLOCK = 2048  # rows at a time
_STEP = 64  # rows widened at once: what is read and what is written then stay in the fastest cache
_WIDEN = np.float32(2.0**112)  # a half's exponent has its zero at 15, a single's at 127

RowIndex = int | slice | NDArray[np.intp] | NDArray[np.bool_] | list[int]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Rows of features (N, D). Whatever is taken out of it is a copy in single precision."""

    kept_ND: NDArray[np.floating]
    file: mmap.mmap | None = None  # what ``kept_ND`` lies in; None: in memory
    rows_N: NDArray[np.intp] | None = None  # of those kept; None: all
    first: int = 0  # the first column that is handed out

    @classmethod
    def of(cls, features_ND: "NDArray[np.floating] | FeatureTable") -> "FeatureTable":
        """Return an array as a table; a table is one."""
        return features_ND if isinstance(features_ND, FeatureTable) else cls(features_ND)

    def __len__(self) -> int:
        return len(self.kept_ND if self.rows_N is None else self.rows_N)

    @property
    def shape(self) -> tuple[int, int]:
        """Photos and features."""
        return len(self), self.kept_ND.shape[1] - self.first

    @property
    def nbytes(self) -> int:
        """The memory that all of it takes as singles."""
        return 4 * len(self) * self.shape[1]

    def __getitem__(self, rows: RowIndex) -> NDArray[np.float32]:
        """Return some rows, or one."""
        if self.file is None:
            return self._taken(rows if self.rows_N is None else self.rows_N[rows])
        where_B = self._every_row()[rows]
        if where_B.ndim == 0:
            return self._taken(where_B)
        starts = range(0, max(len(where_B), 1), _BLOCK)
        return np.concatenate([self._taken(where_B[start : start + _BLOCK]) for start in starts])

    def _taken(self, where: RowIndex) -> NDArray[np.float32]:
        singles_BD = _singles(self.kept_ND[where][..., self.first :])
        if self.file is not None:
            release(self.file)
        return singles_BD

    def _every_row(self) -> NDArray[np.intp]:
        return np.arange(len(self.kept_ND)) if self.rows_N is None else self.rows_N

    def in_file_order(self) -> NDArray[np.intp]:
        """Return the rows as a file is read the fastest: from its beginning to its end."""
        return np.argsort(self._every_row(), kind="stable")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it, as `np.asarray` wants it."""
        return self[:].astype(dtype or np.float32, copy=bool(copy))

    def at(self, rows: RowIndex) -> "FeatureTable":
        """Return a table of some of the rows, without copying any."""
        return replace(self, rows_N=self._every_row()[rows])

    def beyond(self, first: int) -> "FeatureTable":
        """Return the same rows without their ``first`` columns."""
        return replace(self, first=self.first + first)

    def places(self, size: int = _BLOCK) -> Iterator[slice]:
        """Yield where the blocks lie."""
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))

    def mapped(self, make: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
        """Return what ``make`` makes of the rows (N, …), a block at a time."""
        made = [make(self[place]) for place in self.places()]
        return np.concatenate(made) if made else make(self[:0])


def _singles(kept: NDArray[np.floating]) -> NDArray[np.float32]:
    if kept.dtype != np.float16:
        return np.array(kept, np.float32)
    singles = np.empty(kept.shape, np.float32)
    if kept.ndim != 2:
        singles[...] = kept
        return singles
    for start in range(0, len(kept), _STEP):
        widen(kept[start : start + _STEP], singles[start : start + _STEP])
    return singles


def widen(halves: NDArray[np.float16], singles: NDArray[np.float32]) -> None:
    """Write ``halves`` into ``singles`` of the same shape: the same numbers, bit for bit.

    NumPy converts one number after the other; moving sign, exponent and fraction to their places
    and multiplying takes a quarter of that. Infinities and NaN come out as large numbers, and then
    NumPy does it.
    """
    bits = singles.view(np.int32)
    bits[...] = halves.view(np.int16)  # the sign now fills the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70000001), out=bits)  # leaves of it the uppermost bit
    np.multiply(singles, _WIDEN, out=singles)
    if singles.size and max(float(singles.max()), -float(singles.min())) >= 65536:
        singles[...] = halves
