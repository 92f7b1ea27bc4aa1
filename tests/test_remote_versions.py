"""What changes in a bucket or on a web server while it is read is never read as a mixture."""

import csv
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bucket_server import Bucket, WebFile, s3_server, serving, use
from click.testing import CliRunner
from samples import draw_into

from fursure.cli import cli
from fursure.dataset.layout import list_photos
from fursure.dataset.listing import Source
from fursure.dataset.sources import open_source
from fursure.errors import BadImage, RemoteFailed
from fursure.remote import store as store_module
from fursure.remote.facts import RemoteFacts
from fursure.training.train import Trained

pytestmark = pytest.mark.long
ANYTHING = 1 << 30
CHANGED = "cannot be used: it changed while it was being read; repeat the command"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_into(tmp_path_factory.mktemp("versions") / "photos", count=2)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PAUSE", 0.001)
    use(monkeypatch, "")


def zipped(photos: Path, *, mebibytes: int = 6) -> bytes:
    """Return a zip of the photos, far from each other."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(photos.rglob("*.*")):
            archive.write(path, path.relative_to(photos).as_posix())
            archive.writestr(f"{path.stem}.bin", os.urandom(mebibytes << 18))
    return packed.getvalue()


def tabled(photos: Path) -> bytes:
    """Return a Parquet file of the photos five times, the last far from what is read first."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    paths = sorted(photos.rglob("*.*")) * 5  # sixteen rows are read at once
    sizes = [2 << 20 if row >= 16 else 1 for row in range(len(paths))]
    columns = {
        "label": [path.parent.name for path in paths],
        "before": [os.urandom(size) for size in sizes],
        "image": [path.read_bytes() for path in paths],
        "after": [os.urandom(size) for size in sizes],
    }
    packed = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), packed, row_group_size=1)
    return packed.getvalue()


def contents(source: Source) -> list[bytes]:
    return [source.read(photo.path, ANYTHING) for photo in list_photos(source).photos]


@pytest.mark.parametrize("knows", ["ranges", "wholes", "refusals"])
@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', ""])
def test_a_zip_on_any_web_server_is_read_rightly_and_never_half_of_it_anew(
    knows: str, etag: str, photos: Path
) -> None:
    file = WebFile(zipped(photos), etag, "Mon, 01 Jan 2024 00:00:00 GMT", knows)
    expected = [path.read_bytes() for path in sorted(photos.rglob("*.*"))]
    with serving(file) as url:
        with open_source(f"{url}/p.zip") as source:
            assert contents(source) == expected
        copied = len(file.data) if knows != "ranges" else 0
        assert file.sent < copied + (5 << 20)
        with open_source(f"{url}/p.zip") as source:
            first, *_, last = [photo.path for photo in list_photos(source).photos]
            assert source.read(first, ANYTHING) == expected[0]
            file.data = bytes(len(file.data))
            file.etag = etag.replace("one", "two")
            file.modified = "Mon, 01 Jan 2024 00:00:01 GMT"
            if knows == "ranges":
                with pytest.raises(RemoteFailed, match=CHANGED):
                    source.read(last, ANYTHING)
            else:  # it was copied whole, before
                assert source.read(last, ANYTHING) == expected[-1]


