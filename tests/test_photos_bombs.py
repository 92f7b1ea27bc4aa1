"""Files made to exhaust memory or time are refused by their headers, and cheaply."""

import io
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import matrix_profile, with_table
from handmade import tiff as tiff_of
from PIL import Image, features

from fursure.drawings.draw import draw
from fursure.errors import BadImage
from fursure.photos.decode import Limits, decode

PHOTO = draw("dog", seed=5, size=128)
MEGABYTE = 2**20


def encoded(format_: str, image: Image.Image = PHOTO, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def reason(data: bytes, **options: Any) -> str:
    """Return why ``data`` is refused."""
    with pytest.raises(BadImage) as refusal:
        decode(data, **options)
    return refusal.value.reason


PROGRESSIVE = encoded("JPEG", progressive=True)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, bits: int = 1) -> bytes:
    """Return a black PNG; where it is large, of the first rows only."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min((1 + (width * bits + 7) // 8) * height, 4 * MEGABYTE)))
    body = png_chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body + png_chunk(b"IEND", b"")


def grey_jpeg(width: int, height: int) -> bytes:
    """Return a flat grey JPEG of any size, written by hand: each block is the bits 00 1010."""
    data = bytearray(encoded("JPEG", Image.new("L", (8, 8), 128)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = height.to_bytes(2) + width.to_bytes(2)
    scan = data.index(b"\xff\xda") + 10
    blocks = -(-width // 8) * -(-height // 8)
    return bytes(data[:scan]) + b"\x28\xa2\x8a" * (blocks // 4 + 1) + b"\xff\xd9"


def tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 4)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def gif(width: int, height: int, frame: tuple[int, int] = (1, 1)) -> bytes:
    canvas = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    image = b"\x2c" + struct.pack("<HHHH", 0, 0, *frame) + b"\0\x02\x02\x44\x01\0"
    return canvas + image + b";"


def bmp(width: int, height: int, coding: int = 0) -> bytes:
    bits = 8 if coding else 24
    return (
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, width, height, 1, bits, coding) + bytes(20)
    )


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif(width: int, height: int) -> bytes:
    data = bytearray(encoded("AVIF", PHOTO))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "sides"),
    [
        (png, (13_000, 13_000)),
        (png, (20_000, 20_000)),
        (png, (1, 10_000_000)),
        (png, (65_535, 65_535)),
        (png, (2**31 - 1, 2**31 - 1)),
        (gif, (65_535, 65_535)),
        (tiff, (60_000, 60_000)),
        (tiff, (2**32 - 1, 2**32 - 1)),
        (bmp, (30_000, -30_000)),
        (webp, (16_384, 16_384)),
        (webp, (2**24, 2**24)),
        (avif, (16_000, 16_000)),
        (grey_jpeg, (65_500, 65_500)),
    ],
)
def test_a_bomb_is_refused_by_its_header(make: Any, sides: tuple[int, int]) -> None:
    if make is avif and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = make(*sides)
    with no_more_memory_than(50 * MEGABYTE):
        found = in_a_moment(lambda: reason(data))
    assert f"{sides[0]:,} × {abs(sides[1]):,} pixels; the limit is" in found


def in_a_moment(call: Callable[[], Any]) -> Any:
    """Return what ``call`` does, the quickest of three times in less than 50 ms."""
    times = []
    for _ in range(3):
        started = time.process_time()
        found = call()
        times.append(time.process_time() - started)
    assert min(times) < 0.05
    return found


@contextmanager
def no_more_memory_than(growth: int) -> Iterator[None]:
    """Check the growth of the process's high-water mark, where it can be read."""
    if sys.platform != "linux":
        yield
        return
    before = _most_memory()
    yield
    assert _most_memory() - before < growth


def _most_memory() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_a_gif_frame_larger_than_its_canvas_counts() -> None:
    assert "60,000 × 60,000 pixels" in reason(gif(10, 10, frame=(60_000, 60_000)))


