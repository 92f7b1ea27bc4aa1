"""A Pillow image of any mode, and its metadata → an upright RGB image."""

import re
import struct
from contextlib import suppress
from math import ceil

from PIL import Image

from fursure.pixels.deep import bands, grey_levels, is_deep
from fursure.pixels.profile import to_srgb

ORIENTATION = 0x0112  # the EXIF tag
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
MAX_XMP = 2**20  # bytes that are searched
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8, that EXIF asks for, or else XMP; 1 where neither does."""
    orientation = _from_exif(exif)
    if orientation is None:
        match = XMP_ORIENTATION.search(xmp, 0, MAX_XMP)
        orientation = int(match[1]) if match else 1
    return orientation if orientation in TURNS else 1


def _from_exif(exif: bytes) -> int | None:
    """Return the orientation in a block of EXIF, None where it or the block lacks or is damaged.

    Read here, because Pillow parses all of the EXIF for it and warns about what it finds there.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        for at in range(first + 2, first + 2 + 12 * count, 12):
            tag, type_ = struct.unpack_from(order + "HH", exif, at)
            if tag == ORIENTATION and type_ in {3, 4}:  # SHORT, as it should be, or LONG
                (value,) = struct.unpack_from(order + ("H" if type_ == 3 else "I"), exif, at + 8)
                return int(value)
    except struct.error:
        return None
    return None


def exif_from_hex(text: bytes) -> bytes:
    """Return EXIF as ImageMagick writes it: three lines of heading, then hexadecimal digits."""
    with suppress(ValueError):
        return bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:]))
    return b""


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return ``image`` the way up that its EXIF ``orientation`` asks for."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image, *, scale: int = 1, profile: bytes = b"") -> Image.Image:
    """Return ``image`` as plain RGB at 1/``scale``, perhaps itself.

    Transparency is on white, deep greys are scaled, colours follow the ICC ``profile``. Large
    images are worked on in bands, so that a second copy never exists at full size.
    """
    image.load()
    if is_deep(image.mode):
        image = grey_levels(image)
    plain = image.mode == "RGB" and not image.has_transparency_data
    if plain and scale == 1 and not profile:
        return image
    if next(bands(image))[1] is image:
        return _converted(image, scale, profile)
    result = Image.new("RGB", (ceil(image.width / scale), ceil(image.height / scale)))
    for top, band in bands(image):
        result.paste(_converted(band, scale, profile), (0, top // scale))
    return result


def _converted(image: Image.Image, scale: int, profile: bytes) -> Image.Image:
    opaque = _on_white(image)
    return to_srgb(opaque if scale == 1 else opaque.reduce(scale), profile)


def _on_white(image: Image.Image) -> Image.Image:
    """Return an image of 8 bits without transparency, in mode L, RGB or CMYK."""
    grey = image.mode in {"1", "L", "LA", "La"}
    if not image.has_transparency_data:
        return (
            image if image.mode in {"L", "RGB", "CMYK"} else image.convert("L" if grey else "RGB")
        )
    if image.mode != "RGBA":
        image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white.convert("L") if grey else white
