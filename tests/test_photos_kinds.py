"""Files that are whole, and of a kind that is not decoded, are called by it, not damaged."""

import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from handmade import chunk, tiff

from fursure.drawings.draw import draw
from fursure.errors import BadImage
from fursure.formats.jpeg_end import _without_filling
from fursure.photos.decode import decode

PHOTO = draw("dog", seed=5, size=64)
RGB_HWC = np.asarray(PHOTO)
GREY_HWC = np.asarray(PHOTO.convert("L"))[..., None]


def reason(data: bytes, name: str = "photo") -> str:
    """Return why ``data`` is refused."""
    with pytest.raises(BadImage) as refusal:
        decode(data, name=name)
    return refusal.value.reason


def jpeg_of(coding: int) -> bytes:
    """Return a JPEG that says that it is coded otherwise."""
    buffer = io.BytesIO()
    PHOTO.save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    data[data.index(b"\xff\xc0") + 1] = coding
    return bytes(data)


def bmp_of(coding: int) -> bytes:
    head = struct.pack("<IiiHHI", 40, 64, 64, 1, 24, coding)
    return b"BM" + bytes(12) + head + bytes(20) + bytes(64 * 64 * 3)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (
            tiff((RGB_HWC / 255).astype("f4"), kind=3),
            "TIFF of a kind that is not decoded (3 × 32-bit float)",
        ),
        (tiff(RGB_HWC.astype("u4")), "(3 × 32-bit)"),
        (tiff(GREY_HWC.astype("u8"), colours=1), "(1 × 64-bit)"),
        (tiff(GREY_HWC.astype("i1"), colours=1, kind=2), "(1 × 8-bit signed)"),
        (tiff(RGB_HWC.astype("u2") * 257, colours=8), "(3 × 16-bit, Lab)"),
        (tiff(GREY_HWC, colours=32803), "(1 × 8-bit, raw sensor)"),
        (tiff(np.repeat(GREY_HWC, 9, axis=2), colours=1), "(9 channels)"),
        (tiff(RGB_HWC, more={259: (3, struct.pack("<H", 34712))}), "(compression 34712)"),
        (tiff(RGB_HWC, more={50706: (1, b"\1\4\0\0")}), "(a camera's raw photo)"),
        (
            tiff(RGB_HWC, more={254: (4, b"\1\0\0\0"), 330: (4, b"\x08\0\0\0")}),
            "(a camera's raw photo)",
        ),
        (jpeg_of(0xC3), "JPEG of a kind that is not decoded (lossless)"),
        (jpeg_of(0xC5), "(hierarchical)"),
        (jpeg_of(0xF7), "(JPEG-LS)"),
        (bmp_of(4), "BMP of a kind that is not decoded (a JPEG inside)"),
        (bmp_of(5), "(a PNG inside)"),
        (
            b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", b"\x50\0\x20\2"),
            "(rewritten by Xcode for iPhones)",
        ),
    ],
)
def test_another_kind_is_named(data: bytes, kind: str) -> None:
    found = reason(data)
    assert kind in found
    assert found.endswith("; save it as JPEG or PNG")
    assert "damaged" not in found


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"PAR1" + bytes(200) + b"PAR1", "train.parquet", "a Parquet table, not a photo"),
        (b"PK\x03\x04" + bytes(90), "photos.zip.001", "part 1 of a split archive: join the parts"),
        (b"\x17\x90" * 99, "photos.zip.002", "part 2 of a split archive: join the parts"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(9), "p.7z.001", "part 1 of a split archive: join the parts"),
        (b"PK\x07\x08PK\x03\x04", "photos.z01", "part 1 of a split ZIP archive: join the parts"),
        (b"PK\x03\x04" + bytes(90), "photos.zip", "a ZIP archive"),
        (b"FUJIFILMCCD-RAW 0201", "p.raf", "a camera's raw photo; export it as JPEG"),
        (b"IIRO\x08\0\0\0", "p.orf", "a camera's raw photo; export it as JPEG"),
        (b"IIU\0\x18\0\0\0", "p.rw2", "a camera's raw photo; export it as JPEG"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "p.cr3", "a camera's raw photo; export it as JPEG"),
        (b"P6\n2 2\n255\n" + bytes(range(12)), "p.ppm", "a PNM picture; save it as JPEG or PNG"),
        (b"\x8aMNG\r\n\x1a\n", "p.mng", "an MNG or JNG picture"),
        (b"\xff\x4f\xff\x51\0\x2f", "p.j2k", "a JPEG 2000 photo"),
        (b"\0\0\1\0\1\0\x10\x10", "p.ico", "an icon"),
        (b"SIMPLE  =                    T", "p.fits", "a FITS picture"),
    ],
)
def test_what_is_no_photo_of_ours_is_named(data: bytes, name: str, expected: str) -> None:
    assert reason(data, name).startswith(expected)


