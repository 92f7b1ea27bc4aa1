"""Photos travel by name, and arrive as the same bytes."""

import pickle
from contextlib import ExitStack
from pathlib import Path
from zipfile import ZipFile

import pytest

from fursure.cluster.places import Places, Sent, SharedPlace, by_name, shared_name
from fursure.commands.inputs import Photos
from fursure.dataset.sources import open_source
from fursure.errors import BadImage, FursureError
from fursure.photos.handed import photo_bytes


def travelled(*inputs: str) -> list[tuple[str, bytes]]:
    """Return names and bytes as a worker in another folder has them."""
    places, arrived = Places(), []
    with ExitStack() as stack:
        for name, photo in Photos(inputs).opened_on(stack):
            on_the_way: Sent = pickle.loads(pickle.dumps(by_name(name, photo)))  # noqa: S301
            arrived.append(places.received(on_the_way))
    read = [(name, photo_bytes(name, photo)) for name, photo in arrived]
    for name in inputs:  # a worker keeps them open until it ends
        if not isinstance(source := places.source(str(Path(name).absolute())), FursureError):
            source.close()
    return read


def test_files_folders_and_archives_are_opened_by_whoever_gets_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    with ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("in/b.jpg", b"b")
    monkeypatch.chdir(tmp_path)
    assert travelled("photos/a.jpg", "photos", "more.zip") == [
        ("photos/a.jpg", b"a"),
        ("photos/a.jpg", b"a"),
        ("more.zip!in/b.jpg", b"b"),
    ]


def test_a_source_is_named_from_the_root_and_a_url_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    with open_source("photos") as source:
        assert shared_name(source) == str(tmp_path / "photos")
        source.path = "s3://bucket/photos"  # type: ignore[assignment]
        assert shared_name(source) == "s3://bucket/photos"


def test_what_cannot_be_read_arrives_with_its_reason(tmp_path: Path) -> None:
    _, photo = Places().received(by_name("x.nef", BadImage("x.nef", "a camera's raw file")))
    assert isinstance(photo, BadImage)
    assert photo.reason == "a camera's raw file"
    _, missing = Places().received(("a.jpg", SharedPlace(str(tmp_path / "gone.zip"), "a.jpg")))
    with pytest.raises(BadImage, match="does not exist"):
        photo_bytes("a.jpg", missing)
