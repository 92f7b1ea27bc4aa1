"""Photos in buckets and on web servers: the same rows as here, whatever fails on the way."""

import csv
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from bucket_server import ENVIRONMENT, Bucket, Proxy, passing, s3_server, use, web_server
from click.testing import CliRunner, Result
from samples import draw_into

from fursure.cli import cli
from fursure.commands.api import evaluate
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.errors import BadData, BadImage, FursureError, MissingExtra
from fursure.remote import store as store_module
from fursure.remote.facts import RemoteFacts
from fursure.remote.place import place_of, remote_place
from fursure.remote.store import opened_store, store_of
from fursure.training.train import Trained, train_model
from fursure.webdataset import shard_names

pytestmark = pytest.mark.long
ANYTHING = 1 << 30


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_into(tmp_path_factory.mktemp("bucket") / "photos", count=30)


@pytest.fixture(scope="module")
def bucket(endpoint: str, photos: Path) -> Bucket:
    bucket = Bucket(endpoint, "pets")
    bucket.fill(photos, "photos")
    bucket.put("photos.zip", zipped(photos))
    return bucket


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> Bucket:
    use(monkeypatch, bucket.endpoint)
    return bucket


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PAUSE", 0.001)


def zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder).as_posix())
    return packed.getvalue()


def shard(photos: Path, rows: slice) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number, path in enumerate(sorted(photos.rglob("*.*"))[rows], start=rows.start):
            for ending, data in ((".jpg", path.read_bytes()), (".cls", path.parent.name.encode())):
                info = tarfile.TarInfo(f"{number:06}{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def told(result: Result) -> str:
    return f"{result.output}{result.exception}"


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the answers by the last two parts of a photo's path."""
    rows = list(csv.reader(io.StringIO(text)))[1:]
    named = {"/".join(row[0].split("/")[-2:]): row[1:] for row in rows}
    assert len(named) == len(rows)
    return named


def predicted(model: Trained, *arguments: object, table: Path) -> dict[str, list[str]]:
    result = run("predict", "-m", model.path, *arguments, "--csv", table, "-q")
    assert result.exit_code == 0, result.output
    return rows_of(table.read_text())


def test_a_bucket_and_an_archive_in_it_list_and_read_like_the_folder(
    found: Bucket, photos: Path
) -> None:
    with open_source(photos) as local, open_source("s3://pets/photos") as remote:
        here, there = list_photos(local), list_photos(remote)
        assert here.photos == there.photos
        assert there.root == "s3://pets/photos"
        for photo in here.photos:
            assert local.read(photo.path, ANYTHING) == remote.read(photo.path, ANYTHING)
    with open_source("s3://pets/photos.zip") as archive:
        listed = list_photos(archive)
        assert [photo.label for photo in listed.photos] == [photo.label for photo in here.photos]
        first = listed.photos[0].path
        assert archive.read(first, ANYTHING) == (photos / first.partition("!")[2]).read_bytes()


def test_predictions_from_a_failing_bucket_are_those_of_the_folder(
    found: Bucket, photos: Path, trained: Trained, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, quick: None,
) -> None:  # fmt: skip
    here = predicted(trained, photos, table=tmp_path / "here.csv")
    proxy = Proxy(found.endpoint, nth=5, delay=0.005)
    with passing(proxy) as url:
        use(monkeypatch, url)
        there = predicted(trained, "s3://pets/photos", table=tmp_path / "there.csv")
        archived = predicted(trained, "s3://pets/photos.zip", table=tmp_path / "zip.csv")
    assert there == here
    assert sorted(archived.values()) == sorted(here.values())
    assert proxy.failed >= 10


def test_a_table_is_written_to_the_bucket_and_is_done_the_second_time(
    found: Bucket, trained: Trained
) -> None:
    command = ("predict", "-m", trained.path, "s3://pets/photos", "--parquet", "s3://pets/out")
    first = run(*command)
    assert first.exit_code == 0, first.output
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(found.get("out")))
    assert len(table) == 60
    assert table["path"][0].as_py().startswith("s3://pets/photos/")
    again = run(*command)
    assert again.exit_code == 0, again.output
    assert "nothing to do" in again.output
    found.put("out", b"somebody else's")
    other = run(*command)
    assert other.exit_code == 1
    assert "s3://pets/out already exists" in told(other)
    found.remove("out")


