"""The tables of a TIFF → its first page's tags."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Tag(IntEnum):
    """The tags that we read, by their numbers in TIFF 6.0 and its supplements."""

    REDUCED = 254  # of another picture: a thumbnail
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    COLOURS = 262
    FILL_ORDER = 266
    STRIPS = 273  # where they begin
    ORIENTATION = 274
    CHANNELS = 277
    ROWS = 278  # of a strip
    STRIP_BYTES = 279
    PLANES = 284
    PREDICTOR = 317
    PALETTE = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324  # where they begin
    TILE_BYTES = 325
    SUBTABLES = 330
    EXTRA = 338
    KIND = 339
    XMP = 700
    PROFILE = 34675
    DNG = 50706


BESIDE = {Tag.ORIENTATION, Tag.REDUCED, Tag.SUBTABLES, Tag.DNG, Tag.XMP, Tag.PROFILE}
# Further: fax options, inks, tables of JPEG compression, YCbCr.
_PIXELS = {*Tag} - BESIDE | {292, 293, 332, 347, *range(512, 522), 529, 530, 531, 532}
SINGLE = {Tag.WIDTH, Tag.HEIGHT, Tag.COMPRESSION, Tag.COLOURS, Tag.FILL_ORDER, Tag.CHANNELS}
SINGLE |= {Tag.ROWS, Tag.PLANES, Tag.PREDICTOR, Tag.TILE_WIDTH, Tag.TILE_HEIGHT}  # of one value
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
UNITS |= {16: 8, 17: 8, 18: 8}  # bytes per value of each type
NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types that count something, as `struct` spells them
MAX_VALUES = 1_000_000  # of a tag: 64 megapixels in tiles of 16 × 16 need 250,000
MAX_PAGES = 1_000  # that are counted


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file writes its tables: classic or BigTIFF, little or big endian."""

    order: str  # of bytes, as `struct` spells it
    count: struct.Struct  # entries in a table
    entry: struct.Struct  # tag, type, number of values, the values or where they are
    offset: struct.Struct  # where the next table is
    first: int  # the position of the first table's offset


@dataclass(frozen=True, slots=True)
class Tags:
    """Those tags of a table that make pixels or that we read ourselves."""

    entries: Mapping[int, bytes]  # as they stand in the table
    numbers: Mapping[int, tuple[int, ...]]  # of those that count something
    places: Mapping[int, slice]  # where in the file the values are

    def one(self, tag: Tag, default: int) -> int:
        """Return the first number of a tag."""
        return self.many(tag, (default,))[0]

    def many(self, tag: Tag, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the numbers of a tag."""
        return self.numbers.get(tag) or default


def read_layout(data: bytes) -> Layout:
    """Return how the tables of ``data`` are written."""
    order = "<" if data.startswith(b"II") else ">"
    big = 43 in data[2:4]
    count, entry, offset, first = ("Q", "HHQ8s", "Q", 8) if big else ("H", "HHI4s", "I", 4)
    return Layout(
        order,
        struct.Struct(order + count),
        struct.Struct(order + entry),
        struct.Struct(order + offset),
        first,
    )


def read_tags(data: bytes, layout: Layout, table: int) -> Tags:
    """Return the tags of the table at ``table``.

    Raises:
        EOFError: the file ends before the values do that make pixels.
        ValueError: several values where there can be one.
    """
    entries: dict[int, bytes] = {}
    numbers: dict[int, tuple[int, ...]] = {}
    places: dict[int, slice] = {}
    (count,) = layout.count.unpack_from(data, table)
    start, step = table + layout.count.size, layout.entry.size
    elsewhere = 0
    for at in range(start, start + step * count, step):
        tag, type_, number, value = layout.entry.unpack_from(data, at)
        if tag not in _PIXELS and tag not in BESIDE:
            continue
        length, where = UNITS[type_] * number, at + step - len(value)
        if length > len(value):
            (where,) = layout.offset.unpack(value)
            elsewhere += length
        is_cut = where + length > len(data)
        if is_cut and tag in BESIDE:  # no photo is refused for its metadata
            continue
        if is_cut or elsewhere > len(data):
            raise EOFError("the TIFF ends before its tables do")
        if tag in SINGLE and number != 1:
            raise ValueError(f"tag {tag} with {number} values")
        entries[tag], places[tag] = data[at : at + step], slice(where, where + length)
        if type_ in NUMBERS and tag not in {Tag.XMP, Tag.PROFILE} and number <= MAX_VALUES:
            format_ = f"{layout.order}{number}{NUMBERS[type_]}"
            numbers[tag] = struct.unpack_from(format_, data, where)
    return Tags(entries, numbers, places)


def count_pages(data: bytes, layout: Layout, table: int) -> int:
    """Return the number of tables in the chain that begins at ``table``."""
    seen: set[int] = set()
    while table and table not in seen and len(seen) < MAX_PAGES:
        seen.add(table)
        try:
            (count,) = layout.count.unpack_from(data, table)
            end = table + layout.count.size + layout.entry.size * count
            (table,) = layout.offset.unpack_from(data, end)
        except (struct.error, OverflowError):  # a chain that leads nowhere spoils no first page
            break
    return len(seen)
