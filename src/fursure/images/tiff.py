"""TIFF files → their facts, and the first page rewritten with nothing but its pixels' tags.

A TIFF is all tags: EXIF, thumbnails, private tables. Pillow and libtiff parse every one of them,
warn, and log; a table of the few that make pixels leaves them nothing to trip over. (Where those
pixels are compressed and damaged, libtiff itself prints a line to stderr; Python cannot stop it.)
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fursure.images.headers import Header

WIDTH, HEIGHT, CHANNELS, ORIENTATION = 256, 257, 277, 274
STRIPS, TILES = (273, 279), (324, 325)  # where pixels are, and how many bytes of them
PLACES = {*STRIPS, *TILES}
SINGLE = {WIDTH, HEIGHT, CHANNELS, 259, 262, 266, 278, 284, 317, 322, 323}  # tags of one value
USED = SINGLE | PLACES | {ORIENTATION}
# Further: bits, fax options, palette, inks, extra channels, sample format,
# tables of JPEG compression, YCbCr.
PIXELS = SINGLE | PLACES | {258, 292, 293, 320, 332, 338, 339, 347}
PIXELS |= {*range(512, 522), 529, 530, 531, 532}
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
UNITS |= {16: 8, 17: 8, 18: 8}  # bytes per value of each type
NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types that count something, as `struct` spells them
MAX_CHANNELS = 6  # what Pillow decodes
MAX_VALUES = 1_000_000  # of a tag: 64 megapixels in tiles of 16 × 16 need 250,000
MAX_PAGES = 1_000  # that are counted


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file writes its tables: classic or BigTIFF, little or big endian."""

    order: str  # of bytes, as `struct` spells it
    count: struct.Struct  # entries in a table
    entry: struct.Struct  # tag, type, number of values, the values or where they are
    offset: struct.Struct  # where the next table is
    first: int  # the position of the first table's offset


def read_tiff_header(data: bytes) -> Header:
    """Return the facts of a TIFF's first page, and the file reduced to that page's pixels."""
    layout = _layout(data)
    (first,) = layout.offset.unpack_from(data, layout.first)
    numbers: dict[int, list[int]] = {}
    kept: list[bytes] = []
    for tag, entry, values in _entries(data, layout, first):
        numbers[tag] = values
        if tag in SINGLE and len(values) != 1:
            raise ValueError(f"tag {tag} with {len(values)} values")
        if tag != ORIENTATION:
            kept.append(entry)
    _check_pixels(numbers, len(data))
    if numbers.get(CHANNELS, [1]) > [MAX_CHANNELS]:
        raise ValueError(f"{numbers[CHANNELS][0]} channels")

    padding = bytes(len(data) % 2)  # tables begin at even offsets
    table = layout.count.pack(len(kept)) + b"".join(kept) + layout.offset.pack(0)
    moved = layout.offset.pack(len(data) + len(padding))
    rest = memoryview(data)[layout.first + len(moved) :]
    return Header(
        width=numbers[WIDTH][0],
        height=numbers[HEIGHT][0],
        frames=_pages(data, layout, first),
        orientation=(numbers.get(ORIENTATION) or [1])[0],
        data=b"".join([data[: layout.first], moved, rest, padding, table]),
    )


def _layout(data: bytes) -> _Layout:
    order = "<" if data.startswith(b"II") else ">"
    big = 43 in data[2:4]
    count, entry, offset, first = ("Q", "HHQ8s", "Q", 8) if big else ("H", "HHI4s", "I", 4)
    return _Layout(
        order,
        struct.Struct(order + count),
        struct.Struct(order + entry),
        struct.Struct(order + offset),
        first,
    )


def _entries(data: bytes, layout: _Layout, table: int) -> Iterator[tuple[int, bytes, list[int]]]:
    """Yield (tag, the entry itself, its numbers if we use them) for each entry that we keep."""
    (count,) = layout.count.unpack_from(data, table)
    start, step = table + layout.count.size, layout.entry.size
    elsewhere = 0
    for at in range(start, start + step * count, step):
        tag, type_, number, value = layout.entry.unpack_from(data, at)
        if tag not in PIXELS and tag != ORIENTATION:
            continue
        length, where = UNITS[type_] * number, at + step - len(value)
        if length > len(value):
            elsewhere += length
            (where,) = layout.offset.unpack(value)
        if number > MAX_VALUES or max(where + length, elsewhere) > len(data):
            raise EOFError("the TIFF ends before its tables do")
        used = tag in USED and type_ in NUMBERS
        format_ = f"{layout.order}{number}{NUMBERS[type_]}" if used else ""
        yield tag, data[at : at + step], list(struct.unpack_from(format_, data, where))


def _check_pixels(numbers: dict[int, list[int]], size: int) -> None:
    """Refuse a file that ends before its pixels do: they would be read from what we append."""
    for starts, lengths in (STRIPS, TILES):
        ends = map(sum, zip(numbers.get(starts, ()), numbers.get(lengths, ()), strict=False))
        if max(ends, default=0) > size:
            raise EOFError("the TIFF ends before its pixels do")


def _pages(data: bytes, layout: _Layout, table: int) -> int:
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
