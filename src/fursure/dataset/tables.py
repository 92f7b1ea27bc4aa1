"""A CSV, TSV or JSONL table of photo paths and labels → rows."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from fursure.dataset.columns import Cells, Columns, columns_of, label_of, text_of
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Split
from fursure.dataset.naming import suffix, tidy
from fursure.errors import BadData, BadImage
from fursure.formats.table import is_photo_suffix
from fursure.remote.place import AnyPlace

_LARGEST = 64 << 20  # bytes of one table: about a million rows
_LONGEST_PATH = 4096  # characters, what Linux allows
_TRIED = (".jpg", ".jpeg", ".png", ".webp")  # where a table gives a photo's id instead of its name

Bad = Callable[[int, str], BadData]  # (line, reason) -> what to raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One photo as a table lists it."""

    path: str  # of the source; as written where no such file can be read
    label: str | None
    split: Split | None
    reason: str | None  # why this photo cannot be used


@final
class Table(Source):
    """A table in a source; what it lists, and nothing else, belongs to it.

    A path is relative to the table's own folder. One that leads nowhere is also looked for in
    ``folders`` beside the table, and with a photo's extension added, because many tables beside
    a folder ``images`` hold bare names or ids. Only with ``anywhere`` does it lead out of the
    folder: the user named this very table, and it lies in no archive.
    """

    def __init__(
        self, inner: Source, name: str, folders: Sequence[str] = (), *, anywhere: bool = False
    ) -> None:
        self._inner, self._name, self._folders = inner, name, ("", *folders)
        self.anywhere = anywhere
        self.notes: list[str] = []
        self._home = name[: name.rfind("/") + 1].removeprefix(inner.prefix)
        self.root: AnyPlace = inner.root
        self.prefix = inner.prefix
        self.path: AnyPlace = inner.root / name

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:  # noqa: ARG002
        """Yield the paths in the order of the rows, each as often as it is listed."""
        return (row.path for row in self.rows(labelled=False))

    def has(self, name: str) -> bool:
        """Return whether there is such a file, listed or not."""
        return self._inner.has(name)

    def expect(self, name: str) -> None:
        """Hand the announcement on."""
        self._inner.expect(name)

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of one photo."""
        return self._inner.read(name, limit)

    def close(self) -> None:
        """Close the source that the table lies in."""
        self._inner.close()

    def rows(self, *, labelled: bool = True) -> Iterator[Row]:
        """Yield the rows in order, each with the reason if its photo cannot be read.

        Raises:
            BadData: the table is malformed, or lacks a column of paths or (if ``labelled``) labels.
        """
        columns: Columns | None = None
        for line, cells in self._records():
            if columns is None:
                columns = columns_of(cells, self.path, labelled=labelled)
                self.notes[:] = columns.notes(self.path.name)
            try:
                yield self._row(cells, columns)
            except (ValueError, BadData) as error:
                raise self._bad(line, str(error)) from None

    def _records(self) -> Iterator[tuple[int, Cells]]:
        """Yield the number of a line and its cells."""
        try:
            data = self._inner.read(self._name, _LARGEST)
        except BadImage as error:
            raise BadData(f"{self.path} cannot be read: {error.reason}.") from None
        if b"\0" in data:
            raise BadData(f"{self.path} is no UTF-8 text; save the table as UTF-8.")
        # Whatever bytes a file's name has on Linux, a table there may hold them.
        text = io.StringIO(data.decode("utf-8-sig", "surrogateescape"), newline="")
        records = _json_lines if suffix(self._name) == ".jsonl" else _separated
        yield from records(text, self._bad)

    def _row(self, cells: Cells, columns: Columns) -> Row:
        written = text_of(cells.get(columns.path))
        if not written:
            raise ValueError("no path; give every photo one, or remove the line.")
        if len(written) > _LONGEST_PATH:
            raise ValueError(
                f"a path of {len(written)} characters; at most {_LONGEST_PATH} can be."
            )
        found, reason = self._found(written)
        return Row(
            path=found,
            label=label_of(cells.get(columns.label)) if columns.label else None,
            split=columns.split_of(cells),
            reason=reason,
        )

    def _found(self, written: str) -> tuple[str, str | None]:
        """Return the path of the file meant by ``written``, or it and why there is none."""
        if (path := tidy(written)) is None:
            if not self.anywhere:
                return written, "path is absolute or leaves the folder of the table"
            path = self._elsewhere(written)
            return path, None if self.has(path) else "file is missing"
        home = self.prefix + self._home
        if self.has(home + path):
            return home + path, None
        endings = ("",) if is_photo_suffix(suffix(path)) else ("", *_TRIED)
        tried = (home + folder + path + ending for folder in self._folders for ending in endings)
        match [name for name in tried if self.has(name)]:
            case [name]:
                return name, None
            case []:
                return home + path, "file is missing"
            case _:
                return home + path, "several files have this name"

    def _elsewhere(self, written: str) -> str:
        """Return a path that leads out of the folder, relative to it where it comes back."""
        root = Path(self.root).absolute()  # nothing elsewhere leads out of its folder
        path = Path(os.path.normpath(root / written.replace("\\", "/")))
        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()

    def _bad(self, line: int, reason: str) -> BadData:
        return BadData(f"{self.path}, line {line}: {reason}")


def _separated(text: io.StringIO, bad: Bad) -> Iterator[tuple[int, Cells]]:
    """Yield the rows of a CSV or TSV: whichever separator the first line has most of."""
    first = text.readline()
    text.seek(0)
    reader = csv.reader(text, delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = next(reader, [])
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise bad(reader.line_num, str(error)) from None


def _json_lines(text: io.StringIO, bad: Bad) -> Iterator[tuple[int, Cells]]:
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise bad(number, str(error)) from None
            if not isinstance(cells, dict):
                raise bad(number, "no JSON object; write one a line, such as {…}.")
            yield number, cells
