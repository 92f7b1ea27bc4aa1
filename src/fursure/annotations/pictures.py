"""A row of a table → its picture, read where the table lies: on from row to row, in little memory.

Rows are asked for nearly in order, by several threads. What was passed on the way to one row waits
for whoever comes for it.
"""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import final

from fursure.annotations.columnar import ColumnTable, RowGroup

_NEAR = 512  # rows ahead that are read on to; beyond, their group is begun with
_MOST = 256 << 20  # bytes of pictures that wait; two chunks of large photos a thread


@final
class ColumnPictures:
    """The pictures of a table of Parquet; threads may ask at once."""

    def __init__(self, table: ColumnTable, groups: Sequence[RowGroup]) -> None:
        self._table, self._groups = table, groups
        self._lock = threading.Lock()
        self._passed: OrderedDict[int, bytes | None] = OrderedDict()
        self._held = 0  # bytes
        self._next, self._reading = 0, self._from(0)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(group.rows for group in self._groups)

    def read(self, row: int) -> bytes | None:
        """Return the picture of a row, ``None`` where it has none.

        Raises:
            BadData: the file is damaged there.
            RemoteFailed: it lies elsewhere and cannot be had.
        """
        with self._lock:
            if row in self._passed:
                return self._taken(row)
            if not self._next <= row < self._next + _NEAR:
                self._begin_at(row)
            try:
                for data in self._reading:
                    self._next += 1
                    if self._next > row:
                        return data
                    self._keep(self._next - 1, data)
            except BaseException:
                self._begin_at(row)  # what raised does not go on
                raise
            return None

    def close(self) -> None:
        """Let the waiting pictures go."""
        self._passed.clear()

    def _begin_at(self, row: int) -> None:
        """Go to the beginning of the group that a row lies in."""
        at = bisect_right(self._groups, row, key=lambda group: group.first) - 1
        self._next, self._reading = self._groups[at].first, self._from(at)

    def _from(self, at: int) -> Iterator[bytes | None]:
        """Yield the pictures from a group on, to the end of the last file."""
        rest = self._groups[at:]
        first_in_file = [later for before, later in pairwise(rest) if later.file is not before.file]
        for group in (rest[0], *first_in_file):
            yield from self._table.pictures_in(group.file, group=group.number)

    def _taken(self, row: int) -> bytes | None:
        data = self._passed.pop(row)
        self._held -= len(data or b"")
        return data

    def _keep(self, row: int, data: bytes | None) -> None:
        if row in self._passed:
            self._taken(row)
        self._passed[row] = data
        self._held += len(data or b"")
        while self._held > _MOST:
            self._taken(next(iter(self._passed)))
