"""Pages of 16 bits a channel, or of wide greys → 8 bits.

Pillow knows some of them, and mistakes others without a word: it reads planes of 16 bits as
planes of 8, and takes one end of the scale for the other. So Pillow unpacks the bytes alone, in
blocks written as if they were small greys of 8 bits; what they mean is told here.

Dimension key: H W height and width (pixels), C channels.
"""

import io
import struct
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from fursure.formats.format import OtherKind
from fursure.formats.tiff_tags import Tag, Tags
from fursure.pixels.deep import BAND, Rows, eight_bits

_TYPES = {(16, 1): "u2", (16, 4): "u2", (16, 2): "i2", (16, 3): "f2", (32, 1): "u4", (32, 2): "i4"}
_TYPES |= {(32, 3): "f4", (64, 3): "f8"}  # (bits, the tag's kind) → the type of a value
_MODES = {0: "L", 1: "L", 2: "RGB", 5: "CMYK"}  # the tag's colours → the mode
BYTEWISE = {1, 5, 8, 32773, 32946, 34925, 50000}  # compressions that do not look at pixels
DIFFERENCES, FLOAT_DIFFERENCES = 2, 3  # predictors
MAX_BLOCK = 80_000_000  # bytes of one strip or row of tiles
_KEPT = 64 * 2**20  # bytes of values that are kept between two walks


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A deep page: what its values are, and where."""

    width: int  # pixels
    height: int
    mode: str  # of the result
    type: np.dtype[Any]  # of a value
    channels: int
    inverted: bool  # 0 is white
    planes: bool  # each channel for itself
    compression: int
    fill_order: int
    predictor: int
    tile: tuple[int, int] | None  # pixels
    rows: int  # of a strip or tile
    places: tuple[tuple[int, int], ...]  # (start, length) of each strip or tile

    @property
    def step(self) -> int:
        """Return the bytes from one pixel to the next, of a plane or of all."""
        return self.type.itemsize * (1 if self.planes else self.channels)

    @property
    def across(self) -> int:
        """Return the number of tiles, or strips, side by side."""
        return ceil(self.width / self.tile[0]) if self.tile else 1


def deep_page(tags: Tags, order: str) -> Page | None:
    """Return the page that ``tags`` describe, None where it is not deep or not known here."""
    bits, kinds = set(tags.many(Tag.BITS, (1,))), set(tags.many(Tag.KIND, (1,)))
    type_ = _TYPES.get((max(bits), max(kinds)))
    mode = _MODES.get(tags.one(Tag.COLOURS, 0))
    if type_ is None or len(bits) > 1 or len(kinds) > 1 or mode is None:
        return None
    if (mode != "L" and type_ != "u2") or tags.one(Tag.COMPRESSION, 1) not in BYTEWISE:
        return None
    colours, channels = len(mode), tags.one(Tag.CHANNELS, 1)
    if channels < colours:
        return None
    width, height = tags.one(Tag.WIDTH, 0), tags.one(Tag.HEIGHT, 0)
    tiled = Tag.TILES in tags.numbers
    starts = tags.many(Tag.TILES if tiled else Tag.STRIPS)
    lengths = tags.many(Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES)
    rows = tags.one(Tag.TILE_HEIGHT, 0) if tiled else min(tags.one(Tag.ROWS, height), height)
    step = np.dtype(type_).itemsize * (1 if tags.one(Tag.PLANES, 1) == 2 else channels)
    if tags.one(Tag.COMPRESSION, 1) == 1 and not tiled and rows == height:
        starts, lengths, rows = _divided(starts, width * step, height, max(1, BAND // width))
    return Page(
        width=width,
        height=height,
        mode=_with_opacity(mode, tags, channels) if type_ == "u2" else mode,
        type=np.dtype(order + type_),
        channels=channels,
        inverted=tags.one(Tag.COLOURS, 0) == 0,
        planes=tags.one(Tag.PLANES, 1) == 2 and channels > 1,
        compression=tags.one(Tag.COMPRESSION, 1),
        fill_order=tags.one(Tag.FILL_ORDER, 1),
        predictor=tags.one(Tag.PREDICTOR, 1),
        tile=(tags.one(Tag.TILE_WIDTH, 0), tags.one(Tag.TILE_HEIGHT, 0)) if tiled else None,
        rows=rows,
        places=tuple(zip(starts, lengths, strict=False)),
    )


def _divided(
    starts: tuple[int, ...], row: int, height: int, rows: int
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Return strips of ``rows`` rows of ``row`` bytes each, of planes that are one strip each."""
    tops = range(0, height, rows)
    places = [start + top * row for start in starts for top in tops]
    lengths = [min(rows, height - top) * row for _ in starts for top in tops]
    return tuple(places), tuple(lengths), rows


def _with_opacity(mode: str, tags: Tags, channels: int) -> str:
    """Return the mode with its opacity, if there is any: multiplied in already (1), or not (2)."""
    if mode == "CMYK" or channels == len(mode):
        return mode
    kind = tags.one(Tag.EXTRA, 2 if mode == "RGB" else 0)
    return mode + {1: "a", 2: "A"}.get(kind, "")


