"""Labels of other tools: exports as JSON or XML, tables of Parquet and Arrow, imagefolders."""

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow
from pyarrow import feather, parquet

from fursure.dataset.corrections import read_corrections
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.dataset.tables import Table
from fursure.errors import BadImage, FursureError
from fuzzing.mutate import Change
from fuzzing.shapes import either, json_changed, json_lines
from fuzzing.targets import Target, kept, own_folder
from fuzzing.targets.data import LIMIT, Lone

PLACE = own_folder()
XML = (
    b"<", b"</", b"/>", b">", b"<?xml ", b"<!--", b"-->", b"<![CDATA[", b"<!DOCTYPE ", b"&lt;",
    b"&#0;", b"<image ", b"</image>", b"<tag ", b'name="', b'label="', b"</annotations>",
    b'encoding="utf-16"',
)  # fmt: skip
JSON = (b"{", b"}", b"[", b"]", b",", b":", b'"', b"null", b"1e999", b"\\u0000", b"\\ud800", b"[[")
COLUMNAR = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"\x15", b"\x28")
CELLS = (b",", b"\n", b'"', b"../", b"cat.jpg", b"\0", b"\xff", b"C:\\", b"http://a/", b"label")


def _rows(name: str) -> Callable[[bytes], object]:
    """Return a call that reads its bytes as an export beside two photos."""

    def of_bytes(data: bytes) -> object:
        table = Table(Lone(data), name, ["images/"], anywhere=len(data) % 2 == 0)
        wanted = "quality" if len(data) % 5 == 0 else None
        rows = list(table.rows(label_column=wanted))
        said = [row.reason or row.unlabelled for row in rows[:3]]
        return min(len(rows), 3), said, len(table.notes), table.is_foreign

    return of_bytes


def _tasks(data: bytes) -> object:
    """Read bytes as tasks with their answers: once for the labels, and once as verdicts."""
    path = PLACE / "decided.json"
    path.write_bytes(data)
    reads: tuple[Callable[[bytes], object], ...] = (
        _rows("tasks.json"),
        lambda _: len(read_corrections(path)),
    )
    outcomes: list[object] = []
    for read in reads:
        try:
            outcomes.append(read(data))
        except FursureError as error:
            outcomes.append(type(error))
    return outcomes


def _photos(name: str) -> Callable[[bytes], object]:
    """Return a call that lists and reads the photos of the file in its bytes."""
    path = PLACE / name
    (PLACE / "cat.jpg").touch()

    def of_bytes(data: bytes) -> object:
        path.write_bytes(data)
        with open_source(path) as source:
            photos = list_photos(source).photos
            for photo in photos[:4]:
                try:
                    source.read(photo.path, LIMIT)
                except BadImage:
                    continue
        return min(len(photos), 3), [(photo.label, photo.reason) for photo in photos[:3]]

    return of_bytes


