"""PNG bytes → the facts of the photo, and its pixels in 8 bits.

Of 16 bits Pillow gives the upper eight and forgets the rest. Where the rest matters (a photo that
uses a small part of the range, a transparent colour), the lower eight are decoded as well.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fursure.formats.format import Format, Header, OtherKind
from fursure.pixels.deep import Rows, bands, eight_bits
from fursure.pixels.profile import MAX_PROFILE
from fursure.pixels.upright import MAX_XMP, exif_from_hex, orientation_of

MAX_CHUNKS = 50_000  # of a PNG: 64 MB in chunks of 8 kB, as libpng writes them, need 8,000
MAX_TEXTS = 64  # that are unpacked in search of an orientation
PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # the chunks that make them
TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
RAW_PROFILE = re.compile(rb"Raw profile type (?:exif|APP1)\Z")
_GREY, _RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6  # the coding of colours
DARK = 64  # the upper byte of the first value that takes more than 14 bits


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What the chunks before the pixels say of them."""

    data: bytes  # the file, stripped of what does not make pixels
    bits: int  # per channel
    colour: int  # how colours are coded
    key: tuple[int, ...]  # the one transparent colour; empty where there is none


def read_png_header(data: bytes) -> Header:
    """Return the facts of a PNG, from all its chunks; of an animation, the default picture's."""
    if data[12:16] == b"CgBI":
        raise OtherKind("PNG", "rewritten by Xcode for iPhones")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    view, frames, kept = memoryview(data), 0, [memoryview(data)[:8]]
    key: tuple[int, ...] = ()
    exif = xmp = profile = b""
    texts = 0
    for kind, start, end in _chunks(data):
        body = view[start + 8 : end - 4]
        if kind in PIXELS:
            kept.append(view[start:end])
        if kind == b"tRNS" and colour in {_GREY, _RGB}:
            key = struct.unpack_from(">H" if colour == _GREY else ">3H", body)
        elif kind == b"eXIf":
            exif = bytes(body)
        elif kind == b"iCCP":
            profile = _unpacked(bytes(body).partition(b"\0")[2][1:], MAX_PROFILE + 1)
        elif kind in TEXTS and texts < MAX_TEXTS:
            texts += 1
            keyword, text = _text(kind, bytes(body[: 2 * MAX_XMP]))
            if keyword == b"XML:com.adobe.xmp":
                xmp = text
            elif RAW_PROFILE.match(keyword):
                exif = exif or exif_from_hex(text)
        frames += kind == b"fcTL"
    pixels = _Pixels(b"".join(kept), bits, colour, key)
    return Header(
        width=width,
        height=height,
        bits=bits * {_RGB: 3, GREY_ALPHA: 4, RGBA: 4}.get(colour, 1),
        frames=max(frames, 1),
        orientation=orientation_of(exif, xmp),
        profile=profile,
        open=partial(_open, pixels),
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, start, end) of each chunk, up to the last."""
    at = 8
    for _ in range(MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise EOFError("the PNG ends within a chunk")
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end
    raise ValueError("a PNG of absurdly many chunks")


def _text(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return the keyword and the text of a chunk; a text that is broken is empty."""
    keyword, _, rest = body.partition(b"\0")
    if kind == b"tEXt" or not (keyword == b"XML:com.adobe.xmp" or RAW_PROFILE.match(keyword)):
        return keyword, rest
    if kind == b"zTXt":
        return keyword, _unpacked(rest[1:], MAX_XMP)
    packed = rest[:1] == b"\1"
    text = rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
    return keyword, _unpacked(text, MAX_XMP) if packed else text


def _unpacked(packed: bytes, limit: int) -> bytes:
    """Return at most ``limit`` bytes, none where they are broken."""
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(packed, limit)
    return b""


def _open(pixels: _Pixels, _scale: int) -> Image.Image:
    image = PngImageFile(io.BytesIO(pixels.data))
    if pixels.bits < 16:
        if (
            pixels.key and pixels.colour == _GREY and pixels.bits > 1
        ):  # Pillow scales only the greys
            image.info["transparency"] = pixels.key[0] * 255 // (2**pixels.bits - 1)
        return image
    match pixels.colour:
        case 0 if pixels.key:
            return eight_bits(image.size, "LA", partial(_grey_rows, image, pixels.key), alpha=True)
        case 4:
            halves = _as_eight_bits(pixels.data)
            return eight_bits(image.size, "LA", partial(_grey_alpha_rows, halves), alpha=True)
        case 2 | 6 if pixels.key or _is_dark(image):
            low = PngImageFile(io.BytesIO(pixels.data))
            low.tile = [
                tile._replace(args=f"{low.mode};16L") for tile in low.tile
            ]  # the lower bytes
            mode = "RGBA" if pixels.key else image.mode
            rows = partial(_colour_rows, image, low, pixels.key)
            return eight_bits(image.size, mode, rows, alpha=mode == "RGBA")
    return image


def _is_dark(image: Image.Image) -> bool:
    tops = [np.asarray(channel.getextrema())[1] for channel in image.split()[:3]]
    return bool(max(tops) < DARK)


def _as_eight_bits(data: bytes) -> Image.Image:
    """Return the bytes of 16-bit grey and alpha as the four channels of an 8-bit image."""
    head = data[12:24] + bytes([8, RGBA]) + data[26:29]
    crc = struct.pack(">I", zlib.crc32(head))
    return PngImageFile(io.BytesIO(data[:12] + head + crc + data[33:]))


def _grey_rows(image: Image.Image, key: tuple[int, ...]) -> Rows:
    for top, band in bands(image):
        yield top, _with_key(np.asarray(band)[..., None], key)


def _grey_alpha_rows(halves: Image.Image) -> Rows:
    for top, band in bands(halves):
        bytes_HWC = np.ascontiguousarray(band)
        yield top, bytes_HWC.view(">u2").astype(np.uint16)


def _colour_rows(high: Image.Image, low: Image.Image, key: tuple[int, ...]) -> Rows:
    for (top, upper), (_, lower) in zip(bands(high), bands(low), strict=True):
        values_HWC = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)
        yield top, _with_key(values_HWC, key) if key else values_HWC


def _with_key(values_HWC: NDArray[np.uint16], key: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return the values with an opacity: none where they are the transparent colour."""
    opacity_HW = np.where((values_HWC == key).all(axis=-1), 0, 65_535).astype(np.uint16)
    return np.concatenate([values_HWC, opacity_HW[..., None]], axis=-1)


PNG = Format(
    name="PNG",
    title="PNG",
    suffixes=(".png",),
    recognises=lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    read=read_png_header,
)
