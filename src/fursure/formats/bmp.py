"""BMP bytes → the size of the photo."""

import struct

from PIL.BmpImagePlugin import BmpImageFile

from fursure.formats.format import Format, Header, OtherKind, pillow_opens

MAX_RUNS = 2 * 2**20  # bytes of run-length coding, which Pillow decodes in Python: 0.4 s
CODINGS = {4: "a JPEG inside", 5: "a PNG inside"}
HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes; two letters alone prove little


def read_bmp_header(data: bytes) -> Header:
    """Return the size of a BMP."""
    old = data[14] == 12
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    coding = 0 if old else data[30]
    if coding not in {0, 1, 2, 3, 6}:
        raise OtherKind("BMP", CODINGS.get(coding, f"coding {coding}"))
    if coding in {1, 2} and len(data) > MAX_RUNS:
        raise ValueError("a BMP of absurdly many runs")
    opens = pillow_opens(BmpImageFile, data)
    return Header(width=width, height=abs(height), frames=1, orientation=1, open=opens)


BMP = Format(
    name="BMP",
    title="BMP",
    suffixes=(".bmp",),
    recognises=lambda data: (
        data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in HEADER_SIZES
    ),
    read=read_bmp_header,
)