def test_a_table_that_could_not_be_sent_is_sent_by_the_next_run(
    found: Bucket, trained: Trained, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    command = ("predict", "-m", trained.path, "s3://pets/photos", "--csv", "s3://pets/late.csv")
    with monkeypatch.context() as patch:
        patch.setattr(
            store_module.RemoteStore, "upload", lambda self, *_: self._fail(OSError("no"))
        )
        first = run(*command)
    assert first.exit_code == 1
    assert "s3://pets/late.csv cannot be used" in told(first)
    second = run(*command)
    assert second.exit_code == 0, second.output
    assert "nothing to do" in second.output
    assert len(rows_of(found.get("late.csv").decode())) == 60
    found.remove("late.csv")


def test_a_killed_run_goes_on_with_every_row_once(
    found: Bucket, trained: Trained, tmp_path: Path
) -> None:
    table = tmp_path / "rows.csv"
    proxy = Proxy(found.endpoint, nth=20, delay=0.15)
    with passing(proxy) as url:
        environment = os.environ | ENVIRONMENT | {"AWS_ENDPOINT_URL": url}
        command = [sys.executable, "-m", "fursure", "predict", "-m", str(trained.path)]
        command += ["s3://pets/photos", "s3://pets/photos.zip", "--csv", str(table)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        part = table.with_name("rows.csv.part")
        while process.poll() is None and time.monotonic() < deadline:
            if part.exists() and part.stat().st_size > 1000:
                break
            time.sleep(0.02)
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert killed
        proxy.delay = 0.0
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "continuing after" in done.stderr
    paths = [row[0] for row in csv.reader(table.read_text().splitlines())][1:]
    assert len(paths) == len(set(paths)) == 120


def test_training_checking_and_evaluating_give_what_they_give_here(
    found: Bucket, photos: Path, tmp_path: Path
) -> None:
    here = train_model(photos, tmp_path / "here.fursure", report=False)
    there = train_model("s3://pets/photos", tmp_path / "there.fursure")
    assert there.bundle.meta.figures == here.bundle.meta.figures
    assert there.bundle.meta.data["digest"] == here.bundle.meta.data["digest"]
    one, other = evaluate(here.path, photos, include_seen=True), evaluate(
        there.path, "s3://pets/photos", include_seen=True
    )  # fmt: skip
    assert one.evaluation == other.evaluation
    checked = run("check", "s3://pets/photos", "-o", tmp_path / "review.html", "--json")
    assert checked.exit_code == 0, checked.output


def test_shards_of_a_webdataset_train_from_here_and_from_a_bucket(
    found: Bucket, photos: Path, tmp_path: Path
) -> None:
    for number in range(3):
        data = shard(photos, slice(20 * number, 20 * number + 20))
        (tmp_path / f"pets-{number:06}.tar").write_bytes(data)
        found.put(f"shards/pets-{number:06}.tar", data)
    for root in (str(tmp_path), "s3://pets/shards"):
        with open_source(f"{root}/pets-{{000000..000002}}.tar") as source:
            manifest = list_photos(source)
            assert len(manifest.photos) == 60
            assert manifest.labels == ("cat", "dog")
            assert not manifest.skipped
            assert manifest.photos[-1].path == "pets-000002.tar!000059.jpg"
            assert source.read("pets-000002.tar!000059.cls", 9) == b"dog"
    found.put("shards/pets-000002.tar", shard(photos, slice(40, 60))[:-20_000])
    with pytest.raises(BadData, match=r"s3://pets/shards/pets-000002.tar is not a whole tar"):
        open_source("s3://pets/shards/pets-{000000..000002}.tar")


def test_a_zip_in_a_bucket_is_read_by_ranges(
    found: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO(zipped(photos))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("ballast.txt", os.urandom(20 << 20))
    found.put("large.zip", packed.getvalue())
    proxy = Proxy(found.endpoint)
    with passing(proxy) as url:
        use(monkeypatch, url)
        with open_source("s3://pets/large.zip") as source:
            name = list_photos(source).photos[0].path
            assert source.read(name, ANYTHING) == (photos / name.partition("!")[2]).read_bytes()
    asked = [text.removeprefix("bytes=").split("-") for text in proxy.ranges if text]
    assert asked
    assert sum(int(end) - int(start) + 1 for start, end in asked) < 12 << 20


@pytest.mark.parametrize("name", ["photos/", "photos", "photos.zip", "list.csv"])
def test_a_web_server_without_ranges_gives_folders_archives_and_tables(
    name: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "")
    (tmp_path / "photos").symlink_to(photos)
    (tmp_path / "photos.zip").write_bytes(zipped(photos))
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.*"))]
    lines = [f"photos/{name},{name.split('/')[0]}" for name in names]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines, "photos/gone.jpg,cat"]))
    with web_server(tmp_path) as url, open_source(f"{url}/{name}") as source:
        manifest = list_photos(source)
        assert manifest.labels == ("cat", "dog")
        assert len(manifest.photos) == 60 + (name == "list.csv")
        for photo in manifest.photos[:60:7]:
            tail = "/".join(photo.path.rpartition("!")[2].split("/")[-2:])
            assert source.read(photo.path, ANYTHING) == (photos / tail).read_bytes()
        if name == "list.csv":
            with pytest.raises(BadImage, match="file is missing"):
                source.read(manifest.photos[-1].path, ANYTHING)


