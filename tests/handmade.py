"""Image files and colour profiles written byte by byte, of kinds that Pillow does not write.

Dimension key: H W height and width (pixels), C channels.
"""

import struct
import zlib
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
DEFLATE = 8
TO_XYZ = np.array(  # linear sRGB → XYZ under D50 (Bradford), as in its ICC profiles
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
PROPHOTO = np.array([[0.7977, 0.1352, 0.0313], [0.288, 0.7119, 0.0001], [0, 0, 0.8249]])
WHITE = np.array([0.9642, 1, 0.8249])


def tiff(
    values_HWC: Values,
    *,
    colours: int = 2,
    kind: int = 1,
    order: str = "<",
    planes: bool = False,
    compressed: bool = False,
    predictor: int = 1,
    rows: int = 0,
    tile: tuple[int, int] | None = None,
    bits: int = 0,
    extra: tuple[int, ...] = (),
    more: dict[int, tuple[int, bytes]] | None = None,
) -> bytes:
    """Return a TIFF of the values as they are; ``rows`` of a strip, ``tile`` is (width, height).

    ``more`` are further tags: their type and their bytes.
    """
    height, width, channels = values_HWC.shape
    rows = rows or height
    layers = [values_HWC[..., at : at + 1] for at in range(channels)] if planes else [values_HWC]
    blocks = [
        _block(part, order, predictor) for layer in layers for part in _parts(layer, rows, tile)
    ]
    blocks = [zlib.compress(block) for block in blocks] if compressed else blocks
    starts = np.cumsum([8, *map(len, blocks)]).tolist()
    size, words = [len(block) for block in blocks], struct.Struct
    tags: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits or values_HWC.itemsize * 8] * channels),
        259: (3, [DEFLATE if compressed else 1]),
        262: (3, [colours]),
        277: (3, [channels]),
        284: (3, [2 if planes else 1]),
        317: (3, [predictor]),
        339: (3, [kind] * channels),
    }
    if extra:
        tags[338] = (3, list(extra))
    if tile:
        tags |= {322: (4, [tile[0]]), 323: (4, [tile[1]]), 324: (4, starts[:-1]), 325: (4, size)}
    else:
        tags |= {273: (4, starts[:-1]), 278: (4, [rows]), 279: (4, size)}
    packed = {
        tag: (type_, words(f"{order}{len(numbers)}{'H' if type_ == 3 else 'I'}").pack(*numbers))
        for tag, (type_, numbers) in tags.items()
    } | (more or {})
    return with_table(b"".join(blocks), packed, order)


def _parts(layer_HWC: Values, rows: int, tile: tuple[int, int] | None) -> list[Values]:
    height, width, _ = layer_HWC.shape
    if tile is None:
        return [layer_HWC[top : top + rows] for top in range(0, height, rows)]
    across, down = tile
    padded = np.pad(layer_HWC, ((0, -height % down), (0, -width % across), (0, 0)))
    return [
        padded[top : top + down, left : left + across]
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]


def _block(part_HWC: Values, order: str, predictor: int) -> bytes:
    if predictor == 2:
        part_HWC = np.diff(part_HWC, axis=1, prepend=part_HWC.dtype.type(0))
    if predictor == 3:  # Adobe's: the bytes of a row by weight, highest first, as differences
        height, size = len(part_HWC), part_HWC.itemsize
        weights = part_HWC.astype(part_HWC.dtype.newbyteorder(">")).view("u1")
        row = weights.reshape(height, -1, size).swapaxes(1, 2).reshape(height, -1)
        return np.diff(row, axis=1, prepend=np.uint8(0)).tobytes()
    return part_HWC.astype(part_HWC.dtype.newbyteorder(order)).tobytes()


