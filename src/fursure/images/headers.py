"""Photo files → their facts and their pixel data, without decoding and without the metadata.

Each walk visits the file's own structure, notices a file that ends too early, and is bounded, so
that a hostile file costs milliseconds. The formats with the richest metadata are handed on
stripped: Pillow's own parsers warn about damaged EXIF, and warnings cannot be silenced in one
thread alone. A malformed file raises whatever its malformation causes; `decode` turns that into
one sentence.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fursure.images.upright import exif_orientation

MAX_SEGMENTS = 4_000  # of a JPEG's header: 64 MB of metadata in the largest segments need 1,000
MAX_CHUNKS = 50_000  # of a PNG: 64 MB in chunks of 8 kB, as libpng writes them, need 8,000
MAX_RUNS = 2 * 2**20  # bytes of a run-length coded BMP, which Pillow decodes in Python: 0.4 s
MAX_BLOCKS = 1_000_000  # of a GIF: 64 MB in blocks of 255 bytes need 260,000

PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says about its photo."""

    width: int  # pixels as stored, before the orientation is applied
    height: int
    frames: int = 0  # 0 where only the decoder can tell
    orientation: int = 0  # EXIF, 1 to 8; 0 where only the decoder can tell
    data: bytes  # the file again, stripped of what does not make pixels


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG says about its photo, and how it is coded."""

    width: int  # pixels as stored, before the orientation is applied
    height: int
    orientation: int  # EXIF, 1 to 8
    coding: int  # the frame marker's second byte: 0xC0 baseline, 0xC2 progressive …
    bits: int  # per channel
    channels: int
    interleaved: bool  # the first scan holds all channels

    @property
    def progressive(self) -> bool:
        """Return whether many scans refine the picture."""
        return self.coding in {0xC2, 0xC6, 0xCA, 0xCE}

    @property
    def buffered(self) -> bool:
        """Return whether a decoder holds every coefficient at once, however small its output."""
        return self.progressive or not self.interleaved


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Return the facts of a JPEG, from its segments up to the first scan."""
    frame, orientation = None, 1
    for marker, start, end in _segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and frame is None:
            frame = marker, *struct.unpack_from(">BHHB", data, start + 4)
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", start + 4):
            orientation = exif_orientation(data[start + 4 : end])
        elif marker == 0xDA and frame is not None:
            coding, bits, height, width, channels = frame
            interleaved = data[start + 4] == channels
            return JpegHeader(width, height, orientation, coding, bits, channels, interleaved)
    raise ValueError("no picture in this JPEG")


def strip_jpeg(data: bytes) -> bytes:
    """Return a JPEG without its metadata; APP0 and APP14 stay, they define the colours."""
    view, kept = memoryview(data), [b"\xff\xd8"]
    for marker, start, end in _segments(data):
        if marker == 0xDA:
            return b"".join([*kept, view[start:]])
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept.append(data[start:end])
    raise ValueError("no picture in this JPEG")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment up to the first scan's."""
    at, size = 2, len(data)
    for _ in range(MAX_SEGMENTS):
        if data[at] != 0xFF:  # stray bytes between segments, as every decoder forgives them
            at = data.index(b"\xff", at)
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in {0x00, 0x01} or 0xD0 <= marker <= 0xD8:  # these have no length
            at += 2
        else:
            end = at + 2 + (data[at + 2] << 8 | data[at + 3])
            if end > size:
                raise EOFError("the JPEG ends within its header")
            yield marker, at, end
            if marker == 0xDA:
                return
            at = end


def read_png_header(data: bytes) -> Header:
    """Return the facts of a PNG, from all its chunks; of an animation, the default picture's."""
    width, height = struct.unpack_from(">II", data, 16)
    view, at, frames, orientation = memoryview(data), 8, 0, 1
    kept = [view[:8]]
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise EOFError("the PNG ends within a chunk")
        if kind in PNG_PIXELS:
            kept.append(view[at:end])
        elif kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        frames += kind == b"fcTL"
        if kind == b"IEND":
            return Header(
                width=width,
                height=height,
                frames=max(frames, 1),
                orientation=orientation,
                data=b"".join(kept),
            )
        at = end
    raise ValueError("a PNG of absurdly many chunks")


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
            return Header(width=width, height=height, frames=frames, orientation=1, data=data)
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
    return Header(width=width, height=height, data=data)


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
        data=data[:meta_start] + meta.replace(b"Exif", b"none") + data[meta_end:],
    )


def read_bmp_header(data: bytes) -> Header:
    """Return the size of a BMP."""
    old = data[14] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    if not old and data[30] in {1, 2} and len(data) > MAX_RUNS:
        raise ValueError("a BMP of absurdly many runs")
    return Header(width=width, height=abs(height), frames=1, orientation=1, data=data)
