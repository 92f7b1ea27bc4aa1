"""A JPEG without its end marker: are its pixels all there?

Cameras, web cams and rescued cards leave the marker off. Decoders fill what is missing with grey,
or read whatever follows, and do not say so through Pillow. So several tails are tried in place of
the missing one: pixels that are in the file are the same whatever follows, others depend on it.
"""

import random
import struct
from collections.abc import Callable

from PIL import Image

from fursure.formats.jpeg_header import JpegHeader

END = b"\xff\xd9"
LAST = 16  # bytes without which pixels have to be missing, or else something else follows them


FEW = 3  # zeros at the end of pixels may belong to them
STARTS = (0x00, 0x5A, 0xFE)  # of the tails: bits that differ from the first on


def _tail(start: int, restart: int) -> bytes:
    """Return an end after bits that begin with ``start``; among them are the restarts due."""
    noise = random.Random(start)  # noqa: S311  # nothing secret
    bits = [bytes(noise.randrange(255) for _ in range(64)) for _ in range(9)]
    parts = [bytes([0xFF, 0xD0 + (restart + at) % 8]) + part for at, part in enumerate(bits)]
    return bytes([start]) + bits[0] + b"".join(parts) + END


def has_end(data: bytes, header: JpegHeader) -> bool:
    """Return whether an end marker follows the first scan."""
    return data.rfind(END, header.scans) >= 0


def ended(
    data: bytes, header: JpegHeader, scale: int, read: Callable[[bytes], Image.Image]
) -> Image.Image:
    """Return the picture of a JPEG that lacks nothing but its end; ``read`` gives 1/``scale``.

    Raises:
        EOFError: it lacks more, or something else follows its pixels.
    """
    body = _without_filling(data)
    image = _settled(body, read) if _is_refined(data, header) else None
    # The last scan of a progressive JPEG is of details that do not show in a reduced picture.
    shows = scale == 1 or not header.progressive
    if image is None or (shows and _settled(body[:-LAST], read) is not None):
        raise EOFError("the JPEG ends before its pixels do")
    return image


def _without_filling(data: bytes) -> bytes:
    """Return ``data`` without the zeros that fill it up, and without half an end."""
    body = data.rstrip(b"\0")
    zeros = len(data) - len(body)
    if zeros == 0:
        return body.removesuffix(END[:1])
    if zeros <= FEW:
        return data
    return body + b"\0" if body.endswith(b"\xff") else body


def _settled(body: bytes, read: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Return the picture if it is the same whatever follows ``body``."""
    restarts = [body.rfind(bytes([0xFF, 0xD0 + number])) for number in range(8)]
    due = restarts.index(max(restarts)) + 1 if max(restarts) >= 0 else 0
    first, *others = (body + _tail(start, due) for start in STARTS)
    try:
        image = read(first)
        pixels = image.tobytes()
        same = all(read(file).tobytes() == pixels for file in others)
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
