"""An 8-bit image and its ICC profile → RGB as screens show it (sRGB).

Most photos carry sRGB's own profile, in one of its dozen spellings. They are recognised by what
they do to a few colours, once, and cost a look-up from then on. A profile that is broken, or meant
for another kind of image, is passed over, as browsers do.
"""

import io
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

MAX_PROFILE = 4 * 2**20  # bytes; those of printing presses have up to 3 million
MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}  # the profile's colour space → the image's
CLASSES = {b"scnr", b"mntr", b"prtr", b"spac"}  # of a camera, screen, press or colour space
_STEPS = range(0, 256, 15)  # levels of each channel that a profile is tried on
ALIKE = 3  # levels; spellings of sRGB differ by up to 2


def to_srgb(image: Image.Image, profile: bytes = b"") -> Image.Image:
    """Return an opaque image of mode L, RGB or CMYK as sRGB; an ``image`` that is so, itself."""
    if profile and len(profile) <= MAX_PROFILE:
        transform = _transform(profile, image.mode)
        if transform is None and image.mode == "L":  # a grey one beside the profile of a screen
            transform, image = _transform(profile, "RGB"), image.convert("RGB")
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return what brings an image of ``mode`` to sRGB, or None where nothing (sane) is to do."""
    if profile[12:16] not in CLASSES or MODES.get(profile[16:20]) != mode:
        return None
    try:
        from PIL import ImageCms

        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception:  # broken, or a Pillow without LittleCMS: as if there were none
        return None
    return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    colours = bytes(value for colour in product(_STEPS, repeat=3) for value in colour)
    chart = Image.frombytes("RGB", (len(_STEPS), len(_STEPS) ** 2), colours).convert(mode)
    before, after = (
        np.asarray(picture, np.int16) for picture in (chart.convert("RGB"), transform.apply(chart))
    )
    return bool(np.abs(before - after).max() <= ALIKE)
