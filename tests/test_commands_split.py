"""Training, validation and test parts for any tool: folders of photos, or arrays."""

import errno
import json
import os
import random
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from console import fursure
from PIL import Image
from samples import encoder_graph

from fursure.backbones.backbone import Backbone
from fursure.commands.api import split, train
from fursure.commands.split import Arrays, Folders, split_data
from fursure.commands.split_folder import claim_split_folder
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadBackbone, BadData, NoPhotos, OutputExists
from fursure.photos.decode import decode
from fursure.photos.preprocess import Preprocess
from fursure.recipe import LogisticRegression, Recipe
from fursure.rows.photo import Split
from fursure.splitting.exact_counts import Amount

WANTED: dict[Split, Amount] = {"train": 40, "val": 10, "test": 10}
SMALL = Preprocess(size=16, mode="squash", crop=1.0)


def tree(folder: Path) -> dict[str, bytes]:
    """Return every photo below ``folder`` by its path."""
    paths = (path for path in folder.rglob("*") if path.suffix in {".jpg", ".JPG"})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def places(folder: Path) -> Counter[str]:
    """Return the number of photos in each folder."""
    return Counter(name.rpartition("/")[0] for name in tree(folder))


def splits(manifest: Manifest) -> dict[str, Split | None]:
    return {one.sha256: one.split for one in manifest.photos}


@pytest.fixture
def photos(drawings: Path, tmp_path: Path) -> Path:
    """Return a copy of the drawings that a test may change."""
    return Path(shutil.copytree(drawings, tmp_path / "photos"))


def test_photos_are_linked_into_class_folders_and_none_is_touched(
    photos: Path, tmp_path: Path
) -> None:
    before = tree(photos)
    made = split_data(photos, tmp_path / "out", WANTED)
    assert places(tmp_path / "out") == {
        "train/cat": 20, "train/dog": 20, "val/cat": 5, "val/dog": 5, "test/cat": 5, "test/dog": 5,
    }  # fmt: skip
    assert tree(photos) == before
    one = next((tmp_path / "out" / "val" / "cat").iterdir())
    assert one.samefile(photos / "cat" / one.name)
    assert not one.is_symlink()
    assert "20 photos are left over" in made.notes


def test_the_manifest_says_of_each_photo_where_it_went(drawings: Path, tmp_path: Path) -> None:
    made = split_data(drawings, tmp_path / "out", WANTED)
    manifest = Manifest.load(tmp_path / "out" / "split.jsonl")
    assert manifest == made.manifest
    assert Path(manifest.root) == drawings
    for photo in manifest.photos:
        lies = tmp_path / "out" / str(photo.split) / photo.path
        assert lies.exists() == (photo.split is not None)


def test_training_takes_the_parts_as_they_are(drawings: Path, tmp_path: Path) -> None:
    split_data(drawings, tmp_path / "out", {"train": 20, "val": 10, "test": 10})
    recipe = Recipe(
        head=LogisticRegression(strengths=(0.3,)), cross_validate_below=5, image_size=96
    )
    figures = train(tmp_path / "out", tmp_path / "m.fursure", recipe).bundle.meta.figures
    assert figures["basis"] == "test photos"
    assert figures["n"] == 10


