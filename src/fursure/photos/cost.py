"""A photo's bytes → what decoding it will take, from its header alone.

Beside its memory, a JPEG that is reduced on the way costs the reading of every pixel it has.
"""

from fursure.formats.format import Format
from fursure.formats.jpeg import reduction
from fursure.formats.table import sniff
from fursure.photos.decode import LIMITS

PIXEL = 4  # bytes of a decoded pixel, its copy included
COEFFICIENTS = 6  # bytes a pixel that a progressive JPEG is kept in until its end
SKIPPED = 4  # pixels of a reduced JPEG that cost as much as one byte


def cost(data: bytes, *, min_side: int) -> int:
    """Return about how many bytes decoding takes; 0 of what is refused by its first bytes."""
    try:
        return min(_cost(data, sniff(data, "photo"), min_side), PIXEL * LIMITS.pixels)
    except Exception:  # no photo, or a damaged header: `decode` will say so, and at no cost
        return 0


def _cost(data: bytes, format_: Format, min_side: int) -> int:
    if format_.unread:
        return format_.unread
    header = format_.read(data)
    pixels = header.width * header.height
    if not format_.reduces:
        return pixels * max(8 * PIXEL, header.bits) // 8
    scale = reduction((header.width, header.height), min_side)
    on_the_way = pixels * COEFFICIENTS if header.whole else pixels // SKIPPED
    return pixels // scale**2 * PIXEL + on_the_way