@pytest.mark.parametrize("knows", ["ranges", "wholes", "refusals"])
@pytest.mark.parametrize("conditions", [True, False])
def test_a_zip_that_is_another_one_between_its_size_and_its_bytes_is_a_sentence(
    knows: str, conditions: bool, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WebFile(zipped(photos), '"one"', knows=knows, conditions=conditions)
    know = store_module.RemoteStore.facts

    def known_before(store: store_module.RemoteStore, key: str) -> object:
        facts = know(store, key)
        file.etag = '"two"'
        return facts

    monkeypatch.setattr(store_module.RemoteStore, "facts", known_before)
    with serving(file) as url, pytest.raises(RemoteFailed, match=CHANGED):
        open_source(f"{url}/p.zip")


def test_a_file_that_became_shorter_is_a_sentence_though_its_server_names_no_versions(
    photos: Path,
) -> None:
    file = WebFile(zipped(photos))
    with serving(file) as url, open_source(f"{url}/p.zip") as source:
        last = list_photos(source).photos[-1].path
        file.data = file.data[: 2 << 20]
        with pytest.raises(RemoteFailed, match=CHANGED):
            source.read(last, ANYTHING)


@pytest.mark.parametrize("knows", ["ranges", "wholes"])
def test_a_server_that_cuts_its_answers_short_is_a_sentence(knows: str, photos: Path) -> None:
    file = WebFile(zipped(photos), knows=knows, cut_at=1000)
    with serving(file) as url, pytest.raises(RemoteFailed, match=r"cannot be used: .*7 tries"):
        open_source(f"{url}/p.zip")


def test_a_photo_whose_server_ends_without_a_word_is_no_half_photo(photos: Path) -> None:
    file = WebFile(next(photos.rglob("*.*")).read_bytes(), '"one"')
    with serving(file) as url, open_source(f"{url}/a.jpg") as source:
        file.data = file.data[:100]
        with pytest.raises(BadImage, match=r"a\.jpg: changed since it was listed"):
            source.read("a.jpg", ANYTHING)


def test_a_zip_in_a_bucket_overwritten_half_way_ends_the_run_in_a_sentence(
    endpoint: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, endpoint)
    bucket = Bucket(endpoint, "half")
    data = zipped(photos)
    bucket.put("p.zip", data)
    with open_source("s3://half/p.zip") as source:
        first, *_, last = [photo.path for photo in list_photos(source).photos]
        assert source.read(first, ANYTHING) == min(photos.rglob("*.*")).read_bytes()
        bucket.put("p.zip", data[::-1])
        with pytest.raises(RemoteFailed, match=CHANGED):
            source.read(last, ANYTHING)


@pytest.mark.parametrize("name", ["p.parquet", "shards"])
@pytest.mark.parametrize("new", ["other", "shorter", "none"])
def test_a_parquet_in_a_bucket_overwritten_half_way_ends_the_run_in_a_sentence(
    name: str, new: str, endpoint: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, endpoint)
    bucket = Bucket(endpoint, "halftable")
    data, key = tabled(photos), name if name.endswith(".parquet") else "shards/train-00000.parquet"
    bucket.put(key, data)
    with open_source(f"s3://halftable/{name}") as source:
        first, *_, last = [photo.path for photo in list_photos(source).photos]
        assert source.read(first, ANYTHING) == min(photos.rglob("*.*")).read_bytes()
        match new:
            case "none":
                bucket.remove(key)
            case "other":
                bucket.put(key, tabled(photos))
            case "shorter":
                bucket.put(key, data[: 1 << 20])
        sentence = "cannot be used: nothing lies there" if new == "none" else CHANGED
        for _ in range(2):  # whoever goes on asks again
            with pytest.raises(RemoteFailed, match=rf"^s3://halftable/{key} {sentence}"):
                source.read(last, ANYTHING)


@pytest.mark.parametrize("knows", ["ranges", "wholes"])
def test_a_parquet_on_a_web_server_is_read_whole_or_a_sentence(knows: str, photos: Path) -> None:
    file = WebFile(tabled(photos), '"one"', knows=knows)
    expected = [path.read_bytes() for path in sorted(photos.rglob("*.*"))]
    with serving(file) as url, open_source(f"{url}/p.parquet") as source:
        first, *_, last = [photo.path for photo in list_photos(source).photos]
        assert source.read(first, ANYTHING) == expected[0]
        file.data, file.etag = tabled(photos), '"two"'
        if knows == "ranges":
            with pytest.raises(RemoteFailed, match=CHANGED):
                source.read(last, ANYTHING)
        else:  # it was copied whole, before
            assert source.read(last, ANYTHING) == expected[-1]


def test_a_table_of_photos_overwritten_while_it_is_asked_ends_the_command_in_a_sentence(
    endpoint: str, photos: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, endpoint)
    bucket = Bucket(endpoint, "askedtable")
    bucket.put("p.parquet", tabled(photos))
    range_of = store_module.RemoteStore.read_range
    asked: list[int] = []

    def overwritten(store: store_module.RemoteStore, facts: RemoteFacts, *span: Any) -> bytes:
        asked.append(span[0])
        if len(asked) == 5:
            bucket.put("p.parquet", tabled(photos))
        return range_of(store, facts, *span)

    monkeypatch.setattr(store_module.RemoteStore, "read_range", overwritten)
    command = ["predict", "-m", trained.path, "s3://askedtable/p.parquet"]
    told = CliRunner().invoke(cli, [str(argument) for argument in command])
    assert told.exit_code == 3
    assert f"s3://askedtable/p.parquet: {CHANGED}" in told.output


def test_a_photo_overwritten_since_the_listing_is_told_and_the_others_are_answered(
    endpoint: str, photos: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, endpoint)
    bucket = Bucket(endpoint, "overwritten")
    bucket.fill(photos, "photos")
    listed = store_module.RemoteStore.below

    def overwritten(store: store_module.RemoteStore, key: str) -> object:
        entries = list(listed(store, key))
        bucket.put("photos/cat/cat.0.jpg", next(photos.rglob("dog*/*.*")).read_bytes())
        return iter(entries)

    monkeypatch.setattr(store_module.RemoteStore, "below", overwritten)
    table = tmp_path / "rows.csv"
    command = ["predict", "-m", trained.path, "s3://overwritten/photos", "--csv", table]
    CliRunner().invoke(cli, [str(argument) for argument in command])
    rows = list(csv.DictReader(table.read_text().splitlines()))
    reasons = [row["error"] for row in rows]
    assert "changed since it was listed; repeat the command" in reasons[0]
    assert reasons[1:] == ["", "", ""]
