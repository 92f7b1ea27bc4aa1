"""The manifest in memory and on disk."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.dataset.manifest import Manifest
from fursure.errors import BadData
from fursure.rows.photo import Photo

ANY = st.text(st.characters(), max_size=30)  # surrogates, line ends and marks included
PRINTED = st.text(st.characters(), max_size=30).filter(str.isprintable)
PHOTOS = st.builds(
    Photo,
    path=ANY,
    sha256=st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(bytes.hex)),
    width=st.integers(0, 20_000),
    height=st.integers(0, 20_000),
    label=st.none() | PRINTED,
    group=ANY,
    split=st.sampled_from([None, "train", "val", "test"]),
    reason=st.none() | ANY,
)
MANIFESTS = st.builds(
    Manifest,
    root=ANY,
    photos=st.lists(PHOTOS, unique_by=lambda photo: photo.path, max_size=8).map(tuple),
    skipped=st.dictionaries(ANY, st.integers(0, 1000), max_size=4),
)
PETS = Manifest(
    root="pets",
    photos=(
        Photo(path="b.jpg", sha256="b" * 64, label="dog", split="val"),
        Photo(path="a.jpg", sha256="a" * 64, label="cat", split="train"),
        Photo(path="c.jpg", sha256="c" * 64, label="cat", split="train"),
        Photo(path="d.jpg", sha256="d" * 64),
        Photo(path="e.jpg", label="emu", reason="file is missing"),
    ),
    skipped={".txt": 3},
)


@given(manifest=MANIFESTS)
def test_a_manifest_survives_the_disk(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest
) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.jsonl"
    manifest.save(path)
    assert Manifest.load(path) == manifest


def test_a_manifest_is_a_line_a_photo_that_people_can_read(tmp_path: Path) -> None:
    PETS.save(tmp_path / "m.jsonl")
    lines = (tmp_path / "m.jsonl").read_text().splitlines()
    assert len(lines) == 1 + len(PETS.photos)
    assert json.loads(lines[0])["skipped"] == {".txt": 3}
    assert json.loads(lines[5]) == {"path": "e.jpg", "label": "emu", "reason": "file is missing"}


def test_labels_and_counts_are_those_of_the_photos() -> None:
    assert PETS.labels == ("cat", "dog", "emu")  # all emus are lost, and that must show
    assert [photo.path for photo in PETS.usable] == ["b.jpg", "a.jpg", "c.jpg", "d.jpg"]
    assert PETS.counts() == Counter({("cat", "train"): 2, ("dog", "val"): 1, (None, None): 1})


def test_the_digest_is_of_content_label_and_split_only() -> None:
    photos = list(PETS.photos)
    random.Random(0).shuffle(photos)
    moved = tuple(replace(photo, path=f"new/{photo.path}", group="g") for photo in photos[:-1])
    assert replace(PETS, root="x", photos=(*moved, photos[-1]), skipped={}).digest == PETS.digest
    changes = (replace(PETS.photos[0], sha256="f" * 64), replace(PETS.photos[0], label="cat"))
    for changed in (*changes, replace(PETS.photos[0], split="test")):
        assert replace(PETS, photos=(changed, *PETS.photos[1:])).digest != PETS.digest
    assert replace(PETS, photos=PETS.photos[1:]).digest != PETS.digest


def test_photos_nobody_has_read_have_no_digest() -> None:
    with pytest.raises(ValueError, match="needs scanned photos"):
        _ = Manifest(root="", photos=(Photo(path="1.jpg"),), skipped={}).digest


HEAD = '{"format": "fursure manifest 1", "root": "", "photos": 1, "skipped": {}}\n'
ROW = '{"path": "1.jpg"}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: found no end, so the file was cut off"),
        ("path,label\n", "line 1: found no JSON"),
        ("{}\n", "line 1: found no manifest's first line"),
        (HEAD.replace("manifest 1", "manifest 9"), "line 1: found the format 'fursure manifest 9'"),
        (HEAD.replace("{}", '{"a": true}'), "line 1: found counts that are no numbers"),
        (HEAD, "line 2: found the end after 0 of 1 photos"),
        (HEAD + ROW + ROW, "line 3: found '1.jpg' for the second time"),
        (HEAD + ROW[:-1], "line 2: found no end"),
        (HEAD + "[1]\n", "line 2: found no photo with a path"),
        (HEAD + '{"path": 1}\n', "line 2: found 'path' with the value '1'"),
        (HEAD + '{"path": "1", "pixels": 3}\n', "line 2: found 'pixels' with the value '3'"),
        (HEAD + '{"path": "1", "split": "x"}\n', "line 2: found 'split' with the value 'x'"),
        (HEAD + '{"path": "1", "sha256": "AB"}\n', "line 2: found 'sha256' with the value 'AB'"),
        (HEAD + '{"path": "1", "width": true}\n', "line 2: found 'width' with the value 'True'"),
        (HEAD + '{"path": "1", "height": -1}\n', "line 2: found 'height' with the value '-1'"),
        (HEAD + '{"path": "1", "label": "a\\u202e"}\n', "line 2: found 'label' with the value 'a"),
        (HEAD + "[" * 100_000 + "\n", "line 2: found no JSON (maximum recursion"),
        (HEAD + '{"path": "' + "x" * (1 << 20) + '"}\n', "line 2: found no end"),
        (HEAD + '{"path": "\x00"}\n', "line 2: found no JSON (Invalid control character"),
    ],
)
def test_a_damaged_manifest_is_explained_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(text)
    with pytest.raises(BadData) as caught:
        Manifest.load(path)
    assert f"m.jsonl, {message}" in str(caught.value)


def test_a_manifest_that_is_not_there_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"m\.jsonl cannot be read \(No such file"):
        Manifest.load(tmp_path / "m.jsonl")


def test_a_failed_save_keeps_the_older_manifest(tmp_path: Path) -> None:
    PETS.save(tmp_path / "m.jsonl")
    unwritable = replace(PETS, photos=(Photo(path=b"bytes"),))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        unwritable.save(tmp_path / "m.jsonl")
    assert Manifest.load(tmp_path / "m.jsonl") == PETS
    assert [one.name for one in tmp_path.iterdir()] == ["m.jsonl"]
