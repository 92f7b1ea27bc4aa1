"""A table of photos and labels, or an export of a tool that labels them → rows."""

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from fursure.annotations.annotated import UNLABELLED, Annotated, Votes, votes_on
from fursure.annotations.columnar import ColumnTable
from fursure.annotations.exports import EXPORT_SUFFIXES, export_names, export_of
from fursure.annotations.label_studio import is_row, photos_of
from fursure.annotations.lines import json_lines, separated
from fursure.annotations.opening import is_text_of_exports
from fursure.annotations.places import is_elsewhere, places
from fursure.annotations.shards import COLUMNAR_SUFFIXES, HeldFile, Shard
from fursure.dataset.columns import Cells, Columns, columns_of, label_of, split_named, text_of
from fursure.dataset.listing import Source
from fursure.dataset.naming import suffix, tidy
from fursure.errors import BadData, BadImage
from fursure.formats.table import is_photo_suffix
from fursure.remote.place import AnyPlace
from fursure.rows.photo import Split

_LARGEST = 64 << 20  # bytes of one table: about a million rows
LARGEST_EXPORT = 256 << 20  # bytes of one export: about 200,000 photos
_NO_EXPORTS = COLUMNAR_SUFFIXES | {".tsv", ".jsonl"}
_LONGEST_PATH = 4096  # characters, what Linux allows
_TRIED = (".jpg", ".jpeg", ".png", ".webp")  # where a table gives a photo's id instead of its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One photo as a table lists it."""

    path: str  # of the source; as written where no such file can be read
    label: str | None
    split: Split | None
    reason: str | None  # why this photo cannot be used
    unlabelled: str = UNLABELLED  # what to call a photo without a label


