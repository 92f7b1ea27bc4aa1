"""Photos in a repository of the Hugging Face Hub on this machine: read at one commit."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hub_server import READER, Hub, Repo
from samples import draw_into

from fursure.cli import cli
from fursure.cluster.places import Places, by_name
from fursure.dataset.labelled import Dataset
from fursure.dataset.layout import list_photos
from fursure.dataset.listing import PhotoInside, Source
from fursure.dataset.sources import open_source
from fursure.errors import RemoteFailed
from fursure.remote import store as store_module
from fursure.training.train import train_model

pytestmark = pytest.mark.long
pytest.importorskip("fsspec")
ANYTHING = 1 << 30
PLACE = "hf://datasets/org/pets"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_into(tmp_path_factory.mktemp("hub") / "photos", count=20)


@pytest.fixture
def repo(hub: Hub, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """Return the data set of that place: a folder and a zip of it, and what is none of them."""
    monkeypatch.setattr(store_module, "_PAUSE", 0.001)
    files = {
        f"photos/{path.relative_to(photos).as_posix()}": path.read_bytes()
        for path in photos.rglob("*.*")
    }
    hub.repos["datasets/org/pets"] = Repo(files | {"p.zip": zipped(photos), "README.md": b"pets"})
    return hub.repos["datasets/org/pets"]


def zipped(photos: Path) -> bytes:
    """Return a zip of the photos, far from each other."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(photos.rglob("*.*")):
            archive.write(path, path.relative_to(photos).as_posix())
            archive.writestr(f"{path.stem}.bin", os.urandom(1 << 19))
    return packed.getvalue()


def contents(source: Source) -> list[bytes]:
    return [source.read(photo.path, ANYTHING) for photo in list_photos(source).photos]


def expected(photos: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(photos.rglob("*.*"))]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", ["photos", "p.zip"])
def test_a_repository_trains_as_the_folder_does(
    name: str, repo: Repo, photos: Path, tmp_path: Path
) -> None:
    with open_source(f"{PLACE}/{name}") as source:
        assert contents(source) == expected(photos)
    here = train_model(photos, tmp_path / "here.fursure", report=False)
    there = train_model(f"{PLACE}/{name}", tmp_path / "there.fursure", report=False)
    assert there.bundle.meta.figures == here.bundle.meta.figures


def test_one_photo_of_a_repository_is_read_and_of_a_zip_only_the_ranges_that_are_wanted(
    hub: Hub, repo: Repo, photos: Path
) -> None:
    with open_source(f"{PLACE}/photos/cat/cat.0.jpg") as source:
        assert contents(source) == [(photos / "cat" / "cat.0.jpg").read_bytes()]
    hub.served = 0
    with open_source(f"{PLACE}/p.zip") as source:
        last = list_photos(source).photos[-1].path
        assert source.read(last, ANYTHING) == expected(photos)[-1]
    assert len(repo.files["p.zip"]) > 20 << 20
    assert hub.served < 4 << 20


@pytest.mark.parametrize("name", ["photos", "p.zip"])
def test_what_is_pushed_while_a_repository_is_read_is_of_the_next_run(
    name: str, repo: Repo, photos: Path
) -> None:
    old, place = expected(photos), f"{PLACE}/{name}"
    dataset, packed = Dataset(place).pinned(), repo.files["p.zip"]
    with open_source(place) as source:
        first, *others = [photo.path for photo in list_photos(source).photos]
        assert source.read(first, ANYTHING) == old[0]
        before = repo.commit
        repo.push({path: data[::-1] for path, data in repo.files.items()})
        assert [source.read(path, ANYTHING) for path in others] == old[1:]
        with open_source(source.path) as again:
            assert contents(again) == old
    with dataset.open() as again:  # as recipes that are compared do, one after another
        assert contents(again) == old
    with open_source(f"{PLACE}@{before}/{name}") as source:
        assert contents(source) == old
    repo.push({"p.zip": packed[:-22] + zipped(photos / "dog")})
    with open_source(place) as source:
        now = contents(source)
    if name == "photos":
        assert now == [data[::-1] for data in old]
    else:
        assert now == expected(photos / "dog")


def test_a_worker_elsewhere_reads_the_commit_that_was_listed(repo: Repo, photos: Path) -> None:
    with open_source(f"{PLACE}@main/p.zip") as source:
        last = list_photos(source).photos[-1].path
        name, sent = by_name("a name", PhotoInside(source=source, name=last, limit=ANYTHING))
    repo.push({"p.zip": b"PK"})
    _, read = Places().received((name, sent))
    assert callable(read)
    assert read() == expected(photos)[-1]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("hf://datasets/org/cats", "there is no such repository, or it is private: .*HF_TOKEN"),
        ("hf://datasets/org/secret/p.zip", "there is no such repository, or it is private"),
        (f"{PLACE}@nowhere/photos", "the repository has no such branch, tag or commit"),
        (f"{PLACE}/dogs", "nothing lies there"),
        ("hf://datasets/org/gated/p.zip", "the repository is gated: accept its terms"),
        ("hf://pets", "must be 'namespace/name'"),
    ],
)
def test_what_the_hub_does_not_give_is_one_sentence(
    place: str, sentence: str, hub: Hub, repo: Repo
) -> None:
    hub.repos["datasets/org/secret"] = Repo(repo.files, private=True)
    hub.repos["datasets/org/gated"] = Repo(repo.files, gated=True)
    with pytest.raises(RemoteFailed, match=rf"^{place} cannot be used: .*{sentence}"):
        open_source(place)
    assert len(hub.requests) < 10


def test_a_private_repository_is_read_by_whoever_has_a_token(
    hub: Hub, repo: Repo, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.private = repo.gated = True
    monkeypatch.setenv("HF_TOKEN", READER)
    with open_source(f"{PLACE}/p.zip") as source:
        assert contents(source) == expected(photos)
    assert not any(asked.authorised for asked in hub.requests if asked.host == "cdn")


def test_a_hub_that_fails_is_asked_again_and_then_told(
    hub: Hub, repo: Repo, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cuts = [100] * 3
    with open_source(f"{PLACE}/photos") as source:
        assert contents(source) == expected(photos)
        hub.broken = 503
        with pytest.raises(RemoteFailed, match="the server answers 503, also after 7 tries"):
            contents(source)


@pytest.mark.parametrize("name", ["photos", "p.zip"])
def test_a_second_check_fetches_only_what_it_shows_also_after_a_push_of_other_files(
    name: str, hub: Hub, repo: Repo, tmp_path: Path
) -> None:
    page = tmp_path / "review.html"
    command = ("check", f"{PLACE}/{name}", "--json", "-q", "--overwrite", "-o", page)
    first = run(*command)
    read, hub.served = hub.served, 0
    repo.push({"README.md": b"more pets"})
    second = run(*command)
    assert first.exit_code == second.exit_code == 0, first.output
    assert first.stdout == second.stdout
    assert 0 < hub.served < read * 0.9