def _imagefolder(data: bytes) -> object:
    """Read bytes as the metadata of a folder's photos; what they begin with says of which kind."""
    folder = PLACE / "folder"
    for place in ("train/cat.jpg", "train/deep/dog.jpg", "test/cat.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).touch()
    names = [f"metadata.{ending}" for ending in ("jsonl", "csv")]
    lines = data.startswith((b"{", b"\n"))
    (folder / "train" / names[lines]).unlink(missing_ok=True)
    (folder / "train" / names[not lines]).write_bytes(data)
    with open_source(folder) as source:
        photos = list_photos(source).photos
    return [(photo.label, photo.split, photo.reason) for photo in photos[:3]]


def _texts(values: Iterable[Any]) -> list[bytes]:
    return [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]


def _task(image: str, *chosen: str, **more: Any) -> dict[str, Any]:
    result = {"from_name": "label", "to_name": "image", "type": "choices"}
    answer = {"result": [result | {"value": {"choices": chosen}}], **more}
    asked = {"image": image, "path": image, "sha256": "0" * 64, "given": "cat"}
    return {"data": asked, "annotations": [answer]}


TASKS = (
    [_task("/data/local-files/?d=images/dog.jpg", "dog"), _task("cat.jpg", "cat", "dog")],
    [_task("http://host/data/upload/3/0a1b2c3d-cat.jpg", "cat", was_cancelled=True)],
    [{"image": "cat.jpg", "id": 1, "choice": "cat", "annotator": 1, "annotation_id": 7}],
)
FIFTYONE = (
    {"classes": ["cat", "dog"], "labels": {"cat": 0, "dog": "dog", "c": None}},
    {"samples": [{"filepath": "/me/cat.jpg", "tags": ["train"],
                  "ground_truth": {"_cls": "Classification", "label": "cat"}}]},
)  # fmt: skip
DATUMARO = (
    {"info": {}, "categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}},
     "items": [{"id": "cat", "subset": "train", "image": {"path": "cat.jpg"},
                "annotations": [{"type": "label", "label_id": 1}]}]},
)  # fmt: skip
CVAT = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    b'<image id="0" name="cat.jpg" subset="Train"><tag label="cat"></tag></image>'
    b'<image id="1" name="images/dog.jpg"><tag label="dog"><attribute name="x">1</attribute></tag>'
    b'<box label="cat" xtl="1"/></image></annotations>',
)
METADATA = (
    b'{"file_name": "cat.jpg", "label": "cat"}\n{"file_name": "deep/dog.jpg", "label": 1}\n',
    b"file_name,label\ncat.jpg,cat\ndeep/dog.jpg,dog\n",
)
FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}


def _tables() -> list[pyarrow.Table]:
    """Return a table with photos in it, as the hub has them, and one of paths."""
    images = [
        {"bytes": b"\xff\xd8 %d" % row, "path": f"{row}.jpg" if row else None} for row in range(3)
    ]
    pictures = pyarrow.table({"image": images, "label": [0, 1, -1]})
    note = json.dumps({"info": {"features": FEATURES}})
    words = pyarrow.array(["cat", "dog"]).dictionary_encode()
    paths = pyarrow.table(
        {"path": ["cat.jpg", "../dog.jpg"], "label": words, "split": ["train", "test"]}
    )
    return [pictures.replace_schema_metadata({"huggingface": note}), paths]


def _parquet() -> list[bytes]:
    made = []
    for table in _tables():
        for packed in ("none", "snappy", "zstd"):
            parquet.write_table(table, file := io.BytesIO(), compression=packed)
            made.append(file.getvalue())
    return made


def _arrow() -> list[bytes]:
    made = []
    for table in _tables():
        with pyarrow.ipc.new_stream(file := io.BytesIO(), table.schema) as out:
            out.write_table(table)
        made.append(file.getvalue())
        for packed in ("uncompressed", "lz4"):
            feather.write_feather(table, file := io.BytesIO(), compression=packed)
            made.append(file.getvalue())
    return made


def target(name: str) -> Target:
    """Return a door through which labels of other tools come in."""
    call: Callable[[bytes], object]
    words: tuple[bytes, ...] = JSON
    change: Callable[[Change], Change] | None = _values
    match name:
        case "label-studio":
            call, seeds = _tasks, _texts(TASKS)
        case "fiftyone":
            call, seeds = _rows("labels.json"), _texts(FIFTYONE)
        case "datumaro":
            call, seeds = _rows("default.json"), _texts(DATUMARO)
        case "cvat":
            call, seeds, words, change = _rows("annotations.xml"), _texts(CVAT), XML, None
        case "imagefolder":
            call, seeds, words = _imagefolder, _texts(METADATA), CELLS
            change = lambda plain: either(plain, json_lines(json_changed))  # noqa: E731
        case "parquet":
            call, seeds, words, change = _photos("t.parquet"), _parquet(), COLUMNAR, None
        case _:
            call, seeds, words, change = _photos("t.arrow"), _arrow(), COLUMNAR, None
    return Target(
        call=call,
        promised=(FursureError,),
        seeds=[*seeds, *kept(name)],
        words=words,
        change=change,
    )


def _values(plain: Change) -> Change:
    return either(plain, json_changed, json_changed)
