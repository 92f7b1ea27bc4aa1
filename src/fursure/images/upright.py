"""A Pillow image of any mode, and its EXIF → an upright RGB image.

Dimension key: H W height and width (pixels).
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIXTEEN_BITS = ((np.arange(2**16) + 128) // 257).astype(np.uint8)  # value → grey level


def exif_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that a block of EXIF asks for; 1 where it is damaged.

    Read here, because Pillow parses all of the EXIF for it and warns about what it finds there.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        for at in range(first + 2, first + 2 + 12 * count, 12):
            tag, type_ = struct.unpack_from(order + "HH", exif, at)
            if tag == ORIENTATION and type_ in {3, 4}:  # SHORT, as it should be, or LONG
                (value,) = struct.unpack_from(order + ("H" if type_ == 3 else "I"), exif, at + 8)
                return value if value in TURNS else 1
    except struct.error:
        return 1
    return 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return ``image`` the way up that its EXIF ``orientation`` asks for."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` as plain RGB: transparency on white, deep greys scaled, never saturated."""
    image.load()
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode != "RGBA":
        image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return white


def _eight_bits(values_HW: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale deep greys to 0…255 by the white that they were made for.

    For 16 bits that is 65,535. Wider types do not say: it is the least of 1 (floats only), 255 and
    65,535 that no pixel exceeds, or else the darkest pixel becomes black and the lightest white.
    Values that are no number are black.
    """
    if values_HW.dtype.itemsize == 2:
        return np.asarray(SIXTEEN_BITS[values_HW])
    levels_HW = np.nan_to_num(values_HW.astype(np.float32), copy=False, posinf=0, neginf=0)
    low, high = float(levels_HW.min()), float(levels_HW.max())
    whites = (1, 255, 65_535) if values_HW.dtype.kind == "f" else (255, 65_535)
    white = next((white for white in whites if low >= 0 and high <= white), None)
    black, span = (low, high - low or 1) if white is None else (0, white)
    levels_HW *= 255 / span
    levels_HW += 0.5 - black * 255 / span
    return levels_HW.clip(0, 255, out=levels_HW).astype(np.uint8)