def test_an_object_that_vanishes_after_the_listing_is_a_row_with_its_reason(
    found: Bucket, trained: Trained, photos: Path
) -> None:
    found.put("brief/a.jpg", next(photos.rglob("*.*")).read_bytes())
    found.put("brief/b.jpg", b"x")
    with open_source("s3://pets/brief") as source:
        assert list(source.names()) == ["a.jpg", "b.jpg"]
        found.remove("brief/b.jpg")
        with pytest.raises(BadImage, match=r"b\.jpg: file is missing"):
            source.read("b.jpg", ANYTHING)


def test_credentials_that_expire_in_the_middle_end_the_run_and_keep_its_rows(
    found: Bucket, photos: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    table = ("--csv", tmp_path / "rows.csv", "-q")
    command = ("predict", "-m", trained.path, photos, "s3://pets/photos", *table)
    proxy = Proxy(found.endpoint)
    with passing(proxy) as url:
        use(monkeypatch, url)
        with monkeypatch.context() as patch:
            patch.setattr(store_module.RemoteStore, "read", _expired)
            first = run(*command)
        assert first.exit_code == 1, first.output
        assert "the credentials have expired" in told(first)
        second = run(*command)
    assert second.exit_code == 0, second.output
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 121


def _expired(store: store_module.RemoteStore, *_: object) -> bytes:
    error = PermissionError("The provided token has expired.")
    error.__cause__ = _Answered()
    store._fail(error)


def _refused(store: store_module.RemoteStore, *_: object) -> None:
    store._fail(OSError("no"))


class _Answered(Exception):
    response = {"Error": {"Code": "ExpiredToken"}}  # noqa: RUF012 - as botocore's ClientError


def test_a_password_in_a_url_reaches_neither_output_nor_manifest(
    photos: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "")
    (tmp_path / "photos").symlink_to(photos)
    with web_server(tmp_path) as url:
        secret = url.replace("://", "://user:opensesame@")
        table = tmp_path / "rows.csv"
        result = run("predict", "-m", trained.path, f"{secret}/photos/", "--csv", table, "-v")
        assert result.exit_code == 0, result.output
        gone = run("predict", "-m", trained.path, f"{secret}/nothing/?X-Amz-Signature=opensesame")
        with open_source(f"{secret}/photos/") as source:
            list_photos(source).save(tmp_path / "manifest")
        assert place_of(f"{secret}/x") == place_of(f"{url}/x")
    notes = Path(os.environ["FURSURE_HOME"]).rglob("tables/*.json")
    texts = [result.output, gone.output, (tmp_path / "manifest").read_text(), table.read_text()]
    assert gone.exit_code == 3
    assert "nothing" in gone.output
    assert not [
        text for text in [*texts, *(note.read_text() for note in notes)] if "sesame" in text
    ]


def test_what_speaks_no_scheme_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, "")
    with pytest.raises(FursureError, match="ftp:// is no scheme fursure reads"):
        open_source("ftp://server/photos")
    with pytest.raises(FursureError, match="gs:// needs the package gcsfs"):
        open_source("gs://bucket/photos")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r"fursure\[cloud\]"):
        open_source("s3://bucket/photos")
    opened_store.cache_clear()
    monkeypatch.setenv("FURSURE_OFFLINE", "1")
    with pytest.raises(FursureError, match="forbids the network"):
        open_source("s3://bucket/photos")