def test_a_photo_is_one_whatever_its_name_ends_like() -> None:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "JPEG")
    for name in ("IMG.mpo", "IMG.hif", "IMG.jpg_large", "IMG.JPG.1", "photos.zip.001"):
        assert decode(buffer.getvalue(), name=name).format == "JPEG"


@pytest.mark.parametrize("coding", [0xC1, 0xC3, 0xC5, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCF])
def test_a_jpeg_of_any_coding_is_decoded_or_refused_by_name(coding: int) -> None:
    """Extended, lossless, hierarchical and arithmetic coding (ITU-T T.81, table B.1)."""
    with suppress(BadImage):
        assert decode(jpeg_of(coding)).image.mode == "RGB"
        return
    assert "JPEG" in reason(jpeg_of(coding))


def test_of_two_pictures_in_one_file_the_first_is_the_photo() -> None:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "MPO", save_all=True, append_images=[PHOTO.rotate(180)])
    photo = decode(buffer.getvalue(), name="IMG_0001.MPO")
    assert np.abs(np.asarray(photo.image, int) - RGB_HWC).mean() < 10


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1"])
def test_an_iphone_photo_called_otherwise_names_the_extra(
    brand: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100)
    assert reason(data, "photo.hif") == "HEIC photo; run: pip install 'fursure[heic]'"


# A JPEG without its end


def jpeg(size: int = 128, **options: Any) -> bytes:
    buffer = io.BytesIO()
    draw("cat", seed=18, size=min(size, 256)).resize((size, size)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


JPEGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fine": {"quality": 97, "subsampling": 0, "optimize": True},
    "coarse": {"quality": 5, "optimize": True},
    "restarts": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_that_lacks_only_its_end_is_the_photo(options: dict[str, Any]) -> None:
    data = jpeg(**options)
    pixels = decode(data).image.tobytes()
    for cut in (data[:-1], data[:-2], data[:-2] + bytes(700)):
        assert decode(cut).image.tobytes() == pixels
    for size in (600, 2100):  # reduced while it is decoded, to 1/2 and 1/8
        large = jpeg(size, **options)
        assert decode(large[:-2]).image.tobytes() == decode(large).image.tobytes()


@pytest.mark.parametrize(
    ("end", "body"),
    [
        (b"\x8a", b"\x8a"),
        (b"\x8a\0", b"\x8a\0"),  # as encoders end that fill their last byte with zeros
        (b"\x8a" + bytes(4096), b"\x8a"),
        (b"\x8a\xff", b"\x8a"),
        (b"\xff\0", b"\xff\0"),
        (b"\xff" + bytes(4096), b"\xff\0"),
    ],
)
def test_a_zero_at_the_end_may_belong_to_the_pixels(end: bytes, body: bytes) -> None:
    assert _without_filling(b"\x01" + end) == b"\x01" + body


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_that_lacks_pixels_is_refused(options: dict[str, Any]) -> None:
    data = jpeg(**options)
    cuts = [len(data) - less for less in (4, 8, 20, 200)]
    for marker in (b"\xff\xd7", b"\xff\xda"):  # a restart; the last scan, of finer detail
        at = data.rfind(marker)
        cuts += [at, at + 2, at + 40] if at > 0 else []
    for cut in cuts:
        for filling in (b"", bytes(700), b"\xa7" * 700):
            assert reason(data[:cut] + filling) == "damaged or truncated JPEG", (cut, filling)
