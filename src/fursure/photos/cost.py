"""A photo's bytes → what decoding it will take, from its header alone.

Beside its memory, a JPEG that is reduced on the way costs the reading of every pixel it has.
"""

from fursure.errors import BadImage
from fursure.formats.jpeg import reduction
from fursure.formats.jpeg_header import read_jpeg_header
from fursure.formats.signatures import Format, sniff
from fursure.photos.decode import LIMITS, READERS

PIXEL = 4  # bytes of a decoded pixel, its copy included
COEFFICIENTS = 6  # bytes a pixel that a progressive JPEG is kept in until its end
SKIPPED = 4  # pixels of a reduced JPEG that cost as much as one byte
UNREAD = 48 * 2**20  # bytes, of a HEIC: only its decoder knows its size


def cost(data: bytes, *, min_side: int) -> int:
    """Return about how many bytes decoding takes; 0 of what is refused by its first bytes."""
    try:
        return min(_cost(data, sniff(data, "photo"), min_side), PIXEL * LIMITS.pixels)
    except BadImage:
        return 0
    except Exception:  # a damaged header: `decode` will say so, and at no cost either
        return 0


def _cost(data: bytes, format_: Format, min_side: int) -> int:
    if format_ == "HEIF":
        return UNREAD
    if format_ != "JPEG":
        header = READERS[format_](data)
        return header.width * header.height * max(8 * PIXEL, header.bits) // 8
    jpeg = read_jpeg_header(data)
    pixels, scale = jpeg.width * jpeg.height, reduction((jpeg.width, jpeg.height), min_side)
    on_the_way = pixels * COEFFICIENTS if jpeg.buffered else pixels // SKIPPED
    return pixels // scale**2 * PIXEL + on_the_way
