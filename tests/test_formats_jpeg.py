"""JPEGs: how far they are reduced, and two decoders that agree on every bit."""

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fursure.drawings.draw import draw
from fursure.formats import jpeg as jpeg_module
from fursure.formats.jpeg import reduction
from fursure.formats.jpeg_header import read_jpeg_header
from fursure.photos.decode import decode, jpeg_decoder

PHOTO = draw("cat", seed=3)
DATA = Path(os.environ.get("FURSURE_DATA", Path(__file__).parents[2] / "shared"))
JPEGS: dict[str, dict[str, Any]] = {
    "444": {"subsampling": 0},
    "422": {"subsampling": 1},
    "420": {"subsampling": 2},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True, "quality": 97},
    "coarse": {"quality": 20},
    "restarts": {"restart_marker_rows": 1},
}


def encoded(image: Image.Image = PHOTO, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture
def pillow_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide simplejpeg."""
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    jpeg_decoder.cache_clear()
    yield
    monkeypatch.undo()
    jpeg_decoder.cache_clear()


# Reduction


@pytest.mark.parametrize(
    ("width", "height", "min_side", "scale"),
    [
        (200, 200, 256, 1),
        (510, 600, 256, 1),
        (511, 600, 256, 2),  # half of 511 is rounded up to 256
        (1024, 4000, 256, 4),
        (12_000, 9_000, 256, 8),
        (12_000, 9_000, 5_000, 1),
        (3, 3, 1, 1),
    ],
)
def test_the_shorter_side_stays_above_the_minimum(
    width: int, height: int, min_side: int, scale: int
) -> None:
    assert reduction((width, height), min_side) == scale


def test_a_reduced_photo_remembers_its_size() -> None:
    photo = decode(encoded(PHOTO.resize((1100, 1300)), exif=b""), min_side=256)
    assert (photo.width, photo.height, photo.image.size) == (1100, 1300, (275, 325))


# The two JPEG decoders


def both_decoders(data: bytes, scale: int) -> tuple[bytes, bytes]:
    header = read_jpeg_header(data)
    fast = jpeg_module._by_simplejpeg(data, header, scale)
    sure = Image.open(io.BytesIO(data))
    sure.draft("RGB" if sure.mode == "RGB" else None, (sure.width // scale, sure.height // scale))
    assert fast.size == sure.size
    return fast.tobytes(), sure.convert("RGB").tobytes()


@pytest.mark.parametrize("size", [(256, 256), (333, 517), (640, 479), (24, 19)])
@pytest.mark.parametrize("kind", [*JPEGS, "grey"])
def test_simplejpeg_gives_the_pixels_of_pillow(kind: str, size: tuple[int, int]) -> None:
    pytest.importorskip("simplejpeg")
    image = PHOTO.resize(size)
    data = encoded(image.convert("L") if kind == "grey" else image, **JPEGS.get(kind, {}))
    for scale in (1, 2) if min(size) < 64 else (1, 2, 4, 8):
        fast, sure = both_decoders(data, scale)
        assert fast == sure


def test_simplejpeg_gives_the_pixels_of_pillow_on_real_photos() -> None:
    pytest.importorskip("simplejpeg")
    archive = DATA / "data" / "cats-vs-dogs-12000.zip"
    if not archive.exists():
        pytest.skip(f"no photos: {archive} does not exist; set FURSURE_DATA")
    with zipfile.ZipFile(archive) as photos:
        names = [name for name in photos.namelist() if name.endswith(".jpg")]
        for name in names[:: len(names) // 50][:50]:
            fast, sure = both_decoders(photos.read(name), 1)
            assert fast == sure, name


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_answers_are_the_same_without_simplejpeg(
    options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    data = encoded(PHOTO.resize((700, 600)), **options)
    before = decode(data)
    request.getfixturevalue("pillow_only")
    assert jpeg_decoder() == "pillow"
    after = decode(data)
    assert before.image.tobytes() == after.image.tobytes()
    assert before.image.size == after.image.size == (350, 300)


def test_a_simplejpeg_with_other_pixels_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        @staticmethod
        def decode_jpeg(data: bytes, *_: str, **__: int) -> NDArray[np.uint8]:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").rotate(180))

    monkeypatch.setitem(sys.modules, "simplejpeg", Other)
    jpeg_decoder.cache_clear()
    assert jpeg_decoder() == "pillow"
    monkeypatch.undo()
    jpeg_decoder.cache_clear()


def test_an_rgb_coded_jpeg_keeps_its_colours() -> None:
    data = encoded(keep_rgb=True, quality=95)
    difference_HWC = np.asarray(decode(data).image, dtype=int) - np.asarray(PHOTO)
    assert np.abs(difference_HWC).mean() < 4
