"""Photos as programs hold them: answered alike, or a TypeError at once."""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fursure
from fursure.drawings.draw import draw, jpeg
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


class Frame:
    """As pandas has them: iterating gives the names of the columns."""

    ndim, shape = 2, (2, 2)

    def __iter__(self) -> Iterator[str]:
        return iter(("path", "label"))


ONE: dict[str, Callable[[], Any]] = {
    "BytesIO": lambda: io.BytesIO(png()),
    "bytearray": lambda: bytearray(png()),
    "memoryview": lambda: memoryview(png()),
    "floats in [0, 1]": lambda: PIXELS / 255,
    "float16": lambda: (PIXELS / 255).astype(np.float16),
    "floats to 255": lambda: PIXELS.astype(np.float32),
    "int64": lambda: PIXELS.astype(np.int64),
    "channels first": lambda: PIXELS.transpose(2, 0, 1),
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
    "array of floats, channels first": lambda _: (
        np.stack([PIXELS, PIXELS]).transpose(0, 3, 1, 2) / 255
    ),
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


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (42, "found a int; needed is a path"),
        (None, "found a NoneType"),
        ({"a": b""}, "found a dict"),
        (Frame(), r"found Frame of shape \(2, 2\)"),
        ([b"", 42], "photo 1 is a int"),
        ([None], "photo 0 is a NoneType"),
        (iter([3.5]), "photo 0 is a float"),
        (io.StringIO("text"), "gives str; open it with mode 'rb'"),
        (np.zeros((4, 4), complex), "an array of complex128"),
        (np.zeros((4, 4, 4, 4, 4)), r"shape \(4, 4, 4, 4, 4\)"),
        (np.zeros((9, 8, 7)), r"ndarray of shape \(9, 8, 7\)"),
        (np.array(3), r"shape \(\)"),
        (np.full((4, 4, 3), -1.0), "values from -1 to -1"),
        (np.full((4, 4), np.nan), "values from nan to nan"),
        (np.full((4, 4), 60_000, np.uint16), "values from 60000 to 60000"),
        ([[PICTURE]], "photo 0 is a list"),
    ],
)
def test_what_is_no_photo_is_a_type_error(photo: Any, words: str, model: Predictor) -> None:
    with pytest.raises(TypeError, match=words):
        model.predict(photo)


def test_a_wrong_kind_at_the_end_of_a_list_is_found_before_anything_is_answered(
    model: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(Predictor, "batch", never)
    with pytest.raises(TypeError, match="photo 1"):
        model.predict([PICTURE, 42])  # type: ignore[list-item]


def test_a_file_that_is_no_photo_stays_a_row(model: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("not a photo, surely")
    rows = model.predict([tmp_path / "a.txt", tmp_path / "none.jpg", io.BytesIO(b"")])
    assert all(row.error for row in rows)


def confidence(model: Predictor, data: bytes) -> float:
    return model.predict(data).confidence


def test_a_pickled_model_opens_its_own_session(model: Predictor) -> None:
    strict = fursure.load("pets", engine="onnxruntime", threads=1)
    copies = [pickle.loads(pickle.dumps(strict)), copy.deepcopy(strict)]  # noqa: S301 - ours
    for one in copies:
        assert one.network.session is not strict.network.session
        assert one.network.session.engine == strict.network.session.engine
        assert (one.threshold, one.threads) == (strict.threshold, strict.threads)
        assert one.predict(PICTURE) == strict.predict(PICTURE)


@pytest.mark.slow
def test_a_model_goes_to_other_processes(model: Predictor) -> None:
    data = jpeg(draw("dog", seed=2))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(confidence, model, data).result()
    assert found == model.predict(data).confidence


def test_a_model_says_what_it_is_on_one_line(model: Predictor) -> None:
    for text in (repr(model), repr(model.bundle)):
        assert len(text) < 200
        assert "'pets': cat, dog;" in text
    assert "onnxruntime" in repr(model)