def test_names_of_shards_are_padded_and_a_place_has_no_secrets() -> None:
    assert shard_names("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert shard_names("a-{x..y}.tar") is None
    assert remote_place("C:/photos") is None
    place = remote_place("https://me:word@host/a/b.zip?sig=1")
    assert place is not None
    assert (str(place), place.userinfo) == ("https://host/a/b.zip", "me:word")
    assert place.address == "https://host/a/b.zip?sig=1"
    assert "word" not in repr(place) + json.dumps(str(place))


def test_two_users_of_one_process_keep_their_own_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, "")
    ann, bob = (remote_place(f"https://{name}:word@host/a/") for name in ("ann", "bob"))
    assert ann == bob
    assert ann is not None
    assert bob is not None
    assert [place.userinfo for place in (ann, bob, ann / "x", (bob / "x").parent)] == [
        "ann:word", "bob:word", "ann:word", "bob:word",
    ]  # fmt: skip
    assert store_of(ann) is store_of(ann)
    assert store_of(ann) is not store_of(bob)
    assert store_of(ann / "x").place.userinfo == "ann:word"
    again = remote_place("https://host/a/")
    assert again is not None
    assert again.userinfo == ""  # whose would it be?
    assert b"word" not in pickle.dumps(ann)


def pictures_table(photos: Path, rows: slice, **columns: object) -> bytes:
    """Return a Parquet file of photos in small row groups, as the Hugging Face library has them."""
    import pyarrow
    from pyarrow import parquet

    paths = sorted(photos.rglob("*.*"))[rows]
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    labels = [path.parent.name for path in paths]
    table = pyarrow.table({"image": images, "label": labels, **columns})
    packed = io.BytesIO()
    parquet.write_table(table, packed, row_group_size=8, compression="none", use_dictionary=False)
    return packed.getvalue()


def test_a_parquet_of_photos_in_a_failing_bucket_trains_and_answers_as_the_folder_does(
    found: Bucket, photos: Path, trained: Trained, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, quick: None,
) -> None:  # fmt: skip
    here = predicted(trained, photos, table=tmp_path / "here.csv")
    found.put("photos.parquet", pictures_table(photos, slice(None)))
    proxy = Proxy(found.endpoint, nth=3)
    with passing(proxy) as url:
        use(monkeypatch, url)
        there = predicted(trained, "s3://pets/photos.parquet", table=tmp_path / "there.csv")
        model = train_model("s3://pets/photos.parquet", tmp_path / "m.fursure", report=False)
    assert sorted(there.values()) == sorted(here.values())
    assert proxy.failed
    local = train_model(photos, tmp_path / "local.fursure", report=False)
    assert model.bundle.meta.figures == local.bundle.meta.figures
    assert model.bundle.meta.data["digest"] == local.bundle.meta.data["digest"]


def test_a_folder_of_parquet_files_in_a_bucket_is_one_set_with_its_split(
    found: Bucket, photos: Path
) -> None:
    for name, rows in (
        ("train-00000-of-00002", slice(0, 20)),
        ("train-00001-of-00002", slice(20, 40)),
        ("test-00000-of-00001", slice(40, 60)),
    ):
        found.put(f"hub/data/{name}.parquet", pictures_table(photos, rows))
    with open_source("s3://pets/hub") as source:
        manifest = list_photos(source)
        assert manifest.counts()["dog", "test"] == 20
        assert len({photo.path for photo in manifest.photos}) == 60
        paths = sorted(photos.rglob("*.*"))
        paths = paths[40:] + paths[:40]  # the file called test comes first
        for row in (59, 3, 30, 31, 3):  # any order, and the same again
            assert source.read(manifest.photos[row].path, ANYTHING) == paths[row].read_bytes()