def open_deep(data: bytes, page: Page) -> Image.Image:
    """Return the page in 8 bits.

    Raises:
        OtherKind: its strips are too large to be unpacked one by one.
    """
    whole = page.width * page.height * page.channels * page.type.itemsize
    blocks = list(_rows(data, page)) if whole <= _KEPT else None
    return eight_bits(
        (page.width, page.height),
        page.mode,
        lambda: _rows(data, page) if blocks is None else iter(blocks),
        alpha=page.mode[-1] in "aA",
        inverted=page.inverted,
        white=65_535 if page.mode == "CMYK" else 0,
    )


def _rows(data: bytes, page: Page) -> Rows:
    wanted = len(page.mode)
    down = ceil(page.height / page.rows)
    group = 1 if page.tile else max(1, BAND // (page.width * page.rows))  # strips at once
    if (
        page.rows * page.step * (page.tile[0] * page.across if page.tile else page.width)
        > MAX_BLOCK
    ):
        raise OtherKind("TIFF", f"in strips of over {MAX_BLOCK // 10**6} MB")
    for first in range(0, down, group):
        top, bottom = first * page.rows, min((first + group) * page.rows, page.height)
        planes = [
            _values(data, page, (plane * down + first) * page.across, bottom - top)
            for plane in range(wanted if page.planes else 1)
        ]
        values_HWC = np.concatenate(planes, axis=-1) if page.planes else planes[0]
        yield top, values_HWC[..., :wanted]


def _values(data: bytes, page: Page, first: int, height: int) -> NDArray[Any]:
    """Return the values (height, W, C) of the strips, or the row of tiles, from ``first`` on."""
    places = page.places[first : first + ceil(height / page.rows) * page.across]
    if len(places) < ceil(height / page.rows) * page.across:
        raise EOFError("the TIFF lacks strips")
    strips = [data[start : start + length] for start, length in places]
    image = TiffImageFile(io.BytesIO(_as_bytes(page, strips, height)))
    bytes_HW = np.asarray(image)
    side = page.tile[0] if page.tile else page.width
    tiles = [
        _undone(bytes_HW[:, left * page.step : (left + side) * page.step], page)
        for left in range(0, page.width, side)
    ]
    return np.concatenate(tiles, axis=1)[:, : page.width]


def _undone(bytes_HW: NDArray[np.uint8], page: Page) -> NDArray[Any]:
    """Return the values (H, W, C) of a strip or tile, its predictor undone."""
    height, channels = len(bytes_HW), 1 if page.planes else page.channels
    bytes_HW = np.ascontiguousarray(bytes_HW)
    if page.compression == 1 or page.predictor not in {DIFFERENCES, FLOAT_DIFFERENCES}:
        return bytes_HW.view(page.type).reshape(height, -1, channels)
    if page.predictor == DIFFERENCES:
        unsigned = page.type.str[0] + f"u{page.type.itemsize}"
        steps_HWC = bytes_HW.view(unsigned).reshape(height, -1, channels)
        native = np.dtype(f"u{page.type.itemsize}")
        sums_HWC = np.cumsum(steps_HWC.astype(native), axis=1, dtype=native)
        return sums_HWC.view(page.type.newbyteorder("="))
    # Adobe's floating-point predictor: the bytes of a row by weight, highest first, as differences
    sums = np.cumsum(bytes_HW.reshape(height, -1, channels), axis=1, dtype=np.uint8)
    weights = sums.reshape(height, page.type.itemsize, -1).swapaxes(1, 2)
    values = np.ascontiguousarray(weights).view(page.type.newbyteorder(">"))
    return values.reshape(height, -1, channels)


def _as_bytes(page: Page, strips: list[bytes], height: int) -> bytes:
    """Return a small TIFF whose 8-bit greys are the bytes of those strips or tiles."""
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    end = starts.pop()
    tags: list[tuple[int, list[int]]] = [
        (Tag.WIDTH, [(page.tile[0] * page.across if page.tile else page.width) * page.step]),
        (Tag.HEIGHT, [height]),
        (Tag.BITS, [8]),
        (Tag.COMPRESSION, [page.compression]),
        (Tag.COLOURS, [1]),
        (Tag.FILL_ORDER, [page.fill_order]),
        (Tag.CHANNELS, [1]),
    ]
    sizes = [len(strip) for strip in strips]
    if page.tile:
        tags += [(Tag.TILE_WIDTH, [page.tile[0] * page.step]), (Tag.TILE_HEIGHT, [page.tile[1]])]
        tags += [(Tag.TILES, starts), (Tag.TILE_BYTES, sizes)]
    else:
        tags += [(Tag.STRIPS, starts), (Tag.ROWS, [page.rows]), (Tag.STRIP_BYTES, sizes)]
    table, values = b"", b""
    far = end + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        place = packed if len(packed) == 4 else struct.pack("<I", far + len(values))
        values += packed if len(packed) > 4 else b""
        table += struct.pack("<HHI", tag, 4, len(numbers)) + place
    head = b"II*\0" + struct.pack("<I", end)
    return b"".join([head, *strips, struct.pack("<H", len(tags)), table, bytes(4), values])