def test_a_huge_jpeg_decodes_small() -> None:
    data = grey_jpeg(12_000, 9_000)  # 108 megapixels, as phones write them
    with no_more_memory_than(50 * MEGABYTE):
        photo = decode(data)
    assert (photo.width, photo.height, photo.image.size) == (12_000, 9_000, (1500, 1125))
    assert photo.image.getextrema() == ((128, 128),) * 3


def test_a_huge_progressive_jpeg_is_refused() -> None:
    # Its decoder holds all coefficients, 2 bytes each, whatever it is asked to give.
    data = bytearray(PROGRESSIVE)
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = (9_000).to_bytes(2) + (12_000).to_bytes(2)
    assert "the limit is 64 megapixels" in reason(bytes(data))


def test_a_progressive_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = PROGRESSIVE
    last = data.rindex(b"\xff\xda")
    assert "more than 100 scans" in reason(data[:last] + data[last:-2] * 1000 + b"\xff\xd9")


def test_twelve_bits_per_channel_are_refused_by_name() -> None:
    data = bytearray(encoded("JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert reason(bytes(data)) == "a JPEG of 12 bits per channel; needed are 8"


@pytest.mark.parametrize(
    "data",
    [
        png(64, 64, *[png_chunk(b"teSt", b"")] * 1_000_000),
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 500_000,
        gif(8, 8)[:-1] + b"\x21\xfe" + b"\x01a" * 2_000_000 + b"\0;",
        bmp(8, 8, coding=1) + b"\0\2\0\0" * 2_000_000,
    ],
    ids=["PNG chunks", "JPEG segments", "GIF blocks", "BMP runs"],
)
def test_endless_lists_of_small_parts_are_cut_short(data: bytes) -> None:
    with no_more_memory_than(50 * MEGABYTE):
        assert "damaged or truncated" in in_a_moment(lambda: reason(data))


def test_metadata_of_any_size_is_never_unpacked() -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(60 * MEGABYTE), 1)
    long = b"Comment\0\1\0\0\0" + zlib.compress(bytes(60 * MEGABYTE), 1)
    data = png(64, 64, *(png_chunk(kind, text) for kind in (b"zTXt", b"iCCP", b"eXIf")),
               png_chunk(b"iTXt", long))  # fmt: skip
    with no_more_memory_than(20 * MEGABYTE):
        assert in_a_moment(lambda: decode(data)).width == 64


def test_an_animation_of_ten_thousand_frames_costs_its_first_one() -> None:
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    data = gif(1, 1)[:-1] + frame * 10_000 + b";"
    with no_more_memory_than(50 * MEGABYTE):
        assert in_a_moment(lambda: decode(data)).frames >= 1_000


def test_a_strip_that_unpacks_to_gigabytes_is_cut_short() -> None:
    strip = zlib.compress(bytes(60 * MEGABYTE), 1)
    tags = {256: (4, struct.pack("<I", 64)), 257: (4, struct.pack("<I", 64)), 258: (3, b"\x08\0"),
            259: (3, b"\x08\0"), 262: (3, b"\1\0"), 273: (4, struct.pack("<I", 8)),
            277: (3, b"\1\0"), 278: (4, struct.pack("<I", 64)),
            279: (4, struct.pack("<I", len(strip)))}  # fmt: skip
    data = with_table(strip, tags, "<")
    with no_more_memory_than(50 * MEGABYTE):
        assert in_a_moment(lambda: decode(data)).width == 64


def test_a_tiff_of_endless_pages_counts_a_thousand() -> None:
    data = bytearray(encoded("TIFF", PHOTO.resize((8, 8))))
    (table,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, table)
    at = table + 2 + 12 * count
    for _ in range(5000):
        struct.pack_into("<I", data, at, len(data))
        at = len(data) + 2
        data += bytes(6)
    assert decode(bytes(data)).frames == 1000


def test_limits_are_the_callers() -> None:
    assert reason(encoded("BMP"), limits=Limits(bytes=1024)).endswith(
        "MB; the limit is 0.000976562 MB"
    )
    assert reason(encoded("PNG"), limits=Limits(side=100)).endswith("the limit is 100 a side")
    assert reason(encoded("PNG"), limits=Limits(pixels=9_000)).endswith("limit is 0.009 megapixels")


# Tables that ask for more memory than their picture needs


@pytest.mark.parametrize("sides", [(32, 22_000_000), (22_000_000, 32), (60_000, 60_000)])
def test_tiles_far_larger_than_the_photo_are_refused(sides: tuple[int, int]) -> None:
    number = [struct.pack("<I", side) for side in sides]
    pixels_HWC = np.zeros((64, 64, 3), np.uint8)
    data = tiff_of(pixels_HWC, tile=(64, 64), more={322: (4, number[0]), 323: (4, number[1])})
    with no_more_memory_than(20 * MEGABYTE):
        found = reason(data)
    assert f"in tiles of {sides[0]:,} × {sides[1]:,} pixels" in found


def test_a_tile_that_reaches_over_the_edge_is_fine() -> None:
    pixels_HWC = np.asarray(PHOTO)
    data = tiff_of(pixels_HWC, tile=(512, 512))
    assert decode(data).image.tobytes() == pixels_HWC.tobytes()


def flat_tiff(width: int, height: int, bits: int, kind: int, channels: int = 1) -> bytes:
    """Return a TIFF of zeros, deflated in strips of 16 rows: small, however large it says it is."""
    strip = zlib.compress(bytes(width * bits // 8 * channels * 16), 9)
    strips = height // 16
    places = (
        struct.pack(f"<{strips}I", *[8] * strips),
        struct.pack(f"<{strips}I", *[len(strip)] * strips),
    )
    short = struct.Struct("<H").pack
    tags = {
        256: (4, struct.pack("<I", width)),
        257: (4, struct.pack("<I", height)),
        258: (3, short(bits) * channels),
        259: (3, short(8)),
        262: (3, short(2 if channels == 3 else 1)),
        273: (4, places[0]),
        277: (3, short(channels)),
        278: (4, struct.pack("<I", 16)),
        279: (4, places[1]),
        339: (3, short(kind) * channels),
    }
    return with_table(strip, tags, "<")


def memory_to_decode(data: bytes, folder: Path) -> int:
    """Return by how much the high-water mark of a process grows that decodes ``data``."""
    path = folder / "photo"
    path.write_bytes(data)
    code = """
import sys
from pathlib import Path
from fursure.photos.decode import decode
from fursure.drawings.draw import draw
def most(): return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
data = Path(sys.argv[1]).read_bytes()
before = most()
photo = decode(data)
print(most() - before, photo.width, photo.height)
"""
    command = [sys.executable, "-c", code, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout.split()[0])


def page_at_600_dpi() -> bytes:
    """Return an A4 page as scanners write it: 4,960 × 7,016 pixels, not compressed."""
    return tiff_of(np.full((7_016, 4_960, 3), 250, np.uint8), rows=16)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the high-water mark from /proc")
@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (lambda: flat_tiff(8_000, 8_000, 32, 3), 120),
        (lambda: flat_tiff(6_500, 6_400, 16, 1, 3), 330),
        (lambda: flat_tiff(8_000, 8_000, 8, 1), 120),
        (page_at_600_dpi, 400),
        (lambda: encoded("WEBP", Image.new("RGB", (8_000, 8_000))), 800),
    ],
    ids=["float", "deep", "grey", "page", "webp"],
)
def test_the_largest_photos_take_so_many_megabytes(data: Any, limit: int, tmp_path: Path) -> None:
    assert memory_to_decode(data(), tmp_path) < limit * MEGABYTE


@pytest.mark.long
def test_a_page_scanned_at_600_dpi_is_a_photo() -> None:
    photo = decode(page_at_600_dpi())
    assert (photo.width, photo.height) == (4_960, 7_016)
    assert "the limit is 42.67 megapixels" in reason(flat_tiff(8_000, 8_000, 16, 1, 3))


# Profiles


@pytest.mark.long
def test_a_thousand_different_profiles_are_not_kept() -> None:
    photos = [
        encoded(
            "PNG",
            PHOTO.resize((8, 8)),
            icc_profile=matrix_profile(gamma=1 + at / 300) + bytes(MEGABYTE),
        )
        for at in range(100)
    ]
    with no_more_memory_than(50 * MEGABYTE):
        for photo in photos:
            decode(photo)
