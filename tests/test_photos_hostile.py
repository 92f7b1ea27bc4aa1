"""Files that are no photos, or are made to harm, become one `BadImage` each, quickly."""

import io
import random
import struct
import time
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from figures import at_figure
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from fursure.drawings.draw import draw
from fursure.errors import BadImage
from fursure.photos.decode import Limits, decode
from fuzzing.mutate import Mutator

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


FRAMES = [PHOTO.rotate(angle).resize((48, 48)) for angle in (0, 40, 80)]
PHOTOS = {
    "JPEG": encoded("JPEG"),
    "progressive JPEG": encoded("JPEG", progressive=True),
    "grey JPEG": encoded("JPEG", PHOTO.convert("L")),
    "PNG": encoded("PNG"),
    "palette PNG": encoded("PNG", PHOTO.quantize(16)),
    "WebP": encoded("WEBP"),
    "lossless WebP": encoded("WEBP", lossless=True),
    "GIF": encoded("GIF"),
    "animated GIF": encoded("GIF", FRAMES[0], save_all=True, append_images=FRAMES[1:]),
    "BMP": encoded("BMP", PHOTO.resize((40, 40))),
    "TIFF": encoded("TIFF", PHOTO.resize((40, 40))),
}


# No photos


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "an empty file"),
        (b"\xff", "no image of a known format"),
        (b"\xff\xd8", "damaged or truncated JPEG"),
        (b"\xff\xd8\xff", "damaged or truncated JPEG"),
        (bytes(5000), "nothing but zero bytes"),
        (b"Dear reader, this is no photo.", "a text file"),
        ("Кошка, не фотография".encode(), "a text file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"\n  <html lang=en><svg></svg></html>", "a web page"),
        (b"%PDF-1.7\n\xe2\xe3", "a PDF document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<svg width="1"></svg>', "an SVG drawing"),
        (b"PK\x03\x04\x14\0\0\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip archive"),
        (b"\x7fELF\x02\x01\x01" + bytes(9), "a program"),
        (b"MZ\x90\0\x03\0\0\0", "a program"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
        (b"\xff\x0a\xfa\x7f", "a JPEG XL photo"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 photo"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x93\x12\x00\x07random", "no image of a known format"),
    ],
)
def test_what_is_no_photo_is_called_by_its_name(data: bytes, expected: str) -> None:
    reason(data)  # the first refusal of a kind may import its decoder
    started = time.process_time()
    assert reason(data).startswith(expected)
    assert time.process_time() - started < 0.01


@pytest.mark.parametrize("name", ["cat.png", "cat.TXT", "cat", "cat.jpg"])
def test_the_extension_plays_no_part(name: str) -> None:
    assert decode(PHOTOS["JPEG"], name=name).format == "JPEG"
    assert decode(PHOTOS["PNG"], name=name).format == "PNG"


# Damage


@pytest.mark.parametrize("count", at_figure(20, 200, quick=True))
@pytest.mark.parametrize("kind", [*PHOTOS, "AVIF"])
def test_a_truncated_photo_is_refused_quickly_wherever_it_ends(kind: str, count: int) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = encoded("AVIF") if kind == "AVIF" else PHOTOS[kind]
    end = len(data) - 2 if "JPEG" in kind else len(data)  # a JPEG's last two bytes make no pixels
    cuts = {*np.linspace(0, end - 1, count, dtype=int).tolist(), end - 2}
    for cut in cuts:
        started = time.thread_time()
        assert reason(data[:cut]), cut
        assert time.thread_time() - started < 0.05


@pytest.mark.parametrize("kind", PHOTOS)
def test_changed_bytes_give_a_photo_or_a_refusal(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    chance, change = random.Random(kind), Mutator(others=list(PHOTOS.values()))
    for _ in range(60):
        data = change(PHOTOS[kind], chance)
        try:
            photo = decode(data, limits=Limits(pixels=4_000_000))
        except BadImage:
            continue
        assert photo.image.mode == "RGB"
    assert capfd.readouterr() == ("", "")


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_bad_image(data: bytes) -> None:
    with pytest.raises(BadImage):
        decode(data)


@given(st.sampled_from(sorted(PHOTOS)), st.binary(max_size=60), st.integers(0, 400))
def test_random_bytes_inside_a_photo_raise_nothing_but_bad_image(
    kind: str, junk: bytes, at: int
) -> None:
    data = PHOTOS[kind]
    with suppress(BadImage):
        decode(data[:at] + junk + data[at + len(junk) :], limits=Limits(pixels=4_000_000))


@pytest.mark.parametrize(
    "error", [MemoryError, RecursionError, SyntaxError, struct.error, SystemError]
)
def test_every_failure_of_a_decoder_is_a_bad_image(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("inside")

    monkeypatch.setattr("fursure.photos.decode.to_rgb", fail)
    assert reason(PHOTOS["PNG"]).endswith(
        "PNG too large for the memory at hand"
        if error is MemoryError
        else "damaged or truncated PNG"
    )


def test_control_c_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fursure.photos.decode.to_rgb", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(PHOTOS["PNG"])


# Oddities


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (15, 15)])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_extreme_shapes_are_photos(format_: str, size: tuple[int, int]) -> None:
    photo = decode(encoded(format_, Image.new("RGB", size, (10, 200, 30))))
    assert (photo.width, photo.height) == photo.image.size == size


def test_warnings_of_pillow_never_surface(recwarn: pytest.WarningsRecorder) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + bytes(range(40))
    decode(encoded("JPEG", exif=exif))
    decode(encoded("PNG", exif=exif))
    decode(encoded("WEBP", exif=exif))
    palette = PHOTO.quantize(8)
    decode(encoded("PNG", palette, transparency=bytes([0, 90, 255])))
    control = (
        struct.pack(">I", 8)
        + b"acTL"
        + bytes(8)
        + struct.pack(">I", zlib.crc32(b"acTL" + bytes(8)))
    )
    data = PHOTOS["PNG"]
    decode(data[:33] + control * 2 + data[33:])  # after the header: an invalid animation
    assert not recwarn.list
