"""The one table of image formats: what is in it is listed, recognised and decoded everywhere."""

from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from fursure.dataset.naming import junk
from fursure.dataset.sources import holds_photos, is_camera_raw, open_source
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadImage
from fursure.formats import table
from fursure.formats.format import Format, Header
from fursure.photos.cost import cost
from fursure.photos.decode import decode

SIDE = 40  # pixels
MAGIC = b"\x8bFURS\0"


def _open(data: bytes, _scale: int) -> Image.Image:
    return Image.frombytes("L", (SIDE, SIDE), data[len(MAGIC) :])


def _read(data: bytes) -> Header:
    return Header(width=SIDE, height=SIDE, bits=8, frames=1, open=partial(_open, data))


FURS = Format(
    name="FURS",
    title="Furs",
    suffixes=(".furs", ".fur"),
    recognises=lambda data: data.startswith(MAGIC),
    read=_read,
)
PHOTO = MAGIC + draw("cat", seed=1, size=SIDE).convert("L").tobytes()


@pytest.fixture
def furs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a format where a contributor adds one."""
    monkeypatch.setattr(table, "FORMATS", (*table.FORMATS, FURS))


@pytest.mark.usefixtures("furs")
def test_a_format_added_to_the_table_is_listed_in_folders_and_tried_alone(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for name in ("cat/1.furs", "cat/2.FUR", "cat/3.other"):
        (tmp_path / name).write_bytes(PHOTO)
    assert [junk(name) for name in ("a.furs", "b.other")] == [None, ".other"]
    with open_source(tmp_path) as source:
        assert source.read("cat/1.furs", 10_000) == PHOTO
    assert not holds_photos(tmp_path / "cat" / "1.furs")
    with open_source(tmp_path / "cat" / "3.other") as source:  # by its first bytes
        assert source.read("3.other", 10_000) == PHOTO
    (tmp_path / "raw.nef").write_bytes(PHOTO)
    assert not is_camera_raw(tmp_path / "raw.nef")


@pytest.mark.usefixtures("furs")
def test_a_format_added_to_the_table_is_decoded_and_measured() -> None:
    photo = decode(PHOTO)
    assert (photo.format, photo.width, photo.height, photo.frames) == ("FURS", SIDE, SIDE, 1)
    assert photo.image.getpixel((3, 7)) == (PHOTO[len(MAGIC) + 7 * SIDE + 3],) * 3
    assert cost(PHOTO, min_side=256) == 4 * SIDE * SIDE
    with pytest.raises(BadImage, match="damaged or truncated FURS"):
        decode(PHOTO[:-1])
    with pytest.raises(BadImage, match=r"known format \(JPEG, .*, TIFF, Furs\)"):
        decode(b"\x80\x81\x82")


def test_without_it_the_same_bytes_are_of_no_known_format() -> None:
    assert junk("a.furs") == ".furs"
    assert cost(PHOTO, min_side=256) == 0
    with pytest.raises(BadImage, match="no image of a known format"):
        decode(PHOTO)


def test_names_of_formats_are_unique_and_suffixes_are_written_as_names_end() -> None:
    names = [format_.name for format_ in table.FORMATS]
    assert len(set(names)) == len(names)
    suffixes = [suffix for format_ in table.FORMATS for suffix in format_.suffixes]
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
    assert all(table.is_photo_suffix(suffix) for suffix in suffixes)
    assert not table.is_photo_suffix("")


def test_a_photo_is_recognised_by_one_format_from_its_first_half_kilobyte() -> None:
    data = jpeg(draw("dog", seed=2))
    assert [format_.name for format_ in table.FORMATS if format_.recognises(data[:512])] == ["JPEG"]
