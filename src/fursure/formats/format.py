"""What an image format brings: how it is named, recognised, measured and opened."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from PIL.ImageFile import ImageFile

Open = Callable[[int], Image.Image]
RAW = "a camera's raw photo"


class Refused(Exception):
    """A file that is not decoded, and why in words; `decode` puts the file's name before them."""


class OtherKind(Refused):
    """A file that may be whole, of a kind that no decoder here knows."""

    def __init__(self, format_: str, kind: str) -> None:
        super().__init__(
            f"a {format_} of a kind that is not decoded ({kind}); save it as JPEG or PNG"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says about its photo."""

    width: int  # pixels as stored, before the orientation is applied
    height: int
    bits: int = 32  # per pixel, while it is decoded
    frames: int = 0  # 0 where only the decoder can tell
    orientation: int = 0  # EXIF, 1 to 8; 0 where only the decoder can tell
    profile: bytes = b""  # ICC; empty where there is none, or only the decoder can tell
    whole: bool = True  # decoding holds every pixel, however small its result
    open: Open  # the stored picture, at 1/n where the format `reduces`


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format of image files.

    ``read`` walks the file's own structure and decodes nothing. It notices a file that ends too
    early, and its work is bounded, so that a hostile file costs milliseconds. It raises `Refused`
    with a reason, or whatever a malformation causes.
    """

    name: str  # as Pillow spells it: JPEG, WEBP …
    title: str  # as people spell it: JPEG, WebP …
    suffixes: tuple[str, ...]  # of file names, in lower case, with the dot
    recognises: Callable[[bytes], bool]  # by a file's first bytes; half a kilobyte must do
    read: Callable[[bytes], Header]
    reduces: bool = False  # opens at 1/2, 1/4 and 1/8 as well, in sRGB
    unread: int = 0  # bytes that decoding takes, where only the decoder knows a photo's size


def pillow_opens(plugin: Callable[[io.BytesIO], ImageFile], data: bytes) -> Open:
    """Return what opens ``data`` with a class of Pillow's."""
    # Not Image.open: it warns of what it thinks large, by a limit that is the host program's.
    return lambda _scale: plugin(io.BytesIO(data))