def test_a_flat_archive_as_kaggle_has_it_is_copied_out(drawings: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for path in sorted(drawings.rglob("*.jpg")):
            archive.write(path, f"train/{path.name}")
    made = split_data(tmp_path / "train.zip", tmp_path / "out", WANTED)
    assert places(tmp_path / "out")["train/dog"] == 20
    assert any(note == "60 photos were copied (from an archive)" for note in made.notes)
    plain = split_data(drawings, tmp_path / "plain", WANTED)
    assert splits(made.manifest) == splits(plain.manifest)
    assert tree(tmp_path / "out") == tree(tmp_path / "plain")


def test_the_parts_do_not_depend_on_the_order_of_photos(photos: Path, tmp_path: Path) -> None:
    ordered = split_data(photos, tmp_path / "ordered", WANTED)
    rows = [f"{path.relative_to(photos)},{path.parent.name}" for path in photos.rglob("*.jpg")]
    random.Random(3).shuffle(rows)
    (photos / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    shuffled = split_data(photos / "labels.csv", tmp_path / "shuffled", WANTED)
    assert splits(shuffled.manifest) == splits(ordered.manifest)


def test_copies_of_a_photo_never_cross_the_parts(photos: Path, tmp_path: Path) -> None:
    for number in range(15):
        path = photos / "cat" / f"cat.{number}.jpg"
        Image.open(path).resize((80, 80)).save(photos / "cat" / f"small{number}.jpg", quality=70)
    made = split_data(photos, tmp_path / "out")
    found: dict[str, set[str | None]] = {}
    for photo in made.manifest.photos:
        found.setdefault(photo.group, set()).add(photo.split)
    assert all(len(parts) == 1 for parts in found.values())
    assert len(found) <= 80
    assert any("near-duplicates stay" in note for note in made.notes)


def test_bad_photos_are_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    (photos / "cat" / "torn.jpg").write_bytes((photos / "cat" / "cat.0.jpg").read_bytes()[:300])
    (photos / "notes.txt").write_text("junk")
    made = split_data(photos, tmp_path / "out")
    assert any(note.startswith("left out cat/torn.jpg: ") for note in made.notes)
    assert "skipped what is no photo: 1 .txt" in made.notes
    [torn] = [one for one in made.manifest.photos if one.path == "cat/torn.jpg"]
    assert torn.reason
    assert len(tree(tmp_path / "out")) == 80


def test_the_same_command_again_is_done_and_another_one_refused(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert split_data(photos, out, WANTED).new
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert not split_data(photos, out, WANTED).new
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == before
    with pytest.raises(OutputExists, match=r"another `fursure split`.*--overwrite"):
        split_data(photos, out, WANTED, seed=1)
    (photos / "cat" / "cat.0.jpg").unlink()
    with pytest.raises(OutputExists, match="made from other photos"):
        split_data(photos, out, WANTED)


def test_overwriting_removes_what_was_put_there_and_no_original(
    photos: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "out", tree(photos)
    split_data(photos, out, WANTED)
    made = split_data(photos, out, {"train": 20}, form=Folders("copy"), seed=1, overwrite=True)
    assert places(out) == {"train/cat": 10, "train/dog": 10}
    assert sorted(path.name for path in out.iterdir()) == ["split.json", "split.jsonl", "train"]
    assert Manifest.load(out / "split.jsonl") == made.manifest
    assert tree(photos) == before


def test_what_came_out_of_an_archive_is_removed_too(photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for path in sorted(photos.rglob("*.jpg")):
            archive.write(path, path.name)
    split_data(tmp_path / "flat.zip", tmp_path / "out", WANTED)
    split_data(photos, tmp_path / "out", {"train": 20}, overwrite=True)
    assert places(tmp_path / "out") == {"train/cat": 10, "train/dog": 10}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_somebody_elses_files_is_refused(
    drawings: Path, tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "thesis.txt").write_text("all my work")
    with pytest.raises(BadData, match=r"holds 'thesis.txt'.*an empty or a new folder"):
        split_data(drawings, tmp_path, WANTED, overwrite=overwrite)
    (tmp_path / "thesis.txt").unlink()
    split_data(drawings, tmp_path, WANTED)
    mine = tmp_path / "train" / "cat" / "mine.jpg"
    mine.write_bytes(b"my photo")
    with pytest.raises(BadData, match=r"train/cat/mine\.jpg"):
        split_data(drawings, tmp_path, WANTED, seed=1, overwrite=True)
    assert mine.read_bytes() == b"my photo"
    assert not split_data(drawings, tmp_path, WANTED).new  # nothing was removed before it refused


@pytest.mark.parametrize("link", ["hard", "symbolic", "copy"])
def test_an_interrupted_run_continues(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: Any
) -> None:
    from fursure.splitting.linking import Placer

    put, calls = Placer.__call__, 0

    def interrupted(self: Placer, *args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt
        put(self, *args)

    out = tmp_path / "out"
    monkeypatch.setattr(Placer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        split_data(drawings, out, WANTED, form=Folders(link))
    assert len(tree(out)) == 29
    assert not (out / "split.jsonl").exists()
    if link == "copy":  # the power went off in the middle of a file
        next((out / "train" / "cat").iterdir()).write_bytes(b"half")
    assert split_data(drawings, out, WANTED, form=Folders(link)).new
    split_data(drawings, tmp_path / "whole", WANTED)
    assert tree(out) == tree(tmp_path / "whole")
    assert (out / "split.jsonl").exists()


def test_symbolic_links_lead_to_the_originals(photos: Path, tmp_path: Path) -> None:
    split_data(photos, tmp_path / "out", WANTED, form=Folders("symbolic"))
    links = [path for path in (tmp_path / "out").rglob("*.jpg") if path.is_symlink()]
    assert len(links) == 60
    assert all(path.resolve() == photos / path.parent.name / path.name for path in links)


def test_a_copy_is_a_file_of_its_own(photos: Path, tmp_path: Path) -> None:
    split_data(photos, tmp_path / "out", WANTED, form=Folders("copy"))
    one = next((tmp_path / "out" / "val" / "cat").iterdir())
    original = (photos / "cat" / one.name).read_bytes()
    one.write_bytes(b"edited")
    assert (photos / "cat" / one.name).read_bytes() == original
    assert not split_data(photos, tmp_path / "out", WANTED, form=Folders("copy")).new
    assert one.read_bytes() == b"edited"
    one.unlink()
    assert split_data(photos, tmp_path / "out", WANTED, form=Folders("copy")).new
    assert one.read_bytes() == original


def test_where_links_cannot_be_photos_are_copied_and_it_is_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    made = split_data(photos, tmp_path / "out", WANTED)
    assert f"60 photos were copied (no hard links there: {os.strerror(errno.EXDEV)})" in made.notes
    assert places(tmp_path / "out")["train/cat"] == 20
    assert not split_data(photos, tmp_path / "out", WANTED).new


def test_a_full_disk_names_the_file_and_leaves_the_split_unfinished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(Path, "hardlink_to", full)
    with pytest.raises(OSError, match="space") as caught:
        split_data(photos, tmp_path / "out", WANTED)
    assert str(caught.value.filename).startswith(str(tmp_path / "out"))
    assert not (tmp_path / "out" / "split.jsonl").exists()


def test_a_photo_that_changes_meanwhile_is_not_copied(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = jpeg(draw("cat", 999, size=96))

    def meanwhile(*args: Any, **knobs: Any) -> None:
        claim_split_folder(*args, **knobs)
        for path in photos.rglob("*.jpg"):
            path.write_bytes(other)

    monkeypatch.setattr("fursure.commands.split.claim_split_folder", meanwhile)
    with pytest.raises(BadData, match="changed while it was being read; run the command again"):
        split_data(photos, tmp_path / "out", WANTED, form=Folders("copy"))


def test_names_from_many_folders_do_not_collide(photos: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted((photos / "cat").glob("*.jpg"))):
        home = photos / "cat" / f"owner{number}"
        home.mkdir()
        path.rename(home / ("1.jpg" if number % 2 else "1.JPG"))
    made = split_data(photos, tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 80
    assert any(note.startswith("40 photos have another name") for note in made.notes)
    assert not split_data(photos, tmp_path / "out").new


def test_a_class_of_any_name_stays_inside(photos: Path, tmp_path: Path) -> None:
    rows = [
        f"{path.relative_to(photos)},{'../../up' if path.parent.name == 'cat' else 'a/b'}"
        for path in photos.rglob("*.jpg")
    ]
    (photos / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    made = split_data(photos / "labels.csv", tmp_path / "in" / "out", {"train": 20})
    assert places(tmp_path / "in" / "out") == {"train/a_b": 10, "train/__.._up": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "photos"]
    assert "class 'a/b' is in the folder 'a_b'" in made.notes


def test_a_given_split_is_kept_if_nothing_is_asked_for(drawings: Path, tmp_path: Path) -> None:
    first = split_data(drawings, tmp_path / "first", WANTED)
    second = split_data(tmp_path / "first", tmp_path / "second")
    assert tree(tmp_path / "second") == tree(tmp_path / "first")
    assert Counter(splits(second.manifest).values()) == WANTED
    assert splits(second.manifest).items() <= splits(first.manifest).items()
    with pytest.raises(BadData, match=r"already split \(40 train, 10 val, 10 test\); leave"):
        split_data(tmp_path / "first", tmp_path / "third", WANTED)


def test_classes_that_are_not_even_are_said(photos: Path, tmp_path: Path) -> None:
    for path in sorted((photos / "dog").glob("*.jpg"))[10:]:
        path.unlink()
    made = split_data(photos, tmp_path / "out", {"train": 32, "val": 8})
    assert any("of 'dog' there are fewer photos than the 20" in note for note in made.notes)
    assert sum(places(tmp_path / "out").values()) == 40
    assert places(tmp_path / "out")["val/dog"] == 2


def test_too_few_different_photos_are_said(photos: Path, tmp_path: Path) -> None:
    for number in range(40):
        path = photos / "dog" / f"dog.{number}.jpg"
        if number > 1:
            shutil.copyfile(photos / "dog" / f"dog.{number % 2}.jpg", path)
    made = split_data(photos, tmp_path / "out", {"train": 40, "val": 10, "test": 10})
    assert "test has no photo of 'dog'" in made.notes
    assert any(note.startswith("test has 5 photos instead of 10") for note in made.notes)


def test_data_that_cannot_be_split_is_refused_in_a_sentence(drawings: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    for seed, name in enumerate("abc"):
        (loose / f"{name}.jpg").write_bytes(jpeg(draw("cat", seed)))
    with pytest.raises(NoPhotos, match="one folder of images per class"):
        split_data(loose, tmp_path / "out", WANTED)
    with pytest.raises(BadData, match="only one class, 'cat'"):
        split_data(Dataset(drawings / "cat", "^(cat)"), tmp_path / "out", {"train": 5})
    with pytest.raises(BadData, match="81 train photos are asked for, and 80 can be used"):
        split_data(drawings, tmp_path / "out", {"train": 81})
    with pytest.raises(BadData, match=r"lies inside .*; choose a folder outside of it"):
        split_data(drawings, drawings / "cat" / "out", WANTED)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadData, match="file is no folder that can be written"):
        split_data(drawings, tmp_path / "file" / "out", WANTED)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadData, match="no folder that can be written; choose another --out"):
        split_data(drawings, tmp_path / "out", WANTED)


@pytest.mark.parametrize("text", ["", "[1]", '{"format": "fursure split 99"}', '{"format": 1}'])
def test_a_note_that_is_not_ours_is_refused(drawings: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(BadData, match=r"split\.json: found .*choose another folder"):
        split_data(drawings, tmp_path, WANTED, overwrite=True)


def test_features_are_written_for_any_tool(drawings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = split_data(drawings, out, WANTED, form=Arrays())
    features_ND = np.load(out / "train_features.npy", mmap_mode="r")
    labels_N = np.load(out / "train_labels.npy")
    assert features_ND.shape == (40, 1280)
    assert features_ND.dtype == np.float32
    assert labels_N.dtype == np.int64
    assert (out / "labels.txt").read_text() == "cat\ndog\n"
    paths = (out / "files_train.txt").read_text().splitlines()
    assert [path.split("/")[0] for path in paths] == [["cat", "dog"][one] for one in labels_N]
    assert set(paths) == {one.path for one in made.manifest.photos if one.split == "train"}
    assert np.load(out / "test_features.npy").shape == (10, 1280)
    assert not split(drawings, out, WANTED, form="npy").new
    folders = split_data(drawings, tmp_path / "folders", WANTED, form="folders")
    assert splits(folders.manifest) == splits(made.manifest)


def test_a_form_that_is_none_is_refused(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match="no form of a split is called 'csv'; there are 'folders' and"
    ):
        split(drawings, tmp_path / "out", form="csv")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_row_is_what_training_sees_of_that_photo(drawings: Path, tmp_path: Path) -> None:
    from fursure.backbones.kinds import load_backbone
    from fursure.engine.network import Network
    from fursure.engine.session import open_session

    split_data(drawings, tmp_path / "out", {"train": 12}, form=Arrays())
    backbone = load_backbone("lite0")
    network = Network(open_session(backbone.onnx), backbone.preprocess)
    paths = (tmp_path / "out" / "files_train.txt").read_text().splitlines()
    images = [decode((drawings / path).read_bytes()).image for path in paths]
    rows_ND = np.load(tmp_path / "out" / "train_features.npy")
    assert np.allclose(rows_ND, network.encode(images), rtol=1e-3, atol=1e-3)


def test_a_map_has_keras_axes_and_the_features_as_its_mean(drawings: Path, tmp_path: Path) -> None:
    split_data(drawings, tmp_path / "maps", {"train": 34}, form=Arrays(maps=True))
    split_data(drawings, tmp_path / "features", {"train": 34}, form=Arrays())
    map_NhwD = np.load(tmp_path / "maps" / "train_features.npy")
    assert map_NhwD.shape == (34, 7, 7, 1280)
    features_ND = np.load(tmp_path / "features" / "train_features.npy")
    assert np.allclose(map_NhwD.mean(axis=(1, 2)), features_ND, rtol=1e-2, atol=1e-2)


def test_a_class_that_gets_another_name_has_its_folder(drawings: Path, tmp_path: Path) -> None:
    split_data(Dataset(drawings, rename={"cat": "puss"}), tmp_path / "out", {"train": 10})
    assert sorted(path.name for path in (tmp_path / "out" / "train").iterdir()) == ["dog", "puss"]


@pytest.mark.long
def test_arrays_that_are_there_are_not_made_again(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fursure.features.arrays import Encoder

    rows, out = Encoder.rows, tmp_path / "out"

    def interrupted(self: Encoder, photos: Any, *, title: str) -> Any:
        if len(photos) == 10:
            raise KeyboardInterrupt
        return rows(self, photos, title=title)

    monkeypatch.setattr(Encoder, "rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        split_data(drawings, out, {"train": 40, "val": 10}, form=Arrays(maps=True))
    assert not list(out.glob("val_features*"))
    before = (out / "train_features.npy").stat().st_mtime_ns
    monkeypatch.setattr(Encoder, "rows", rows)
    assert split_data(drawings, out, {"train": 40, "val": 10}, form=Arrays(maps=True)).new
    assert (out / "train_features.npy").stat().st_mtime_ns == before
    assert not split_data(drawings, out, {"train": 40, "val": 10}, form=Arrays(maps=True)).new
    with pytest.raises(OutputExists):
        split_data(drawings, out, {"train": 40, "val": 10}, form=Arrays())


def test_a_network_without_a_map_is_refused_before_photos_are_read(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = onnx.load_from_string(encoder_graph())
    del graph.graph.output[1]
    flat = Backbone(
        name="flat", onnx=graph.SerializeToString(), preprocess=SMALL, licence="CC0-1.0"
    )
    monkeypatch.setattr("fursure.commands.split.load_backbone", lambda *_, **__: flat)
    with pytest.raises(BadBackbone, match=r"flat has no feature map.*leave --map out"):
        split_data(drawings, tmp_path / "out", WANTED, form=Arrays(maps=True))
    split_data(drawings, tmp_path / "out", WANTED, form=Arrays())
    assert np.load(tmp_path / "out" / "val_features.npy").shape == (10, 6)


def test_paths_of_rows_are_one_a_line_whatever_is_in_them(photos: Path, tmp_path: Path) -> None:
    (photos / "cat" / "cat.0.jpg").rename(photos / "cat" / "two\nlines.jpg")
    split_data(photos, tmp_path / "out", {"train": 80}, form=Arrays())
    lines = (tmp_path / "out" / "files_train.txt").read_text().split("\n")
    assert len(lines) == 81
    assert r"cat/two\nlines.jpg" in lines


def test_the_command_prints_a_table_and_says_what_comes_next(
    drawings: Path, tmp_path: Path
) -> None:
    command = [drawings, "--out", tmp_path / "out", "--train", "40", "--val", "0.25"]
    run = fursure("split", *command)
    assert run.returncode == 0
    assert [line.split() for line in run.stdout.splitlines()] == [
        ["train", "val", "left", "over"],
        ["cat", "20", "10", "10"],
        ["dog", "20", "10", "10"],
        ["together", "40", "20", "20"],
    ]
    assert f"next: fursure train {tmp_path / 'out'}" in run.stderr
    again = fursure("split", *command, "--json", "-q")
    assert again.stderr == ""
    told = json.loads(again.stdout)
    assert not told["new"]
    assert told["photos"]["val"] == {"cat": 10, "dog": 10}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--train", "1.5"], "neither a count (4000) nor a share"),
        (["--map"], "--map says nothing with --as folders"),
        (["--as", "npy", "--link", "copy"], "--link says nothing with --as npy"),
    ],
)
def test_wrong_usage_is_said(args: list[str], words: str, tmp_path: Path) -> None:
    run = fursure("split", tmp_path, "--out", tmp_path / "out", *args)
    assert run.returncode == 2
    assert words in " ".join(run.stderr.split())
