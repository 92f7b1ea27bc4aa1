"""A photo in any form that a program or a source hands over → decoded.

A path, bytes, a Pillow image, an array of uint8, a function that returns bytes, or the error of
whoever tried to read it.
"""

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fursure.errors import BadImage
from fursure.photos.decode import LIMITS, Decoded, decode, from_array, from_pil
from fursure.stages import stage

_URL = "a URL, which is not fetched from here; give the photo's bytes, or `fursure predict` the URL"


class Decode(Protocol):
    """What turns bytes into a photo: `decode`, or the same done elsewhere."""

    def __call__(self, data: bytes, *, name: str, min_side: int) -> Decoded:
        """Return the photo, or raise `BadImage`."""


def opened_photo(name: str, photo: Any, *, min_side: int, decode: Decode = decode) -> Decoded:
    """Return the photo, no smaller than ``min_side`` pixels needs.

    Raises:
        BadImage: it cannot be read or decoded.
        TypeError: it is no photo at all.
    """
    match photo:
        case Image.Image():
            return from_pil(photo, name=name)
        case np.ndarray():
            return from_array(photo, name=name)
        case _:
            with stage("read", 1):
                data = _bytes(name, photo)
            with stage("decode", 1):
                return decode(data, name=name, min_side=min_side)


def photo_bytes(name: str, photo: Any) -> bytes:
    """Return the bytes of a photo's file; of what is none, those of a PNG with the same pixels.

    Raises:
        BadImage: it cannot be read.
        TypeError: it is no photo at all.
    """
    if not isinstance(photo, Image.Image | np.ndarray):
        return _bytes(name, photo)
    packed = BytesIO()
    opened_photo(name, photo, min_side=1).image.save(packed, "PNG", compress_level=1)
    return packed.getvalue()


def _bytes(name: str, photo: Any) -> bytes:
    match photo:
        case BadImage():  # its reader has failed already
            raise photo
        case bytes():
            return photo
        case str() | PathLike():
            return _read(photo)
        case _ if callable(photo):
            return bytes(photo())
    raise TypeError(f"{name} is a {type(photo).__name__}, no path, bytes, image or array")


def _read(photo: str | PathLike[str]) -> bytes:
    """Return the bytes of a file, refusing what is none or is too large to be a photo."""
    path = Path(photo)
    try:
        if not path.is_file():
            raise BadImage(str(path), _URL if _is_url(photo) else _why_no_file(path))
        if path.stat().st_size > LIMITS.bytes:
            raise BadImage(str(path), f"larger than {LIMITS.bytes // 2**20} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadImage(str(path), f"cannot be read: {error}") from None


def _is_url(photo: str | PathLike[str]) -> bool:
    return isinstance(photo, str) and "://" in photo


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "a folder, not a photo"
    if path.is_symlink():
        return "a broken link: the file it leads to is gone"
    return "a device or a pipe, not a photo" if path.exists() else "no such file"
