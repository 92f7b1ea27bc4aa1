"""Labels from elsewhere: exports of tools that label photos, and tables with photos in them."""

import csv
import io
import json
import shutil
import sys
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import feather, parquet

from fursure.annotations import cvat, shards
from fursure.annotations.streamed import entries
from fursure.dataset.layout import list_photos
from fursure.dataset.manifest import Manifest
from fursure.dataset.sources import holds_photos, open_source
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadData, MissingExtra


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a.jpg to f.jpg in ``images``; what is in them is never read here."""
    (tmp_path / "images").mkdir()
    for name in "abcdef":
        (tmp_path / "images" / f"{name}.jpg").touch()
    return tmp_path


def listed(path: Path, label_column: str | None = None) -> Manifest:
    with open_source(path) as source:
        return list_photos(source, label_column=label_column)


def labels(path: Path, label_column: str | None = None) -> dict[str, str | None]:
    return {photo.path: photo.label for photo in listed(path, label_column).photos}


def choice(*chosen: str, question: str = "choice") -> dict[str, Any]:
    value = {"choices": [*chosen]}
    return {"from_name": question, "to_name": "image", "type": "choices", "value": value}


def task(image: str, *answers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"data": {"image": image}, "annotations": [{"result": one} for one in answers], **more}


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><name>pets</name></task></meta>
<image id="0" name="a.jpg" subset="Train" width="8" height="8"><tag label="cat"></tag></image>
<image id="1" name="b.jpg" subset="Validation"><tag label="dog"><attribute name="x">1</attribute>
</tag></image><image id="2" name="c.jpg"><box label="cat" xtl="1"/></image></annotations>"""
ROWS = [
    {"image": "/data/upload/1/0a1b2c3d-a.jpg", "id": 1, "choice": "cat"},
    {"image": "/data/upload/1/0a1b2c3d-b.jpg", "id": 2, "choice": "dog"},
]
MADE = {"annotator": 1, "annotation_id": 7, "lead_time": 2.5}
EXPORTS: dict[str, Any] = {
    "label-studio": [
        task("/data/local-files/?d=pets/images/a.jpg", [choice("cat")]),
        task("http://host/data/upload/3/0a1b2c3d-b.jpg", [choice("dog")]),
    ],
    "label-studio-min": [row | MADE for row in ROWS],
    "cvat": CVAT,
    "fiftyone-labels": {"classes": ["cat", "dog"], "labels": {"a": 0, "b": "dog", "c": None}},
    "fiftyone-samples": {
        "samples": [
            {"filepath": "images/a.jpg", "ground_truth": {"_cls": "Classification", "label": "cat"},
             "guess": {"_cls": "Classification", "label": "x"}},
            {"filepath": "/home/me/images/b.jpg",
             "ground_truth": {"_cls": "Classification", "label": "dog"}},
        ]
    },
    "datumaro": {
        "info": {},
        "items": [
            {"id": name, "annotations": [{"type": "label", "label_id": row}], "image": {"path": ""}}
            for row, name in enumerate("ab")
        ],
        "categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}},
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPORTS)
def test_an_export_is_known_by_its_content_and_its_photos_are_found_beside_it(
    kind: str, photos: Path
) -> None:
    export = written(photos / "export.txt", EXPORTS[kind])
    assert holds_photos(export)
    assert labels(export) == {"images/a.jpg": "cat", "images/b.jpg": "dog"}
    export.rename(photos / ("annotations.xml" if kind == "cvat" else "anything.json"))
    assert labels(photos) == {"images/a.jpg": "cat", "images/b.jpg": "dog"}


def test_a_csv_of_label_studio_counts_every_annotator(photos: Path) -> None:
    rows = [row | MADE for row in (*ROWS, ROWS[0], ROWS[0] | {"choice": "dog"})]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
    manifest = listed(written(photos / "project.csv", text.getvalue()))
    assert {photo.path: photo.label for photo in manifest.photos} == {
        "images/a.jpg": "cat",
        "images/b.jpg": "dog",
    }
    assert manifest.notes == (
        "the annotators of 1 of the photos were not of one mind; the label of the majority counts",
    )


def test_what_has_no_single_label_is_left_out_and_counted_in_words(photos: Path) -> None:
    cat, dog = [choice("cat")], [choice("dog")]
    skipped = task("images/d.jpg", [])
    skipped["annotations"][0]["was_cancelled"] = True
    sure = task("images/f.jpg", dog, dog, cat)
    sure["annotations"][2]["ground_truth"] = True
    tasks = [
        task("images/a.jpg", cat),
        task("images/b.jpg", cat, dog),
        task("images/c.jpg", [choice("cat", "dog")]),
        skipped,
        task("images/e.jpg"),
        sure,
        task("s3://bucket/away.jpg", dog),
    ]
    manifest = listed(written(photos / "export.json", tasks))
    assert [(photo.path, photo.label, photo.reason) for photo in manifest.photos] == [
        ("images/a.jpg", "cat", None),
        ("images/f.jpg", "cat", None),
        (
            "s3://bucket/away.jpg",
            "dog",
            "file lies on a server, and no copy of it beside the export",
        ),
    ]
    assert manifest.skipped == {
        "photo that its annotators skipped": 1,
        "photo whose annotators disagree, without a majority": 1,
        "photo with several labels": 1,
        "photo without a label": 1,
    }


def test_of_several_questions_an_option_says_which_and_the_error_names_them(photos: Path) -> None:
    answers = [choice("cat", question="animal"), choice("fine", question="quality")]
    export = written(photos / "export.json", [task("images/a.jpg", answers)])
    with pytest.raises(BadData, match=r"under 'animal', 'quality'; say which .*--label-column ani"):
        listed(export)
    assert labels(export, "quality") == {"images/a.jpg": "fine"}
    with pytest.raises(BadData, match="labels under 'animal', 'quality', and none under 'size'"):
        listed(export, "size")


def test_the_column_of_a_table_may_be_named_and_then_counts_before_folders(photos: Path) -> None:
    for label in ("cat", "dog"):
        (photos / label).mkdir()
        (photos / label / "1.jpg").touch()
    written(photos / "t.csv", "path,label,mood\ncat/1.jpg,x,good\ndog/1.jpg,y,bad\n")
    assert labels(photos, "mood") == {"cat/1.jpg": "good", "dog/1.jpg": "bad"}
    with pytest.raises(BadData, match="has the columns 'path', 'label', 'mood', and none 'size'"):
        listed(photos / "t.csv", "size")


def test_two_photos_of_an_export_are_never_taken_for_the_same_file(photos: Path) -> None:
    tasks = [
        task("s3://bucket/x/a.jpg", [choice("cat")]),
        task("s3://bucket/y/a.jpg", [choice("dog")]),
        task("images/b.jpg", [choice("dog")]),
    ]
    reasons = [photo.reason for photo in listed(written(photos / "e.json", tasks)).photos]
    assert reasons == ["several photos of the export may be the same file"] * 2 + [None]


def test_no_export_leads_out_of_its_folder_unless_the_user_named_it(photos: Path) -> None:
    away = photos / "images" / "a.jpg"
    home = photos / "home"
    (home / "x").mkdir(parents=True)
    (home / "x" / "b.jpg").touch()
    tasks = [
        task(str(away), [choice("cat")]),
        task("x/b.jpg", [choice("dog")]),
        task("/data/local-files/?d=../images/c.jpg", [choice("dog")]),
    ]
    export = written(home / "export.json", tasks)
    assert [photo.reason is None for photo in listed(export).photos] == [True, True, False]
    with pytest.raises(BadData, match=r"lists no photo|no photos"):
        listed(written(home / "alone.json", tasks[2:]))
    (home / "alone.json").unlink()
    (home / "x" / "c.png").touch()
    written(export, [*tasks, task("x/c.png", [choice("cat")])])
    reasons = [photo.reason for photo in listed(home).photos]
    assert reasons[0] == "path is absolute or leaves the folder of the table"
    assert [reason is None for reason in reasons] == [False, True, False, True]


BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<annotations><image name='&b;'/></annotations>"
)
HOSTILE = {
    "cut": (json.dumps(EXPORTS["label-studio"])[:-20], "after .* characters; export it again"),
    "cut-xml": (CVAT[:-20], "no whole XML"),
    "entities": (BOMB, "no data set"),
    "class": ({"classes": ["cat"], "labels": {"a": 7}}, "class 7 of 1"),
    "utf-16": (EXPORTS["label-studio"], "no data set"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_export_is_refused_in_words(kind: str, photos: Path) -> None:
    value, sentence = HOSTILE[kind]
    export = written(photos / "export.json", value)
    if kind == "utf-16":
        export.write_bytes(export.read_text().encode("utf-16"))
    with pytest.raises(BadData, match=sentence):
        listed(export)


def test_a_document_type_ends_the_reading_of_xml() -> None:
    with pytest.raises(ValueError, match="declares a document type"):
        list(cvat.images(BOMB.encode()))


@pytest.mark.long
@pytest.mark.parametrize("text", ["[" * 20_000_000, "[[" + "[]," * 6_000_000, '["' + "x" * 9**8])
def test_a_nested_or_endless_json_costs_little_memory(text: str) -> None:
    data = text.encode()
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"too many levels|too large"):
        list(entries(data))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 << 20


def picture(seed: int) -> bytes:
    return jpeg(draw("cat", seed, size=16))


FEATURES = {
    "image": {"_type": "Image"},
    "labels": {"_type": "ClassLabel", "names": ["cat", "dog"]},
}


def hugging_face(count: int = 3) -> pyarrow.Table:
    """Return a table as the library of that name writes it."""
    images = [
        {"bytes": picture(row), "path": f"{row}.jpg" if row else None} for row in range(count)
    ]
    table = pyarrow.table({"image": images, "labels": [row % 2 for row in range(count)]})
    note = json.dumps({"info": {"features": FEATURES}})
    return table.replace_schema_metadata({"huggingface": note})


def stream(table: pyarrow.Table, path: Path) -> None:
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as out:
        out.write_table(table)


KINDS: dict[str, Callable[[pyarrow.Table, Path], None]] = {
    "parquet": parquet.write_table,
    "arrow": stream,
    "feather": feather.write_feather,
}


@pytest.mark.parametrize("kind", KINDS)
def test_photos_and_class_names_are_read_out_of_a_table(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"pets.{kind}"
    KINDS[kind](hugging_face(), path)
    with open_source(path) as source:
        found = {photo.path: photo.label for photo in list_photos(source).photos}
        assert found == {
            f"{path.name}!000001": "cat",
            f"{path.name}!1.jpg": "dog",
            f"{path.name}!2.jpg": "cat",
        }
        assert [source.read(name, 1 << 20) for name in found] == [*map(picture, range(3))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_paths_needs_no_photos_in_it(kind: str, photos: Path) -> None:
    table = pyarrow.table(
        {
            "path": ["images/a.jpg", "images/b.jpg"],
            "label": pyarrow.array(["cat", "dog"]).dictionary_encode(),
        }
    )
    KINDS[kind](table, photos / f"table.{kind}")
    expected = {"images/a.jpg": "cat", "images/b.jpg": "dog"}
    assert labels(photos / f"table.{kind}") == labels(photos) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_cut_off_anywhere_is_one_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"pets.{kind}"
    KINDS[kind](hugging_face(), path)
    data = path.read_bytes()
    for share in range(1, 10):
        path.write_bytes(data[: len(data) * share // 10])
        with pytest.raises(BadData, match="damaged or cut off"):
            listed(path)


def test_shards_of_a_hub_data_set_are_one_source_with_its_split(tmp_path: Path) -> None:
    folder = tmp_path / "pets" / "data"
    folder.mkdir(parents=True)
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        parquet.write_table(hugging_face(2), folder / f"{name}.parquet")
    manifest = listed(tmp_path / "pets")
    assert [(photo.label, photo.split) for photo in manifest.photos] == [
        *[("cat", "train"), ("dog", "train")] * 2,
        ("cat", "val"),
        ("dog", "val"),
    ]
    assert len({photo.path for photo in manifest.photos}) == 6


HUB = {  # as the hub keeps a data set, and as people do
    "converted": ("default/train/0000.parquet", "default/validation/0000.parquet"),
    "one configuration": ("train/0000.parquet", "partial-validation/0000.parquet"),
    "whole": ("train.parquet", "validation.parquet"),
    "data": ("data/train-00000-of-00001.parquet", "data/dev-00000-of-00001.parquet"),
}


@pytest.mark.parametrize("packed", ["folder", "zip"])
@pytest.mark.parametrize("layout", HUB)
def test_a_data_set_of_the_hub_is_read_with_its_splits(
    layout: str, packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))
    place = tmp_path / "pets"
    for name in HUB[layout]:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(hugging_face(2), place / name)
    (place / "README.md").write_text("# Pets")
    if packed == "zip":
        place = Path(shutil.make_archive(str(place), "zip", tmp_path, "pets"))
    with open_source(place) as source:
        photos = list_photos(source).photos
        assert {
            (photo.label, photo.split): source.read(photo.path, 1 << 20) for photo in photos
        } == {
            (label, split): picture(row)
            for row, label in enumerate(("cat", "dog"))
            for split in ("train", "val")
        }
    assert not list((tmp_path / "copies").iterdir())


def test_a_table_in_a_zip_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def zipped(**members: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(f"{name}.parquet", data)
        return tmp_path / "t.zip"

    with pytest.raises(BadData, match=r"t.zip is damaged or cut off"):
        listed(zipped(table=b"PAR1 and no more"))
    with pytest.raises(BadData, match=r"holds several data sets: big, small; give the folder"):
        listed(zipped(**{"big/train": b"", "small/train": b""}))
    monkeypatch.setattr(shards, "_FREE", 0)
    with pytest.raises(BadData, match="unpacks to 2,097,156 bytes, as no table of photos does"):
        listed(zipped(table=b"PAR1" + bytes(2 << 20)))


@pytest.mark.parametrize("name", ["train.parquet", "train-00000-of-00001.parquet"])
def test_a_table_of_paths_in_a_folder_means_the_photos_of_that_folder(
    name: str, photos: Path
) -> None:
    table = {"path": ["images/a.jpg", "images/b.jpg"], "label": ["cat", "dog"]}
    parquet.write_table(pyarrow.table(table), photos / name)
    found = listed(photos).photos
    assert {photo.path: photo.label for photo in found} == dict(zip(*table.values(), strict=True))
    assert all(photo.reason is None for photo in found)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_imagefolder_has_its_labels_in_the_metadata_of_each_split(
    kind: str, tmp_path: Path
) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        rows = [{"file_name": f"{name}.jpg", "label": name} for name in ("cat", "dog")]
        for row in rows:
            (tmp_path / part / row["file_name"]).touch()
        lines = {
            "csv": ["file_name,label", *(f"{row['file_name']},{row['label']}" for row in rows)],
            "jsonl": [json.dumps(row) for row in rows],
        }
        written(tmp_path / part / f"metadata.{kind}", "\n".join(lines[kind]))
    assert {(photo.path, photo.label, photo.split) for photo in listed(tmp_path).photos} == {
        (f"{part}/{label}.jpg", label, part)
        for part in ("train", "test")
        for label in ("cat", "dog")
    }


@pytest.mark.long
def test_one_row_group_of_many_photos_is_streamed(tmp_path: Path) -> None:
    """Of 120 MB in pages of 8 MB; a page is the least that can be read."""
    images = [b"\xff\xd8" + bytes([row]) * 400_000 for row in range(100)] * 3
    table = pyarrow.table({"image": images, "label": ["cat", "dog"] * 150})
    parquet.write_table(
        table, tmp_path / "t.parquet", compression="none", use_dictionary=False, write_batch_size=20
    )
    usual = pyarrow.default_memory_pool()
    pool = pyarrow.proxy_memory_pool(usual)
    pyarrow.set_memory_pool(pool)
    try:
        with open_source(tmp_path / "t.parquet") as source:
            assert len(list_photos(source).photos) == 300
    finally:
        pyarrow.set_memory_pool(usual)
    assert 0 < pool.max_memory() < 64 << 20


def test_without_pyarrow_a_table_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(hugging_face(), tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fursure\[tables\]'"):
        open_source(tmp_path / "t.parquet")
