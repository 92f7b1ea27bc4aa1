"""GIF bytes → the facts of the photo, from all its blocks."""

import struct

from PIL.GifImagePlugin import GifImageFile

from fursure.formats.format import Format, Header, pillow_opens

MAX_BLOCKS = 300_000  # 64 MB in blocks of 255 bytes need 260,000


def read_gif_header(data: bytes) -> Header:
    """Return the facts of a GIF, from all its blocks; the size covers the first frame, too."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _palette_bytes(flags), 0
    in_sub_blocks = False
    for _ in range(MAX_BLOCKS):
        byte = data[at]
        if in_sub_blocks:
            in_sub_blocks = byte != 0
            at += byte + 1
        elif byte == 0x3B:  # the trailer
            opens = pillow_opens(GifImageFile, data)
            return Header(width=width, height=height, frames=frames, open=opens)
        elif byte == 0x21:  # an extension
            in_sub_blocks = True
            at += 2
        elif byte == 0x2C:  # a frame
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if not frames:
                width, height = max(width, left + across), max(height, top + down)
            frames += 1
            in_sub_blocks = True
            at += 11 + _palette_bytes(flags)
        else:  # stray bytes between blocks, as every decoder forgives them
            at += 1
    raise ValueError("a GIF of absurdly many blocks")


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


GIF = Format(
    name="GIF",
    title="GIF",
    suffixes=(".gif",),
    recognises=lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    read=read_gif_header,
)
