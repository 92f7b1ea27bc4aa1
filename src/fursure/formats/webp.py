"""WebP bytes → the size of the photo; the decoder tells the rest once that is known sane."""

import struct

from PIL.WebPImagePlugin import WebPImageFile

from fursure.formats.format import Format, Header, pillow_opens


class _FirstFrame(WebPImageFile):
    """A WebP that lets its decoder go with the first frame: that holds the picture twice more."""

    def _get_next(self) -> tuple[bytes, int, int]:
        frame = super()._get_next()
        del self._decoder
        return frame


def read_webp_header(data: bytes) -> Header:
    """Return the size of a WebP's canvas."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise EOFError("the WebP ends too early")
    match data[12:16]:
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width = int.from_bytes(data[24:27], "little") + 1
            height = int.from_bytes(data[27:30], "little") + 1
        case _:
            raise ValueError("a WebP without a picture")
    return Header(width=width, height=height, open=pillow_opens(_FirstFrame, data))


WEBP = Format(
    name="WEBP",
    title="WebP",
    suffixes=(".webp",),
    recognises=lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
    read=read_webp_header,
)
