"""Shards of WebDataset and Parquet that `fursure split` writes: the same set, in a few files."""

import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from pyarrow import parquet

from fursure.commands.split import FormName, Sharded, split_data
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.errors import BadData, OutputExists
from fursure.rows.photo import Photo
from fursure.sharding import shards as shards_module
from fursure.sharding.packed import ShardKind
from fursure.training.train import train_model
from fursure.webdataset import label_beside

KINDS: tuple[ShardKind, ...] = ("webdataset", "parquet")


def contents(folder: Path | str) -> Counter[tuple[bytes, str | None, str | None]]:
    """Return every photo's bytes with its label and its part."""
    with open_source(folder) as source:
        photos = list_photos(source).photos
        return Counter((source.read(p.path, 1 << 20), p.label, p.split) for p in photos)


@pytest.mark.parametrize("kind", KINDS)
def test_shards_hold_the_same_bytes_labels_and_parts_as_folders(
    kind: FormName, drawings: Path, tmp_path: Path
) -> None:
    wanted = {"train": 40, "val": 10, "test": 10}
    split_data(drawings, tmp_path / "folders", wanted, form="folders")  # type: ignore[arg-type]
    made = split_data(drawings, tmp_path / "shards", wanted, form=kind)  # type: ignore[arg-type]
    assert made.new
    assert contents(tmp_path / "shards") == contents(tmp_path / "folders")
    again = split_data(drawings, tmp_path / "shards", wanted, form=kind)  # type: ignore[arg-type]
    assert not again.new


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_shards_is_that_of_the_folders(
    kind: FormName, drawings: Path, tmp_path: Path
) -> None:
    models = []
    for form in ("folders", kind):
        split_data(drawings, tmp_path / form, form=form)
        model = train_model(tmp_path / form, tmp_path / f"{form}.fursure", report=False)
        models.append(model.bundle.meta)
    folders, shards = models
    assert shards.data["digest"] == folders.data["digest"]
    assert shards.figures == folders.figures


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_goes_on_after_the_last_whole_shard(
    kind: ShardKind, drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Sharded(kind=kind, megabytes=0)  # a photo a shard
    split_data(drawings, tmp_path / "whole", form=form)
    read: list[str] = []

    def content(source: object, photo: Photo) -> bytes:
        if len(read) == 20:
            raise KeyboardInterrupt
        read.append(photo.path)
        return (drawings / photo.path).read_bytes()

    monkeypatch.setattr(shards_module, "content", content)
    monkeypatch.setattr(shards_module, "in_order", lambda work, items, threads: map(work, items))
    with pytest.raises(KeyboardInterrupt):
        split_data(drawings, tmp_path / "broken", form=form)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "broken").glob("*-0*")}
    assert 15 < len(before) <= 20
    monkeypatch.undo()
    split_data(drawings, tmp_path / "broken", form=form)
    for name, time in before.items():
        assert (tmp_path / "broken" / name).stat().st_mtime_ns == time
    names = [path.name for path in sorted((tmp_path / "whole").iterdir())]
    assert [path.name for path in sorted((tmp_path / "broken").iterdir())] == names
    for name in names:
        if not name.startswith("split"):
            whole, broken = (tmp_path / place / name for place in ("whole", "broken"))
            assert whole.read_bytes() == broken.read_bytes()


def test_a_tar_is_what_the_library_decodes_and_parquet_what_the_hub_shows(
    drawings: Path, tmp_path: Path
) -> None:
    for kind in KINDS:
        split_data(drawings, tmp_path / kind, form=kind)
    with tarfile.open(tmp_path / "webdataset" / "train-000000.tar") as archive:
        photo, number, told = (archive.next() for _ in range(3))
        assert photo
        assert number
        assert told
        assert (photo.name, number.name, told.name) == tuple(
            f"00000000.{ending}" for ending in ("jpg", "cls", "json")
        )
        told_of = json.loads(archive.extractfile(told).read())  # type: ignore[union-attr]
        cls = int(archive.extractfile(number).read())  # type: ignore[union-attr]
        data = archive.extractfile(photo).read()  # type: ignore[union-attr]
    assert ["cat", "dog"][cls] == told_of["label"]
    assert (drawings / told_of["path"]).read_bytes() == data
    file = parquet.ParquetFile(tmp_path / "parquet" / "train-000000.parquet")
    features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"_type": "ClassLabel", "names": ["cat", "dog"]}
    assert file.schema_arrow.field("image").type.field("bytes").type == "binary"


def test_another_split_is_replaced_only_when_asked_and_leaves_no_old_shard(
    drawings: Path, tmp_path: Path
) -> None:
    split_data(drawings, tmp_path / "out", form=Sharded(megabytes=0))
    assert len(list((tmp_path / "out").glob("*.tar"))) == 80
    with pytest.raises(OutputExists):
        split_data(drawings, tmp_path / "out", form=Sharded(megabytes=1))
    split_data(drawings, tmp_path / "out", form=Sharded(megabytes=1), overwrite=True)
    assert len(list((tmp_path / "out").glob("*.tar"))) == 3
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(BadData, match=r"holds 'mine\.txt'"):
        split_data(drawings, tmp_path / "out", form=Sharded(megabytes=0), overwrite=True)


def test_a_name_wins_over_the_number_of_a_class_and_a_word_over_both() -> None:
    def label(**members: bytes) -> str | None:
        return label_beside("a/1.jpg", lambda name: members.get(name.rpartition(".")[2]))

    assert label(cls=b"1", json=b'{"label": "dog"}') == "dog"
    assert label(cls=b"dog", json=b'{"label": "cat"}') == "dog"
    assert label(cls=b"1", json=b'{"label": 7}') == label(cls=b"1", json=b"{") == "1"
    assert label(json=b'{"label": 7}') == "7"
    assert label(json=b"{}") is None


def test_tars_beside_photos_are_no_shards(drawings: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    os.link(next(drawings.rglob("cat*/*.*")), tmp_path / "cat" / "a.jpg")
    with tarfile.open(tmp_path / "train-000000.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("0.jpg"), io.BytesIO())
    with open_source(tmp_path) as source:
        assert [photo.path for photo in list_photos(source).photos] == ["cat/a.jpg"]
