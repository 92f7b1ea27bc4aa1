"""Photo files → their facts, and what opens the picture, without decoding anything yet.

Each walk visits the file's own structure, notices a file that ends too early, and is bounded, so
that a hostile file costs milliseconds. The formats with the richest metadata are handed on
stripped: Pillow's own parsers warn about damaged EXIF, and warnings cannot be silenced in one
thread alone. A malformed file raises whatever its malformation causes; `decode` turns that into
one sentence.
"""

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.WebPImagePlugin import WebPImageFile

from fursure.formats.signatures import OtherKind

MAX_RUNS = 2 * 2**20  # bytes of a run-length coded BMP, which Pillow decodes in Python: 0.4 s
BMP_CODINGS = {4: "a JPEG inside", 5: "a PNG inside"}
MAX_BLOCKS = 300_000  # of a GIF: 64 MB in blocks of 255 bytes need 260,000


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says about its photo."""

    width: int  # pixels as stored, before the orientation is applied
    height: int
    bits: int = 32  # per pixel, while it is decoded
    frames: int = 0  # 0 where only the decoder can tell
    orientation: int = 0  # EXIF, 1 to 8; 0 where only the decoder can tell
    profile: bytes = b""  # ICC; empty where there is none, or only the decoder can tell
    open: Callable[[], Image.Image]  # the file, stripped of what does not make pixels


def _opened(plugin: Callable[[io.BytesIO], ImageFile], data: bytes) -> Callable[[], Image.Image]:
    # Not Image.open: it warns of what it thinks large, by a limit that is the host program's.
    return lambda: plugin(io.BytesIO(data))


def read_gif_header(data: bytes) -> Header:
    """Return the facts of a GIF, from all its blocks; the size covers the first frame, too."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _palette_bytes(flags), 0
    in_sub_blocks = False
    for _ in range(MAX_BLOCKS):
        byte = data[at]
        if in_sub_blocks:
            in_sub_blocks = byte != 0
            at += byte + 1
        elif byte == 0x3B:  # the trailer
            opened = _opened(GifImageFile, data)
            return Header(width=width, height=height, frames=frames, open=opened)
        elif byte == 0x21:  # an extension
            in_sub_blocks = True
            at += 2
        elif byte == 0x2C:  # a frame
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if not frames:
                width, height = max(width, left + across), max(height, top + down)
            frames += 1
            in_sub_blocks = True
            at += 11 + _palette_bytes(flags)
        else:  # stray bytes between blocks, as every decoder forgives them
            at += 1
    raise ValueError("a GIF of absurdly many blocks")


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def read_webp_header(data: bytes) -> Header:
    """Return the size of a WebP's canvas; the decoder tells the rest once that is known sane."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise EOFError("the WebP ends too early")
    match data[12:16]:
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width = int.from_bytes(data[24:27], "little") + 1
            height = int.from_bytes(data[27:30], "little") + 1
        case _:
            raise ValueError("a WebP without a picture")
    return Header(width=width, height=height, open=_opened(WebPImageFile, data))


def read_avif_header(data: bytes) -> Header:
    """Return the largest size an AVIF mentions, and the file with its EXIF unfindable.

    An AVIF says which way is up by a property of its own, and that counts.
    """
    meta_start = meta_end = at = 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1:  # the true length follows, in 64 bits
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if kind == b"meta":
            meta_start, meta_end = at, at + length
        at += max(length, 8) if length else len(data) - at  # 0: up to the end
    if at > len(data):
        raise EOFError("the AVIF ends within a box")
    meta = data[meta_start:meta_end]
    boxes = re.finditer(rb"ispe", meta)  # each holds version and flags, width, height
    sizes = [struct.unpack_from(">II", meta, box.end() + 4) for box in boxes]
    return Header(
        width=max(width for width, _ in sizes),
        height=max(height for _, height in sizes),
        open=_opened(
            AvifImageFile, data[:meta_start] + meta.replace(b"Exif", b"none") + data[meta_end:]
        ),
    )


def read_bmp_header(data: bytes) -> Header:
    """Return the size of a BMP."""
    old = data[14] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    coding = 0 if old else data[30]
    if coding not in {0, 1, 2, 3, 6}:
        raise OtherKind("BMP", BMP_CODINGS.get(coding, f"coding {coding}"))
    if coding in {1, 2} and len(data) > MAX_RUNS:
        raise ValueError("a BMP of absurdly many runs")
    opened = _opened(BmpImageFile, data)
    return Header(width=width, height=abs(height), frames=1, orientation=1, open=opened)