@final
class Table(Source):
    """A table in a source; what it lists, and nothing else, belongs to it.

    A path is relative to the table's own folder. One that leads nowhere is also looked for in
    ``folders`` beside the table, and with a photo's extension added, because many tables beside
    a folder ``images`` hold bare names or ids. Only with ``anywhere`` does it lead out of the
    folder: the user named this very table, and it lies in no archive.
    """

    def __init__(
        self,
        inner: Source,
        name: str,
        folders: Sequence[str] = (),
        *,
        anywhere: bool = False,
        columnar: ColumnTable | None = None,
    ) -> None:
        self._inner, self._name, self._folders = inner, name, ("", *folders)
        self.anywhere, self._columnar = anywhere, columnar
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
        """Close the source that the table lies in, and what the table is read from."""
        self._inner.close()
        if self._columnar is not None:
            self._columnar.close()

    @property
    def is_foreign(self) -> bool:
        """Whether it is JSON or XML of a kind that does not label photos."""
        return suffix(self._name) in EXPORT_SUFFIXES and export_of(self._data()) is None

    def rows(self, *, labelled: bool = True, label_column: str | None = None) -> Iterator[Row]:
        """Yield the rows in order, each with the reason if its photo cannot be read.

        Labels are those of ``label_column``, where one was named.

        Raises:
            BadData: the table is malformed, or lacks a column of paths or (if ``labelled``) labels.
        """
        if (photos := self._annotated()) is not None:
            yield from self._exported(photos, label_column, labelled=labelled)
            return
        columns: Columns | None = None
        for line, cells in self._records():
            if columns is None:
                wanted = label_column or (self._columnar and self._columnar.label_column)
                columns = columns_of(cells, self.path, labelled=labelled, label_column=wanted)
                self.notes[:] = columns.notes(self.path.name)
            try:
                yield self._row(cells, columns)
            except (ValueError, BadData) as error:
                raise self._bad(line, str(error)) from None

    def _annotated(self) -> Callable[[], Iterator[Annotated]] | None:
        """Return what begins to read an export of annotations, None for any other table."""
        if self._columnar is not None or suffix(self._name) in _NO_EXPORTS:
            return None
        if suffix(self._name) == ".csv":
            first = next((cells for _, cells in self._records()), {})
            return (
                (lambda: photos_of(cells for _, cells in self._records()))
                if is_row(first)
                else None
            )
        data = self._data()
        if suffix(self._name) not in EXPORT_SUFFIXES and not is_text_of_exports(data[:512]):
            return None
        if (export := export_of(data)) is not None:
            return lambda: export.photos(data)
        if suffix(self._name) in EXPORT_SUFFIXES:
            raise BadData(f"{self.path} is no export that is read: there are {export_names()}.")
        return None

    def _exported(
        self,
        photos: Callable[[], Iterator[Annotated]],
        label_column: str | None,
        *,
        labelled: bool,
    ) -> Iterator[Row]:
        """Yield the rows of an export; a file that may be one of several photos' is none's."""
        try:
            votes = votes_on(photos() if labelled else (), label_column, str(self.path))
            lying = [(photo, *self._lying(photo.written)) for photo in photos()]
        except ValueError as error:
            raise BadData(f"{self.path} cannot be read: {error}; export it again.") from None
        claims = {(path, photo.written) for photo, path, reason in lying if reason is None}
        claimed = Counter(path for path, _ in claims)
        for photo, path, reason in lying:
            several = claimed[path] > 1
            yield self._exported_row(
                photo,
                votes,
                photo.written if several else path,
                "several photos of the export may be the same file" if several else reason,
            )
        self.notes[:] = votes.notes()

    def _exported_row(self, photo: Annotated, votes: Votes, path: str, reason: str | None) -> Row:
        label, unlabelled = votes.label(photo)
        try:
            label = label_of(label)
        except ValueError as error:
            raise BadData(f"{self.path}, {photo.written[:80]}: {error}") from None
        splits = (split for word in photo.splits if (split := split_named(word)))
        return Row(
            path=path, label=label, split=next(splits, None), reason=reason, unlabelled=unlabelled
        )

    def _lying(self, written: str) -> tuple[str, str | None]:
        """Return the path of the file that an export means, or it and why there is none."""
        if not written or written.startswith("data:"):
            raise ValueError(
                "a photo without a path" if not written else "a photo inside the export itself"
            )
        first: tuple[str, str | None] | None = None
        for place in places(written[:_LONGEST_PATH]):
            path, reason = self._found(place)
            if reason is None:
                return path, None
            first = first or (path, reason)
        if first is None or is_elsewhere(written):
            return written, "file lies on a server, and no copy of it beside the export"
        return first

    def _data(self) -> bytes:
        """Return the bytes of the file."""
        exported = suffix(self._name) in EXPORT_SUFFIXES
        try:
            return self._inner.read(self._name, LARGEST_EXPORT if exported else _LARGEST)
        except BadImage as error:
            raise BadData(f"{self.path} cannot be read: {error.reason}.") from None

    def _records(self) -> Iterator[tuple[int, Cells]]:
        """Yield the number of a line and its cells."""
        if self._columnar is None and suffix(self._name) in COLUMNAR_SUFFIXES:
            if isinstance(self.path, Path) and not self.prefix:
                shards: list[Shard] = [(self.path, "")]
            else:
                shards = [(HeldFile(str(self.path), self._data()), "")]
            columnar = ColumnTable(shards, str(self.path))
            if columnar.pictures and isinstance(shards[0][0], HeldFile):
                raise BadData(
                    f"{self.path} has the photos in it; name that file itself, outside of archives."
                )
            self._columnar = columnar
        if self._columnar is not None:
            yield from self._columnar.rows()
            return
        data = self._data()
        if b"\0" in data:
            raise BadData(f"{self.path} is no UTF-8 text; save the table as UTF-8.")
        # Whatever bytes a file's name has on Linux, a table there may hold them.
        text = io.StringIO(data.decode("utf-8-sig", "surrogateescape"), newline="")
        records = json_lines if suffix(self._name) == ".jsonl" else separated
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
        place = "line" if self._columnar is None else "row"
        return BadData(f"{self.path}, {place} {line}: {reason}")
