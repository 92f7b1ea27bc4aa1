"""AVIF and HEIC bytes → the facts of the photo: two codecs in one kind of container."""

import re
import struct
from typing import Any

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from fursure.formats.format import Format, Header, Refused, pillow_opens

AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def read_avif_header(data: bytes) -> Header:
    """Return the largest size an AVIF mentions, and the file with its EXIF unfindable.

    An AVIF says which way is up by a property of its own, and that counts. Pillow's parser warns
    about damaged EXIF, and warnings cannot be silenced in one thread alone.
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
    stripped = data[:meta_start] + meta.replace(b"Exif", b"none") + data[meta_end:]
    return Header(
        width=max(width for width, _ in sizes),
        height=max(height for _, height in sizes),
        open=pillow_opens(AvifImageFile, stripped),
    )


def read_heif_header(data: bytes) -> Header:
    """Return the facts of a HEIC, by its decoder.

    Raises:
        Refused: the decoder is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise Refused("HEIC photo; run: pip install 'fursure[heic]'") from error
    photos = pillow_heif.open_heif(data)
    photo: Any = photos[photos.primary_index]
    width, height = photo.size
    return Header(
        width=width,
        height=height,
        frames=len(photos),
        orientation=1,
        profile=photo.info.get("icc_profile") or b"",
        open=lambda _scale: _opened(photo),
    )


def _opened(photo: Any) -> Image.Image:
    pixels = photo.data  # decodes, and turns upright; the size is final only now
    return Image.frombytes(photo.mode, photo.size, pixels, "raw", photo.mode, photo.stride)


def _brands(data: bytes) -> set[bytes]:
    """Return what a file in such a container says it is; nothing of any other file."""
    if data[4:8] != b"ftyp":
        return set()
    return {data[at : at + 4] for at in range(8, min(int.from_bytes(data[:4]), 256), 4)}


AVIF = Format(
    name="AVIF",
    title="AVIF",
    suffixes=(".avif", ".heif"),
    recognises=lambda data: bool(_brands(data) & AVIF_BRANDS),
    read=read_avif_header,
)
HEIF = Format(
    name="HEIF",
    title="HEIC",
    suffixes=(".heic", ".heif", ".hif"),
    recognises=lambda data: bool(_brands(data) & HEIF_BRANDS),
    read=read_heif_header,
    unread=48 * 2**20,
)
