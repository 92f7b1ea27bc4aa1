"""Photos as programs hold them: answered alike, or a TypeError at once."""

import copy
import io
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas
import polars
import pyarrow
import pytest

import fursure
from fursure.drawings.draw import draw
from fursure.engine.predictor import Predictor

PICTURE = draw("cat", seed=5, size=120)
PIXELS = np.asarray(PICTURE)


@pytest.fixture(scope="module")
def model() -> Predictor:
    return fursure.load("pets", engine="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def expected(model: Predictor) -> float:
    return model.predict(PICTURE).confidence


def png() -> bytes:
    packed = io.BytesIO()
    PICTURE.save(packed, "PNG")
    return packed.getvalue()


class Series:
    """As pandas has them: one dimension, a type, and no list."""

    ndim, dtype = 1, object

    def __init__(self, *values: object) -> None:
        self.values, self.shape = values, (len(values),)

    def __iter__(self) -> Iterator[object]:
        return iter(self.values)


def without_photos() -> pandas.DataFrame:
    return pandas.DataFrame({"label": [1.0], "x": [2.0]})


def frame(folder: Path) -> pandas.DataFrame:
    """Return a table as people have it: an index, paths under some name, and what is beside."""
    paths = [str(path) for path in folder.iterdir()]
    return pandas.DataFrame({"label": ["cat", "cat"], "File Name": paths, "id": [1, 2]}, [7, 9])


class Image:
    """The feature of that name."""


class HubDataset:
    """As the library has them: typed columns, rows as dicts."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns, self.column_names = columns, list(columns)
        self.features = {name: Image() if name.startswith("image") else int for name in columns}

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {name: values[row] for name, values in self.columns.items()}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def select_columns(self, names: list[str]) -> "HubDataset":
        return HubDataset(**{name: self.columns[name] for name in names})


ONE: dict[str, Callable[[], Any]] = {
    "BytesIO": lambda: io.BytesIO(png()),
    "bytearray": lambda: bytearray(png()),
    "memoryview": lambda: memoryview(png()),
    "floats in [0, 1]": lambda: PIXELS / 255,
    "float16": lambda: (PIXELS / 255).astype(np.float16),
    "floats to 255": lambda: PIXELS.astype(np.float32),
    "int64": lambda: PIXELS.astype(np.int64),
}


@pytest.mark.parametrize("kind", ONE)
def test_one_photo_in_any_form_is_answered_alike(
    kind: str, model: Predictor, expected: float
) -> None:
    found = model.predict(ONE[kind]())
    assert found.error is None
    assert found.confidence == pytest.approx(expected, abs=2e-3 if kind == "float16" else 1e-6)


def test_an_open_file_is_a_photo_with_its_name(
    model: Predictor, expected: float, tmp_path: Path
) -> None:
    (tmp_path / "cat.png").write_bytes(png())
    with (tmp_path / "cat.png").open("rb") as file:
        found = model.predict(file)
    assert found.path == str(tmp_path / "cat.png")
    assert found.confidence == expected


SEVERAL: dict[str, Callable[[Path], Any]] = {
    "glob": lambda folder: folder.glob("*.png"),
    "generator": lambda folder: (path.read_bytes() for path in folder.iterdir()),
    "map": lambda folder: map(str, folder.iterdir()),
    "Series": lambda folder: Series(*map(str, folder.iterdir())),
    "array of paths": lambda folder: np.array([str(path) for path in folder.iterdir()]),
    "array of photos": lambda _folder: np.stack([PIXELS, PIXELS]),
    "array of floats": lambda _folder: np.stack([PIXELS, PIXELS]) / 255,
    "batches of a loader": lambda _: iter([np.stack([PIXELS]), np.stack([PIXELS]) / 255]),
    "set": lambda folder: set(folder.iterdir()),
    "values of a dict": lambda folder: dict(enumerate(folder.iterdir())).values(),
    "pandas Series": lambda folder: pandas.Series(list(map(str, folder.iterdir()))),
    "pandas DataFrame": frame,
    "polars Series": lambda folder: polars.Series(list(map(str, folder.iterdir()))),
    "polars DataFrame": lambda folder: polars.DataFrame(frame(folder).to_dict("list")),
    "Arrow array": lambda folder: pyarrow.array(list(map(str, folder.iterdir()))),
    "Arrow table": lambda folder: pyarrow.table(frame(folder).to_dict("list")),
    "Hugging Face's Parquet": lambda _: pandas.DataFrame(
        {"image": [{"bytes": png(), "path": None}] * 2, "label": [0, 1]}
    ),
    "Hugging Face's data set": lambda _: HubDataset(image=[PICTURE, PICTURE], label=[0, 1]),
    "tuple": lambda _folder: (PICTURE, io.BytesIO(png())),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_photos_in_any_iterable_are_answered_in_order(
    kind: str, model: Predictor, expected: float, tmp_path: Path
) -> None:
    for number in "12":
        (tmp_path / f"{number}.png").write_bytes(png())
    found = model.predict(SEVERAL[kind](tmp_path))
    assert [one.confidence for one in found] == pytest.approx([expected] * 2, abs=1e-6)


def test_columns_may_be_called_what_they_like(model: Predictor, expected: float) -> None:
    beside = {"features": [[0.1]], "read": [True], "dtype": ["x"], "select_columns": [1]}
    found = model.predict(pandas.DataFrame({"photo": [png()], **beside}))
    assert [row.confidence for row in found] == [expected]


def test_of_no_photos_there_are_no_answers(model: Predictor) -> None:
    assert model.predict([]) == []
    assert model.predict(iter(())) == []


@pytest.mark.slow  # torch takes seconds to import
def test_tensors_are_photos(model: Predictor, expected: float) -> None:
    torch = pytest.importorskip("torch")
    first = torch.from_numpy(PIXELS.transpose(2, 0, 1).copy())
    for tensor in (first, first / 255, (first / 255).requires_grad_()):
        assert model.predict(tensor).confidence == pytest.approx(expected, abs=1e-6)
    assert model.predict((first / 255).bfloat16()).confidence == pytest.approx(expected, abs=0.05)
    assert [one.confidence for one in model.predict(torch.stack([first, first]))] == (
        pytest.approx([expected] * 2, abs=1e-6)
    )


class Colour(Enum):
    RED = 1


async def later() -> AsyncIterator[bytes]:
    yield png()


def closed() -> io.BytesIO:
    file = io.BytesIO(png())
    file.close()
    return file


BATCH = np.stack([PIXELS, PIXELS])
NO_PHOTOS: dict[str, tuple[Callable[[], Any], str]] = {
    "int": (lambda: 42, "found an int; needed is a path"),
    "None": (lambda: None, "found a NoneType"),
    "bool": (lambda: True, "found a bool"),
    "float": (lambda: 0.5, "found a float"),
    "complex": (lambda: 1j, "found a complex"),
    "ellipsis": (lambda: ..., "found an ellipsis"),
    "object": (object, "found an object"),
    "dict": (lambda: {"a": b""}, "found a dict"),
    "a class": (lambda: Path, "found the class Path"),
    "a class of files": (lambda: io.BytesIO, "found the class BytesIO"),
    "function": (lambda: png, "found a function"),
    "module": (lambda: io, "found a module"),
    "exception": (lambda: ValueError("x"), "found a ValueError"),
    "member of an enum": (lambda: Colour.RED, "found a Colour"),
    "an enum": (lambda: Colour, "found the class Colour"),
    "date": (lambda: date(2026, 1, 1), "found a date"),
    "fraction": (lambda: Fraction(1, 2), "found a Fraction"),
    "decimal": (lambda: Decimal(1), "found a Decimal"),
    "UUID": (lambda: UUID(int=0), "found a UUID"),
    "async generator": (later, "found an async_generator"),
    "range": (lambda: range(3), "photo 0 is an int"),
    "generator of floats": (lambda: iter([3.5]), "photo 0 is a float"),
    "number at the end": (lambda: [PICTURE, 42], "photo 1 is an int"),
    "None in a list": (lambda: [None], "photo 0 is a NoneType"),
    "list in a list": (lambda: [[PICTURE]], "photo 0 is a list"),
    "pixels as lists": (PIXELS.tolist, "photo 0 is a list"),
    "dict's items": ({"a": PICTURE}.items, "photo 0 is a tuple"),
    "enumerate": (lambda: enumerate([PICTURE]), "photo 0 is a tuple"),
    "a hole in a Series": (lambda: pandas.Series(["a.jpg", None]), "photo 1 is a (float|NoneType)"),
    "a table without photos": (
        without_photos,
        r"columns 'label', 'x', none of which is called path",
    ),
    "a table with two": (
        lambda: pandas.DataFrame({"path": ["a"], "image": ["b"]}),
        "columns 'path', 'image', any of which may hold photos; give the one",
    ),
    "a data set with two": (
        lambda: HubDataset(image=[PICTURE], image_2=[PICTURE]),
        "columns 'image', 'image_2', any of which",
    ),
    "a loader's pairs": (lambda: [(BATCH, np.zeros(2))], "give the photos alone: model.predict"),
    "text file": (lambda: io.StringIO("text"), "gives str; open it with mode 'rb'"),
    "closed file": (closed, "a BytesIO that cannot be read: I/O operation on closed file"),
    "complex array": (lambda: np.zeros((4, 4), complex), "an array of complex128"),
    "mask": (lambda: np.zeros((4, 4), bool), "an array of bool"),
    "objects": (lambda: np.full((4, 4), None), "an array of object"),
    "no pixels": (lambda: np.zeros((0, 4, 3), np.uint8), r"uint8 of shape \(0, 4, 3\)"),
    "five dimensions": (lambda: np.zeros((4, 4, 4, 4, 4)), r"shape \(4, 4, 4, 4, 4\)"),
    "seven channels": (lambda: np.zeros((9, 8, 7)), r"a ndarray of shape \(9, 8, 7\)"),
    "scalar": (lambda: np.array(3), r"shape \(\)"),
    "channels first": (lambda: PIXELS.transpose(2, 0, 1), r"channels first; give array.transpose"),
    "NCHW": (lambda: BATCH.transpose(0, 3, 1, 2), r"of a batch \(N, C, H, W\) array.transpose"),
    "normalised": (lambda: np.full((4, 4, 3), -1.0), "values from -1 to -1"),
    "not a number": (lambda: np.full((4, 4), np.nan), "values from nan to nan"),
    "16 bits": (lambda: np.full((4, 4), 60_000, np.uint16), "values from 60000 to 60000"),
    "normalised at the end": (lambda: [PICTURE, PIXELS - 300.0], "photo 1 is an array of float64"),
}


def test_forty_kinds_and_more_are_tried() -> None:
    assert len(NO_PHOTOS) >= 40


@pytest.mark.parametrize("kind", NO_PHOTOS)
def test_what_is_no_photo_is_a_type_error_before_anything_is_answered(
    kind: str, model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []
    monkeypatch.setattr(Predictor, "batch", lambda _model, photos: ran.append(photos))
    make, words = NO_PHOTOS[kind]
    with pytest.raises(TypeError, match=words):
        model.predict(make())
    assert ran == []


def test_a_file_that_is_no_photo_stays_a_row(model: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("not a photo, surely")
    rows = model.predict([tmp_path / "a.txt", tmp_path / "none.jpg", io.BytesIO(b"")])
    assert all(row.error for row in rows)


def test_a_pickled_model_opens_its_own_session(model: Predictor) -> None:
    strict = fursure.load("pets", engine="onnxruntime", threads=1)
    copies = [pickle.loads(pickle.dumps(strict)), copy.deepcopy(strict)]  # noqa: S301 - ours
    for one in copies:
        assert one.network.session is not strict.network.session
        assert one.network.session.engine == strict.network.session.engine
        assert (one.threshold, one.threads) == (strict.threshold, strict.threads)
        assert one.predict(PICTURE) == strict.predict(PICTURE)


def test_a_model_says_what_it_is_on_one_line(model: Predictor) -> None:
    for text in (repr(model), repr(model.bundle)):
        assert len(text) < 200
        assert "'pets': cat, dog;" in text
    assert "onnxruntime" in repr(model)