def test_a_data_set_in_a_bucket_may_lie_as_the_hub_keeps_it(found: Bucket, photos: Path) -> None:
    for part, rows in (("train", slice(0, 40)), ("partial-validation", slice(40, 60))):
        found.put(f"kept/default/{part}/0000.parquet", pictures_table(photos, rows))
    with open_source("s3://pets/kept") as source:
        counts = list_photos(source).counts()
    assert (counts["dog", "val"], counts.total()) == (20, 60)
    found.put("kept/small/train/0000.parquet", pictures_table(photos, slice(0, 2)))
    with pytest.raises(BadData, match="pets/kept holds several data sets: default, small; give"):
        open_source("s3://pets/kept")


@pytest.mark.parametrize("is_stream", [False, True])
def test_arrow_in_a_bucket_is_read_and_measured_before_it_unpacks(
    is_stream: bool, found: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    from pyarrow import ipc, parquet

    table = parquet.read_table(io.BytesIO(pictures_table(photos, slice(18, 22))))
    packed = pyarrow.BufferOutputStream()
    options = ipc.IpcWriteOptions(compression="zstd")
    kind = ipc.new_stream if is_stream else ipc.new_file
    with kind(packed, table.schema, options=options) as out:
        out.write_table(table)
    data = packed.getvalue().to_pybytes()
    found.put("pets.arrow", data)
    with open_source("s3://pets/pets.arrow") as source:
        expected = [path.read_bytes() for path in sorted(photos.rglob("*.*"))[18:22]]
        listed = list_photos(source).photos
        assert [source.read(photo.path, ANYTHING) for photo in listed] == expected
    with monkeypatch.context() as patch:
        patch.setattr("fursure.annotations.shards._FREE", 0)
        patch.setattr("fursure.annotations.shards._RATIO", 0)
        with pytest.raises(BadData, match=r"pets\.arrow unpacks to [\d,]+ bytes, as no table"):
            open_source("s3://pets/pets.arrow")
    found.put("cut.arrow", data[: len(data) // 2])
    with pytest.raises(BadData, match=r"cut\.arrow is damaged or cut off"):
        open_source("s3://pets/cut.arrow")


@pytest.mark.parametrize("name", ["train.parquet", "train-00000-of-00001.parquet"])
def test_a_table_of_paths_in_a_bucket_means_the_photos_of_its_folder(
    name: str, found: Bucket, photos: Path
) -> None:
    import pyarrow
    from pyarrow import parquet

    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.*"))]
    packed = io.BytesIO()
    parquet.write_table(pyarrow.table({"path": names, "label": ["cat", "dog"] * 30}), packed)
    found.put(f"photos/{name}", packed.getvalue())
    with open_source("s3://pets/photos") as source:
        listed = list_photos(source).photos
        assert {photo.path for photo in listed} == set(names)
        assert source.read(names[7], ANYTHING) == (photos / names[7]).read_bytes()
    found.remove(f"photos/{name}")


def test_a_parquet_of_photos_is_read_by_ranges_of_what_is_wanted(
    found: Bucket, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = [os.urandom(1 << 20) for _ in range(24)]
    found.put("wide.parquet", pictures_table(photos, slice(0, 24), other=ballast))
    proxy = Proxy(found.endpoint)
    with passing(proxy) as url:
        use(monkeypatch, url)
        with open_source("s3://pets/wide.parquet") as source:
            photo = list_photos(source).photos[20]
            wanted = sorted(photos.rglob("*.*"))[20].read_bytes()
            assert source.read(photo.path, ANYTHING) == wanted
    asked = [text.removeprefix("bytes=").split("-") for text in proxy.ranges if text]
    assert sum(int(end) - int(start) + 1 for start, end in asked) < 12 << 20


def test_a_parquet_of_paths_and_one_cut_short_in_a_bucket(found: Bucket, photos: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.*"))]
    table = pyarrow.table({"path": names, "label": [name.split("/")[0] for name in names]})
    packed = io.BytesIO()
    parquet.write_table(table, packed)
    found.put("photos/list.parquet", packed.getvalue())
    with open_source("s3://pets/photos/list.parquet") as source:
        assert [photo.path for photo in list_photos(source).photos] == names
        assert source.read(names[7], ANYTHING) == (photos / names[7]).read_bytes()
    found.remove("photos/list.parquet")
    found.put("cut.parquet", pictures_table(photos, slice(None))[:-100])
    with pytest.raises(BadData, match=r"s3://pets/cut\.parquet is damaged or cut off"):
        open_source("s3://pets/cut.parquet")


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_shards_go_to_a_bucket_and_train_from_there_as_the_folder_does(
    kind: str, found: Bucket, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    quick: None,
) -> None:  # fmt: skip
    place = f"s3://pets/out-{kind}"
    command = ("split", photos, "--out", place, "--as", kind, "--shard-mb", 1)
    with monkeypatch.context() as patch:
        patch.setattr(store_module.RemoteStore, "upload", _refused)
        assert run(*command).exit_code == 1
    first = run(*command)
    assert first.exit_code == 0, told(first)
    again = run(*command)
    assert again.exit_code == 0, told(again)
    assert "nothing to do" in again.output
    assert run("split", photos, "--out", tmp_path / "folders").exit_code == 0
    here = train_model(tmp_path / "folders", tmp_path / "here.fursure", report=False)
    there = train_model(place, tmp_path / "there.fursure", report=False)
    assert there.bundle.meta.data["digest"] == here.bundle.meta.data["digest"]
    assert there.bundle.meta.figures == here.bundle.meta.figures
    other = run(*command, "--seed", "7")
    assert other.exit_code == 1
    assert f"{place} already exists (filled by another `fursure split`)" in told(other)
    taken = run("split", photos, "--out", "s3://pets/photos", "--as", kind)
    assert "files lie there" in told(taken)
    assert "takes shards" in told(run("split", photos, "--out", place))


@pytest.mark.parametrize("place", ["s3://pets/again", "s3://pets/again.zip"])
def test_a_second_check_of_an_unchanged_bucket_fetches_only_what_it_shows(
    place: str, found: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw_into(tmp_path / "photos", count=20)
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as archive:
        for path in sorted(photos.rglob("*.*")):
            archive.write(path, path.relative_to(photos).as_posix())
            archive.writestr(f"{path.stem}.bin", bytes(1 << 19))
    found.fill(photos, "again")
    found.put("again.zip", large.getvalue())
    command = ("check", place, "--json", "-q", "--overwrite", "-o", tmp_path / "review.html")
    proxy = Proxy(found.endpoint)
    with passing(proxy) as url:
        use(monkeypatch, url)
        first = run(*command)
        read, proxy.read = proxy.read, []
        second = run(*command)
        again, proxy.read = proxy.read, []
        other = next((photos / "dog").iterdir())
        found.put("again/cat/cat.0.jpg", other.read_bytes())
        third = run(*command)
    assert first.exit_code == second.exit_code == third.exit_code == 0, told(first)
    assert first.stdout == second.stdout
    if place.endswith(".zip"):  # by blocks
        assert len(read) > 20
        assert len(again) < len(read)
    else:
        assert len(set(read)) == 40
        assert len(set(again)) < 25
        assert "/pets/again/cat/cat.0.jpg" in proxy.read  # the one that is another now
        assert third.stdout != second.stdout


def test_only_a_strong_version_at_its_own_place_stands_for_bytes(
    found: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "Wed, 25 Nov 2026 10:00:00 GMT"

    def mark(
        place: str, key: str, version: str, size: int | None = 9, modified: str = old
    ) -> str | None:
        remote = remote_place(place)
        assert remote is not None
        return store_of(remote).mark(RemoteFacts(key, size, version, modified))

    mine = mark("s3://pets", "pets/a.jpg", '"abc"')
    assert mine == mark("s3://pets/b", "pets/a.jpg", '"abc"')
    others = [
        mark("s3://pets", "pets/b.jpg", '"abc"'),
        mark("s3://pets", "pets/a.jpg", '"abd"'),
        mark("s3://pets", "pets/a.jpg", '"abc"', 10),
        mark("https://pets", "pets/a.jpg", '"abc"'),
    ]
    use(monkeypatch, "http://127.0.0.1:9")  # another provider's bucket of that name
    others.append(mark("s3://pets", "pets/a.jpg", '"abc"'))
    assert len({mine, None, *others}) == 7
    assert mark("https://pets", "https://pets/a.jpg", 'W/"abc"') is None
    assert mark("https://pets", "https://pets/a.jpg", "") is None
    for unsettled in (
        "",
        "yesterday",
        formatdate(usegmt=True),
    ):  # two of one second
        assert mark("https://pets", "https://pets/a.jpg", '"abc"', modified=unsettled) is None
    assert mark("s3://pets", "pets/a.jpg", '"abc"', None) is None
