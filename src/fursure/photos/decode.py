"""Bytes → upright RGB photo, or one `BadImage` that says why not.

Large JPEGs are reduced while they are decoded, so that a 108-megapixel photo costs little; other
formats are reduced as soon as they are, so that many of them do not fill the memory. Every photo
is measured by its header before memory is taken for it. Colours come out as sRGB.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.errors import BadImage
from fursure.formats.headers import (
    Header,
    read_avif_header,
    read_bmp_header,
    read_gif_header,
    read_webp_header,
)
from fursure.formats.jpeg import jpeg_decoder, read_jpeg, reduction
from fursure.formats.jpeg_header import read_jpeg_header
from fursure.formats.png import read_png_header
from fursure.formats.signatures import Format, OtherKind, sniff
from fursure.formats.tiff import read_tiff_header
from fursure.formats.upright import exif_from_hex, orientation_of, to_rgb, turned

__all__ = ["LIMITS", "Decoded", "Limits", "decode", "from_array", "from_pil", "jpeg_decoder"]

MAX_SCANS = 100  # of a progressive JPEG; encoders write about ten, bombs write millions
READERS: dict[Format, Callable[[bytes], Header]] = {
    "PNG": read_png_header,
    "WEBP": read_webp_header,
    "AVIF": read_avif_header,
    "GIF": read_gif_header,
    "BMP": read_bmp_header,
    "TIFF": read_tiff_header,
}


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
    with _in_one_sentence(name, format_):
        match format_:
            case "JPEG":
                return _decode_jpeg(data, name, min_side, limits)
            case "HEIF":
                return _decode_heif(data, name, min_side, limits)
            case _:
                return _decode_by_pillow(data, format_, name, min_side, limits)


def from_pil(image: Image.Image, *, name: str = "photo", limits: Limits = LIMITS) -> Decoded:
    """Return a Pillow image as a photo: upright, in sRGB, on white.

    Raises:
        BadImage: it is too large, or its file turns out to be damaged.
    """
    _check_size(name, image.size, limits)
    with _in_one_sentence(name, "image"):
        image.load()  # a TIFF turns itself upright here
        orientation = 1 if image.format == "TIFF" else _orientation_in(image)
        photo = _decoded(image, orientation, image.format or "memory", profile=_profile_in(image))
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
        return _decoded(Image.fromarray(pixels), 1, "memory")


@contextmanager
def _in_one_sentence(name: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into one `BadImage`."""
    try:
        yield
    except BadImage:
        raise
    except OtherKind as error:
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


def _decode_jpeg(data: bytes, name: str, min_side: int, limits: Limits) -> Decoded:
    header = read_jpeg_header(data)
    if header.bits != 8:
        raise BadImage(name, f"a JPEG of {header.bits} bits per channel; needed are 8")
    if header.progressive and data.count(b"\xff\xda") > MAX_SCANS:
        raise BadImage(name, f"a progressive JPEG of more than {MAX_SCANS} scans")
    width, height = header.width, header.height
    scale = reduction((width, height), min_side)
    reduced = 1 if header.buffered else scale
    _check_size(name, (width, height), limits, reduction=reduced)
    image = turned(read_jpeg(data, header, scale), header.orientation)
    if header.orientation >= 5:  # lying on its side
        width, height = height, width
    return Decoded(image=image, width=width, height=height, format="JPEG", frames=1)


def _decode_by_pillow(
    data: bytes, format_: Format, name: str, min_side: int, limits: Limits
) -> Decoded:
    header = READERS[format_](data)
    _check_size(name, (header.width, header.height), limits, bits=header.bits)
    image = header.open()
    _check_size(name, image.size, limits)  # the decoder's own reading of the header
    return _decoded(
        image,
        header.orientation or _orientation_in(image),
        format_,
        header.frames or getattr(image, "n_frames", 1),
        min_side=min_side,
        profile=header.profile or _profile_in(image),
    )


def _decode_heif(data: bytes, name: str, min_side: int, limits: Limits) -> Decoded:
    try:
        import pillow_heif
    except ImportError as error:
        raise BadImage(name, "HEIC photo; run: pip install 'fursure[heic]'") from error
    photos = pillow_heif.open_heif(data)
    photo = photos[photos.primary_index]
    _check_size(name, photo.size, limits)
    pixels = photo.data  # decodes, and turns upright; the size is final only now
    image = Image.frombytes(photo.mode, photo.size, pixels, "raw", photo.mode, photo.stride)
    image.info["icc_profile"] = photo.info.get("icc_profile")
    return _decoded(image, 1, "HEIF", len(photos), min_side=min_side, profile=_profile_in(image))


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
    image: Image.Image,
    orientation: int,
    format_: str,
    frames: int = 1,
    *,
    min_side: int | None = None,
    profile: bytes = b"",
) -> Decoded:
    """Return an image as a photo, at the scale that a JPEG of its size would be decoded at.

    A scan holds a chunk of decoded photos a thread; at full size, 12-megapixel PNGs would take
    gigabytes.
    """
    width, height = image.size
    scale = reduction(image.size, min_side) if min_side else 1
    upright = turned(to_rgb(image, scale=scale, profile=profile), orientation)
    if orientation >= 5:  # lying on its side
        width, height = height, width
    return Decoded(image=upright, width=width, height=height, format=format_, frames=frames)
