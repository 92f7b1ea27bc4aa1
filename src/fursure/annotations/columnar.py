"""Parquet and Arrow files → rows and pictures, batch by batch.

An image column holds a photo's bytes, or the Hugging Face pair of ``bytes`` and ``path``; the
names of classes are those of the schema's ``huggingface`` metadata.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, final

from fursure.annotations.shards import ColumnFile, Shard, check_unpacked_size
from fursure.errors import BadData, MissingExtra

_PARQUET, _ARROW, _STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_MAGIC = b"ARROW1\0\0"
_ROWS, _PICTURES = 4096, 16  # rows of a batch, without and with photos
_BLOCK = 1 << 20  # bytes read of a column at a time
_IMAGES = ("image", "img", "photo", "picture", "pixels", "bytes", "image_bytes", "content")

_DAMAGE = (OSError, ValueError, KeyError, MemoryError, struct.error)  # what pyarrow raises, too


class RowGroup(NamedTuple):
    """Rows of a Parquet file that can be read without those before them."""

    first: int  # row of the whole table, from 0
    rows: int
    file: ColumnFile
    number: int  # in that file


def is_columnar(head: bytes) -> bool:
    """Return whether a file begins as one of Parquet or Arrow does."""
    return head.startswith((_PARQUET, _ARROW)) or (
        head.startswith(_STREAM) and head[8:9] != b"\xff"
    )


@final
class ColumnTable:
    """The rows of one file, or of several with the same columns."""

    def __init__(
        self,
        shards: Sequence[Shard],
        name: str,
        folder: "TemporaryDirectory[str] | None" = None,
    ) -> None:
        """Read the schema of the first file; ``name`` is what messages call the table.

        The ``folder`` of temporary copies goes when the table is closed.

        Raises:
            MissingExtra: pyarrow is not installed.
            BadData: the file is damaged.
        """
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtra("a Parquet or Arrow table", "tables") from error
        self._arrow, self._parquet = pyarrow, parquet
        self._shards, self._name, self._folder = shards, name, folder
        self._checked: set[ColumnFile] = set()
        with self._explained(shards[0][0]):
            schema = self._opened(shards[0][0])[0]
            self._classes = dict(_classes(schema))
            self.columns = tuple(schema.names)
            self._cells = [field.name for field in schema if self._is_cell(field.type)]
            self._images = self._image_columns(schema)
            self._named = [name for name in self._images if self._has_path(schema.field(name).type)]
        self.pictures = next(filter(self._has_bytes, self._images), None)

    @property
    def label_column(self) -> str | None:
        """The only column whose values the schema says are classes."""
        return next(iter(self._classes)) if len(self._classes) == 1 else None

    def rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the number of each row and its cells; ``path`` is the picture's name, if any.

        Raises:
            BadData: a file is damaged.
        """
        names = self._names()
        number = 0
        for path, part in self._shards:
            for batch in self._batches(path, self._cells, _ROWS):
                for cells in batch.to_pylist():
                    number += 1
                    try:
                        row = self._row(cells, next(names, None), part)
                    except ValueError as error:
                        raise BadData(f"{self._shown(path)}, row {number}: {error}.") from None
                    yield number, row

    def photos(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of each picture; rows without one are passed over.

        Raises:
            BadData: a file is damaged.
        """
        names = self._names()
        for path, _ in self._shards:
            for data in self.pictures_in(path):
                name = next(names)
                if data and name is not None:
                    yield name, data

    def pictures_in(self, path: ColumnFile, *, group: int = 0) -> Iterator[bytes | None]:
        """Yield the picture of each row of one file, of Parquet from a row group on.

        Raises:
            BadData: the file is damaged.
        """
        for batch in self._batches(path, [self.pictures or ""], _PICTURES, group=group):
            for value in batch.column(0):
                yield _bytes(value.as_py())

    def row_groups(self) -> list[RowGroup]:
        """Return the groups of rows that can be begun with; none where a file is not of Parquet."""
        groups: list[RowGroup] = []
        row = 0
        for path, _ in self._shards:
            with self._explained(path):
                _, table = self._opened(path)
                if not isinstance(table, self._parquet.ParquetFile):
                    return []
                for number in range(table.metadata.num_row_groups):
                    rows = table.metadata.row_group(number).num_rows
                    groups.append(RowGroup(row, rows, path, number))
                    row += rows
        return groups

    def names(self, rows: int) -> Iterator[str | None]:
        """Yield what the pictures of the first ``rows`` rows are called."""
        return islice(self._names(), rows)

    def close(self) -> None:
        """Let go of files that lie elsewhere, and of the copies it reads."""
        for path, _ in self._shards:
            if not isinstance(path, Path):
                path.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _row(self, cells: dict[str, Any], name: str | None, part: str) -> dict[str, object]:
        row: dict[str, object] = {} if name is None else {"path": name}
        for column, value in cells.items():
            if column in self._classes:
                row[column] = _class(value, self._classes[column])
            elif column != "path" or name is None:
                row[column] = None if value != value else value  # noqa: PLR0124 - NaN
        return row | ({"split": part} if part and "split" not in row else {})

    def _names(self) -> Iterator[str | None]:
        """Yield what each photo is called: by the file it once was, else by its number.

        Where there is no column of images there is no such name.
        """
        column = self.pictures or next(iter(self._images), None)
        if column is None:
            return
        if column not in self._named:
            yield from (f"{number:06}" for number in count(1))
        seen, number = {"", ".", ".."}, 0
        for path, _ in self._shards:
            for batch in self._batches(path, [f"{column}.path"], _ROWS):
                for value in batch.column(0).field("path"):
                    number += 1
                    name = value.as_py()
                    if self.pictures:
                        name = (name or "").replace("\\", "/").rpartition("/")[2]
                        if name in seen or ":" in name:
                            name = f"{number:06}"
                        seen.add(name)
                    yield name

    def _has_bytes(self, column: str) -> bool:
        """Return whether the first rows have photos in them, and not only their paths."""
        for batch in self._batches(self._shards[0][0], [column], _PICTURES):
            return any(_bytes(value.as_py()) for value in batch.column(0))
        return False

    def _image_columns(self, schema: Any) -> list[str]:
        """Return the columns that may hold photos, those that are called so first."""
        found = [field.name for field in schema if self._is_image(field.type)]
        return sorted(found, key=lambda name: name.lower() not in _IMAGES)

    def _is_image(self, kind: Any) -> bool:
        types = self._arrow.types
        if types.is_struct(kind):
            names = {kind.field(at).name for at in range(kind.num_fields)}
            return "bytes" in names and self._is_image(kind.field("bytes").type)
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    def _has_path(self, kind: Any) -> bool:
        """Return whether a column of images says what files these were."""
        fields = {kind.field(at).name: kind.field(at).type for at in range(kind.num_fields)}
        return "path" in fields and self._is_text(fields["path"])

    def _is_text(self, kind: Any) -> bool:
        types = self._arrow.types
        return bool(
            types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        )

    def _is_cell(self, kind: Any) -> bool:
        types = self._arrow.types
        if types.is_dictionary(kind):
            kind = kind.value_type
        return bool(
            self._is_text(kind)
            or types.is_integer(kind)
            or types.is_floating(kind)
            or types.is_boolean(kind)
        )

    def _opened(self, place: ColumnFile) -> tuple[Any, Any]:
        """Return the schema of a file, and what reads it."""
        with place.open("rb") if isinstance(place, Path) else place.reader() as file:
            head = file.read(16)
        size = place.stat().st_size if isinstance(place, Path) else place.size
        if head.startswith(_PARQUET):
            whole = place if isinstance(place, Path) else place.reader()
            table = self._parquet.ParquetFile(whole, pre_buffer=False, buffer_size=_BLOCK)
            groups = range(table.metadata.num_row_groups)
            unpacked = sum(table.metadata.row_group(at).total_byte_size for at in groups)
            check_unpacked_size(self._name, unpacked, size)
            return table.schema_arrow, table
        source = self._arrow_source(place)
        begin = len(_MAGIC) if head.startswith(_ARROW) else 0  # then a file goes on as a stream
        if place not in self._checked:  # which reads all of it, perhaps from far away
            if begin and source.read_at(len(_ARROW), max(0, size - len(_ARROW))) != _ARROW:
                raise ValueError("its end is missing")  # a stream may end after any batch
            source.seek(begin)
            messages = iter(self._arrow.ipc.MessageReader.open_stream(source))
            check_unpacked_size(self._name, sum(map(_declared, messages)), size)
            self._checked.add(place)
        source.seek(begin)
        table = self._arrow.ipc.open_stream(source)
        return table.schema, table

    def _arrow_source(self, place: ColumnFile) -> Any:
        """Return what pyarrow reads a file from, at any place in it."""
        if isinstance(place, Path):
            return self._arrow.memory_map(str(place))
        return self._arrow.PythonFile(place.reader(), mode="r")

    def _batches(
        self, path: ColumnFile, columns: list[str], rows: int, *, group: int = 0
    ) -> Iterator[Any]:
        """Yield so many rows at a time of some columns; ``a.b`` is a part of the column ``a``.

        Of a Parquet file, from the row group of that number on.
        """
        with self._explained(path):
            _, table = self._opened(path)
            if isinstance(table, self._parquet.ParquetFile):
                groups = range(group, table.metadata.num_row_groups)
                for batch in table.iter_batches(
                    rows, row_groups=groups, columns=columns, use_threads=False
                ):
                    batch.validate(full=True)
                    yield batch
                return
            wanted = [column.partition(".")[0] for column in columns]
            for whole in table:
                whole.validate(full=True)
                for start in range(0, whole.num_rows, rows):
                    yield whole.slice(start, rows).select(wanted)

    def _shown(self, path: ColumnFile) -> str:
        """Return what messages call one of the files; of a copy nobody knows the name."""
        return str(path) if self._folder is None else self._name

    @contextmanager
    def _explained(self, path: ColumnFile) -> Iterator[None]:
        """Turn what pyarrow says of a damaged file into a sentence."""
        try:
            yield
        except (self._arrow.ArrowException, *_DAMAGE) as error:
            said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise BadData(
                f"{self._shown(path)} is damaged or cut off, or of a kind that cannot be read "
                f"({said}); copy or write it again."
            ) from None


def _declared(message: Any) -> int:
    """Return how many bytes the packed buffers of an Arrow message say that they unpack to.

    pyarrow asks for that much memory before it unpacks. The layout is that of Arrow's Message.fbs.

    Raises:
        struct.error: it is damaged.
    """
    # A memoryview that an exception keeps in a circle may crash the collector of garbage.
    facts, body = message.metadata.to_pybytes(), message.body or b""

    def number(form: str, at: int) -> int:
        return int(struct.unpack_from(form, facts, at)[0])

    def field(table: int, row: int) -> int:
        """Return where a field of a table lies; 0 for one that it lacks."""
        slots = table - number("<i", table)
        held = 4 + 2 * row < number("<H", slots)
        there = number("<H", slots + 4 + 2 * row) if held else 0
        return table + there if there else 0

    def led(at: int) -> int:
        return at + number("<I", at)

    root = led(0)
    header = led(field(root, 2))
    if message.type == "dictionary":
        header = led(field(header, 1))
    elif message.type != "record batch":
        return 0
    if not field(header, 3):  # nothing is packed
        return 0
    buffers = led(field(header, 2))
    places = struct.iter_unpack("<qq", facts[buffers + 4 :][: 16 * number("<I", buffers)])
    return sum(
        max(0, struct.unpack_from("<q", body, start)[0]) for start, size in places if size >= 8
    )


def _classes(schema: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the columns that hold numbers of classes, with the names of these."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features: Mapping[str, Any] = told["info"]["features"]
        for column, feature in features.items():
            match feature:
                case {"_type": "ClassLabel", "names": list(names)} if column in schema.names:
                    yield column, [str(name) for name in names]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # a note that is none: the numbers stand for themselves


def _class(value: Any, names: list[str]) -> object:
    """Return the name of a class by its number; -1 and nothing are no label."""
    if type(value) is not int or value == -1:
        return None if type(value) is int else value
    if not 0 <= value < len(names):
        raise ValueError(f"class {value} of {len(names)}")
    return names[value]


def _bytes(value: Any) -> bytes | None:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else None