def with_table(pixels: bytes, tags: dict[int, tuple[int, bytes]], order: str) -> bytes:
    """Return a TIFF of one page: ``pixels`` at byte 8, then the tags' types and bytes."""
    pixels += bytes(len(pixels) % 2)
    at = 8 + len(pixels) + 2 + 12 * len(tags) + 4
    entries, far = b"", b""
    for tag, (type_, value) in sorted(tags.items()):
        number = len(value) // {1: 1, 3: 2, 4: 4, 7: 1}[type_]
        place = (
            value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", at + len(far))
        )
        far += (value if len(value) > 4 else b"") + bytes(len(value) % 2)
        entries += struct.pack(order + "HHI", tag, type_, number) + place
    magic = b"II*\0" if order == "<" else b"MM\0*"
    table = struct.pack(order + "H", len(tags)) + entries + bytes(4) + far
    return magic + struct.pack(order + "I", 8 + len(pixels)) + pixels + table


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values_HWC: Values, bits: int, colour: int, *extra: bytes) -> bytes:
    """Return a PNG of the values as they are, ``bits`` each, with ``extra`` chunks."""
    height, width = values_HWC.shape[:2]
    rows_HN = values_HWC.reshape(height, -1)
    places = np.arange(bits - 1, -1, -1)
    packed = np.packbits(
        (rows_HN[..., None] >> places & 1).reshape(height, -1).astype("u1"), axis=1
    )
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def inserted(photo: bytes, *chunks: bytes) -> bytes:
    """Return a PNG with more chunks after its header."""
    return photo[:33] + b"".join(chunks) + photo[33:]


def with_segment(photo: bytes, marker: int, body: bytes) -> bytes:
    """Return a JPEG with one more segment after its first two bytes."""
    return photo[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + photo[2:]


# Colour profiles


def matrix_profile(primaries: Values = TO_XYZ, gamma: float = 2.2) -> bytes:
    """Return the profile of a screen whose red, green and blue are the columns (XYZ)."""
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {b"wtpt": _xyz(WHITE)} | {
        bytes([letter]) + b"XYZ": _xyz(column)
        for letter, column in zip(b"rgb", np.asarray(primaries).T, strict=True)
    }
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | {bytes([c]) + b"TRC": curve for c in b"rgb"})


def grey_profile(gamma: float) -> bytes:
    """Return the profile of greys whose light is the value to the power of ``gamma``."""
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(WHITE), b"kTRC": curve})


def table_profile(space: bytes, looks_like: Callable[[Values], Values], steps: int = 17) -> bytes:
    """Return a profile that gives a table: values in [0, 1] look like sRGB in [0, 1]."""
    channels = 4 if space == b"CMYK" else 3
    grid = np.array(list(product(np.linspace(0, 1, steps), repeat=channels)))
    ramp = struct.pack(">HH", 0, 65_535)
    head = struct.pack(">4sIBBBB", b"mft2", 0, channels, 3, steps, 0)
    identity = struct.pack(">9i", *(65_536 * np.eye(3, dtype=int)).flatten().tolist())
    table = _lab16(looks_like(grid)).astype(">u2").tobytes()
    body = head + identity + struct.pack(">HH", 2, 2) + ramp * channels + table + ramp * 3
    return _profile(b"prtr", space, b"Lab ", {b"wtpt": _xyz(WHITE), b"A2B0": body})


def linear(srgb: Values) -> Values:
    """Return the light of sRGB values, all in [0, 1] (IEC 61966-2-1)."""
    low, high = srgb / 12.92, ((np.maximum(srgb, 0.04) + 0.055) / 1.055) ** 2.4
    return np.asarray(np.where(srgb <= 0.04045, low, high))


def _lab16(srgb: Values) -> Values:
    ratio = linear(srgb) @ TO_XYZ.T / WHITE
    root = np.where(
        ratio > 0.008856, np.cbrt(np.maximum(ratio, 0.008856)), 7.787 * ratio + 16 / 116
    )
    x, y, z = root.T
    lab = np.stack(
        [(116 * y - 16) * 65_280 / 100, 500 * (x - y) * 256, 200 * (y - z) * 256], axis=-1
    )
    return np.asarray((lab + np.array([0, 32_768, 32_768])).round().clip(0, 65_535))


def _xyz(values: Values) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65_536) for v in values))


def _profile(kind: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02400000, kind, space, pcs)
    middle = bytes(12) + b"acsp" + bytes(28) + _xyz(WHITE)[8:]
    return (head + middle).ljust(128, b"\0") + body
