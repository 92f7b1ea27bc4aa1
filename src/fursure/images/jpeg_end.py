"""A JPEG without its end marker: are its pixels all there?

Cameras, web cams and rescued cards leave the marker off. Decoders fill what is missing with grey,
and do not say so through Pillow. So several tails are tried in place of the missing one: pixels
that are in the file are the same whatever follows, pixels that are not depend on it.
"""

import random
import struct
from collections.abc import Callable

from PIL import Image

from fursure.images.jpeg_header import JpegHeader

END = b"\xff\xd9"
LAST = 16  # bytes without which pixels have to be missing, or else something else follows them


def _tail(first: int) -> bytes:
    """Return an end after bits that begin with those of ``first``, with restarts among them."""
    noise = random.Random(first)  # noqa: S311  # nothing secret
    bits = [bytes(noise.randrange(255) for _ in range(64)) for _ in range(9)]
    restarts = [bytes([0xFF, 0xD0 + number]) + bits[number] for number in range(8)]
    return bytes([first]) + b"".join([bits[8], *restarts]) + END


TAILS = [_tail(first) for first in (0x00, 0x5A, 0xA5, 0xFE)]


def ended(
    data: bytes, header: JpegHeader, read: Callable[[bytes], Image.Image]
) -> Image.Image | None:
    """Return the picture of a JPEG that lacks nothing but its end, None of any other."""
    if END in data[header.scans :] or not _is_refined(data, header):
        return None
    body = data.rstrip(b"\0")
    if body.endswith(b"\xff"):  # half an end, or a zero that belongs to it
        body = body + b"\0" if len(body) < len(data) else body[:-1]
    image = _settled(body, read)
    return None if image is None or _settled(body[:-LAST], read) is not None else image


def _settled(body: bytes, read: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Return the picture if it is the same whatever follows ``body``."""
    try:
        image = read(body + TAILS[0])
        pixels = image.tobytes()
        same = all(read(body + tail).tobytes() == pixels for tail in TAILS[1:])
    except (OSError, IndexError, EOFError):  # not even a header is left
        return None
    return image if same else None


def _is_refined(data: bytes, header: JpegHeader) -> bool:
    """Return whether the scans give each coefficient of each channel to its last bit."""
    final: set[tuple[int, int]] = set()
    at = header.scans
    while at >= 0:
        (channels,) = struct.unpack_from("B", data, at + 4)
        numbers = data[at + 5 : at + 5 + 2 * channels : 2]
        start, end, bits = data[at + 5 + 2 * channels : at + 8 + 2 * channels]
        if not bits & 0x0F:
            final |= {(number, place) for number in numbers for place in range(start, end + 1)}
        at = data.find(b"\xff\xda", at + 2)
    return len(final) == 64 * header.channels
