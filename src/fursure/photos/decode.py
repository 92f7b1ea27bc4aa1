"""Bytes → upright RGB photo, or one `BadImage` that says why not.

Large JPEGs are reduced while they are decoded, so that a 108-megapixel photo costs little; other
formats are reduced as soon as they are, so that many of them do not fill the memory. Every photo
is measured by its header before memory is taken for it. Colours come out as sRGB.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.errors import BadImage
from fursure.formats.format import Header, Refused
from fursure.formats.jpeg import jpeg_decoder, reduction
from fursure.formats.table import sniff
from fursure.pixels.upright import exif_from_hex, orientation_of, to_rgb, turned

__all__ = ["LIMITS", "Decoded", "Limits", "decode", "from_array", "from_pil", "jpeg_decoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a photo may be; beyond is refused, from the header where there is one."""

    bytes: int = 128 * 2**20  # of the file: an A4 page at 600 dpi, uncompressed, has 104 MB
    pixels: int = 64_000_000  # decoded, that is after a JPEG was reduced
    side: int = 65_535  # pixels, of the file's own width and height


LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A photo in memory."""

    image: Image.Image  # RGB, upright; by `decode` at 1, 1/2, 1/4 or 1/8 of the original
    width: int  # pixels of the upright original
    height: int
    format: str  # as Pillow spells it: JPEG, PNG …
    frames: int  # of an animation or a multi-page file, of which ``image`` is the first


def decode(
    data: bytes, *, name: str = "photo", min_side: int = 256, limits: Limits = LIMITS
) -> Decoded:
    """Return the photo in the bytes of a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF file.

    The image comes at the smallest of the scales 1, 1/2, 1/4 and 1/8 whose shorter side is still
    ``min_side`` pixels or more: a JPEG is decoded at that scale, any other format is averaged down
    to it. Damaged and truncated files are refused, not half decoded.

    Raises:
        BadImage: always this, with ``name`` and a short reason, whatever is wrong.
    """
    if len(data) > limits.bytes:
        megabytes, limit = len(data) / 2**20, limits.bytes / 2**20
        raise BadImage(name, f"a file of {megabytes:.1f} MB; the limit is {limit:g} MB")
    format_ = sniff(data, name)
    with _in_one_sentence(name, format_.name):
        header = format_.read(data)
        size = header.width, header.height
        scale = reduction(size, min_side)
        _check_size(name, size, limits, reduction=1 if header.whole else scale, bits=header.bits)
        image = header.open(scale)
        if format_.reduces:
            return _decoded(image, size, header.orientation, format_.name, header.frames)
        _check_size(name, image.size, limits)  # the decoder's own reading of the header
        return _averaged(image, header, format_.name, min_side)


def from_pil(image: Image.Image, *, name: str = "photo", limits: Limits = LIMITS) -> Decoded:
    """Return a Pillow image as a photo: upright, in sRGB, on white.

    Raises:
        BadImage: it is too large, or its file turns out to be damaged.
    """
    _check_size(name, image.size, limits)
    with _in_one_sentence(name, "image"):
        image.load()  # a TIFF turns itself upright here
        orientation = 1 if image.format == "TIFF" else _orientation_in(image)
        rgb = to_rgb(image, profile=_profile_in(image))
        photo = _decoded(rgb, image.size, orientation, image.format or "memory")
        return replace(photo, image=image.copy()) if photo.image is image else photo


def from_array(array: NDArray[Any], *, name: str = "array", limits: Limits = LIMITS) -> Decoded:
    """Return an array of uint8, (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, as a photo.

    Raises:
        BadImage: it has another type or shape.
    """
    pixels = np.asarray(array)
    plane = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in {3, 4})
    if pixels.dtype != np.uint8 or not plane or not pixels.size:
        raise BadImage(
            name,
            f"an array of {pixels.dtype} with shape {pixels.shape}; needed is uint8 with shape "
            "(height, width), (height, width, 3) or (height, width, 4)",
        )
    _check_size(name, (pixels.shape[1], pixels.shape[0]), limits)
    with _in_one_sentence(name, "array"):
        image = Image.fromarray(pixels)
        return _decoded(to_rgb(image), image.size, 1, "memory")


@contextmanager
def _in_one_sentence(name: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into one `BadImage`."""
    try:
        yield
    except BadImage:
        raise
    except Refused as error:
        raise BadImage(name, str(error)) from error
    except MemoryError as error:
        raise BadImage(name, f"{what} too large for the memory at hand") from error
    except Exception as error:  # decoders raise a dozen types over broken files
        raise BadImage(name, f"damaged or truncated {what}") from error


def _check_size(
    name: str, size: tuple[int, int], limits: Limits, *, reduction: int = 1, bits: int = 32
) -> None:
    """Refuse what is too large: ``limits.pixels`` of up to 32 bits, fewer where they have more."""
    (width, height), pixels = size, limits.pixels * reduction**2 * 32 // max(32, bits)
    if min(size) < 1:
        problem = "nothing to see"
    elif max(size) > limits.side:
        problem = f"the limit is {limits.side:,} a side"
    elif width * height > pixels:
        problem = f"the limit is {pixels / 1e6:.4g} megapixels"
    else:
        return
    raise BadImage(name, f"{width:,} × {height:,} pixels; {problem}")


def _averaged(image: Image.Image, header: Header, format_: str, min_side: int) -> Decoded:
    """Return an opened photo, at the scale that a JPEG of its size would be decoded at.

    A scan holds a chunk of decoded photos a thread; at full size, 12-megapixel PNGs would take
    gigabytes.
    """
    size, orientation = image.size, header.orientation or _orientation_in(image)
    frames = header.frames or getattr(image, "n_frames", 1)
    profile = header.profile or _profile_in(image)
    rgb = to_rgb(image, scale=reduction(size, min_side), profile=profile)
    return _decoded(rgb, size, orientation, format_, frames)


def _orientation_in(image: Image.Image) -> int:
    """Return the orientation in what Pillow read beside the pixels."""
    info = image.info
    exif, raw = info.get("exif", b""), info.get("Raw profile type exif", "")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return orientation_of(exif or exif_from_hex(raw.encode()), xmp)


def _profile_in(image: Image.Image) -> bytes:
    return image.info.get("icc_profile") or b""


def _decoded(
    rgb: Image.Image, size: tuple[int, int], orientation: int, format_: str, frames: int = 1
) -> Decoded:
    """Return a photo that was stored in that size and orientation."""
    width, height = size[::-1] if orientation >= 5 else size  # lying on its side
    image = turned(rgb, orientation)
    return Decoded(image=image, width=width, height=height, format=format_, frames=frames)
