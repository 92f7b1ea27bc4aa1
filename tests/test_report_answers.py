"""The answers to several photos: a list, tables, and what a notebook shows."""

import copy
import importlib
import pickle
import re
from pathlib import Path

import numpy as np
import pandas
import pytest

import fursure
from fursure.dataset.manifest import Manifest
from fursure.drawings.draw import draw, jpeg
from fursure.engine.predictor import Predictor
from fursure.errors import BadImage, EngineFailed, MissingPackage
from fursure.prediction import Prediction
from fursure.report import answers
from fursure.report.answers import SHOWN_ANSWERS, Predictions
from fursure.rows.photo import Photo
from fursure.training.train import Trained

COLUMNS = ["path", "answer", "label", "confidence", "familiarity", "p_cat", "p_dog", "engine"]
GOOD = Prediction(
    path="a <b>.jpg",
    answer="cat",
    label="cat",
    confidence=0.9,
    probabilities={"cat": 0.9, "dog": 0.1},
    familiarity=0.5,
    engine="onnxruntime 1 fp32",
)
BAD = Prediction(path="none\udcff.jpg", error="no such file")


@pytest.fixture(scope="module")
def model() -> Predictor:
    return fursure.load("pets", engine="onnxruntime", threads=1)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_answers_become_a_table_of_any_library(kind: str) -> None:
    table = getattr(Predictions([BAD, GOOD]), f"to_{kind}")()
    names = table.column_names if kind == "arrow" else list(table.columns)
    assert names == [*COLUMNS, "error"]
    if kind == "pandas":
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
    else:
        rows = table.to_dicts() if kind == "polars" else table.to_pylist()
    assert rows[1] == {
        "path": "a <b>.jpg", "answer": "cat", "label": "cat", "confidence": 0.9,
        "familiarity": 0.5, "p_cat": 0.9, "p_dog": 0.1, "engine": "onnxruntime 1 fp32",
        "error": None,
    }  # fmt: skip
    assert rows[0]["path"] == "none\\udcff.jpg"
    assert (rows[0]["answer"], rows[0]["p_cat"], rows[0]["error"]) == (None, None, "no such file")


def test_answers_keep_the_index_of_the_photos(model: Predictor) -> None:
    photos = [draw("cat", 1, size=96), draw("dog", 2, size=96), "none.jpg"]
    series = pandas.Series(photos, index=[30, 10, 20], dtype=object)
    answered = model.predict(series)
    frame = series.to_frame("image")
    copied = pickle.loads(pickle.dumps(answered))  # noqa: S301 - ours
    for rows in (answered, model.predict(frame), copied):
        assert rows.to_pandas().index.tolist() == [30, 10, 20]
        assert rows[::-1].to_pandas().index.tolist() == [20, 10, 30]
    assert frame.join(answered.to_pandas())["error"].tolist() == [None, None, "no such file"]
    answered.reverse()
    assert answered.to_pandas().index.tolist() == [0, 1, 2]
    assert model.predict(photos).to_pandas().index.tolist() == [0, 1, 2]
    assert answered.index(answered[1]) == 1  # as of any list


@pytest.mark.parametrize("rows", [[GOOD], [GOOD, BAD], [BAD]])
def test_no_error_is_none_and_never_nan(rows: list[Prediction]) -> None:
    assert Predictions(rows).to_pandas()["error"].tolist() == [row.error for row in rows]


def test_columns_have_their_types_even_where_no_photo_was_answered() -> None:
    types = Predictions([BAD]).to_arrow().schema
    assert [str(types.field(name).type) for name in ("answer", "confidence")] == [
        "string", "double",
    ]  # fmt: skip
    assert Predictions().to_polars().shape == (0, 7)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(answers, "import_module", missing)
    with pytest.raises(MissingPackage, match="needs the package polars; run: pip install polars"):
        Predictions([GOOD]).to_polars()
    assert importlib.import_module("json")


def test_answers_are_a_list_whose_parts_are_answers_too() -> None:
    rows = Predictions([GOOD, BAD, GOOD], [b"1", b"2"])
    assert rows == [GOOD, BAD, GOOD]
    assert rows[1] is BAD
    part = rows[1:]
    assert isinstance(part, Predictions)
    assert (part, part.photos) == ([BAD, GOOD], [b"2"])
    assert rows[::-1].photos == []
    for copied in (pickle.loads(pickle.dumps(rows)), copy.deepcopy(rows)):  # noqa: S301 - ours
        assert isinstance(copied, Predictions)
        assert [row.path for row in copied] == [row.path for row in rows]


def test_a_notebook_shows_the_first_answers_with_thumbnails(model: Predictor) -> None:
    photos = [draw("cat", seed, size=96) for seed in range(SHOWN_ANSWERS + 3)]
    html = model.predict(photos)._repr_html_()
    assert html.count("data:image/jpeg;base64,") == SHOWN_ANSWERS
    assert "and 3 answers more" in html
    assert len(html) < 100_000


def test_what_a_notebook_shows_runs_nothing_and_leads_nowhere(
    model: Predictor, tmp_path: Path
) -> None:
    name = tmp_path / "<script>alert(1)<script>\u202egpj.jpg"
    name.write_bytes(jpeg(draw("cat", 1, size=96)))
    html = model.predict([name, tmp_path / "gone.jpg"])._repr_html_()
    assert "<script" not in html
    assert "\u202e" not in html
    assert "no such file" in html
    assert html.count("<img") == 1
    assert not re.search(r"https?:|href|url\(", html)


def test_of_no_answers_a_notebook_says_so() -> None:
    assert Predictions()._repr_html_() == "<table></table><p>0 answers</p>"


def test_a_model_is_a_card_in_a_notebook(model: Predictor) -> None:
    card = model._repr_html_()
    for words in ("pets", "cat, dog", "lite0", "onnxruntime", "1,172 photos (test photos)"):
        assert words in card
    assert len(card) < 2_000


def test_a_training_and_a_manifest_are_one_line(trained: Trained) -> None:
    assert re.fullmatch(r"Trained\('.*drawn\.fursure', Bundle\('drawn'.*\), .* s\)", repr(trained))
    assert "drawn.fursure" in trained._repr_html_()
    photos = tuple(Photo(path=f"{number}.jpg", label="cat") for number in range(2_000))
    shown = repr(Manifest(root="photos", photos=photos, skipped={}))
    assert shown == "Manifest('photos': 2,000 photos; cat)"


def test_what_commands_return_is_one_line_however_many_photos(
    trained: Trained, drawings: Path
) -> None:
    evaluated = fursure.evaluate(trained.path, drawings, include_seen=True)
    assert re.fullmatch(r"Evaluated\(accuracy .*%\], n = 80; answered .*\)", repr(evaluated))
    checked = fursure.check(drawings)
    assert re.fullmatch(r"Checked\(Manifest\(.*: 80 photos; cat, dog\), \{.*\}\)", repr(checked))


def test_probabilities_are_those_of_the_answers(model: Predictor) -> None:
    photos = [draw("cat", 1, size=96), draw("dog", 2, size=96)]
    probs_NK = model.predict_proba(photos)
    assert model.classes_.tolist() == ["cat", "dog"]
    assert probs_NK.tolist() == [
        list(row.probabilities.values()) for row in model.predict(iter(photos))
    ]
    assert model.predict_proba(photos[0]).tolist() == probs_NK[:1].tolist()


def test_features_and_heat_have_a_row_for_each_photo(model: Predictor) -> None:
    photos = [draw("cat", 1, size=96), draw("dog", 2, size=96)]
    assert model.features(photos).shape == (2, model.bundle.meta.features)
    heat_Nhw = model.heat(photos)
    assert heat_Nhw.shape[0] == 2
    assert heat_Nhw.ndim == 3
    assert np.isfinite(heat_Nhw).all()
    assert [model.predict_proba([]).shape, model.features([]).shape] == [(0, 2), (0, 1280)]


def test_an_array_has_no_place_for_a_photo_that_cannot_be_read(model: Predictor) -> None:
    with pytest.raises(BadImage, match=r"none\.jpg: no such file"):
        model.predict_proba([draw("cat", 1, size=96), "none.jpg"])
    with pytest.raises(TypeError, match="photo 1 is an int"):
        model.features([draw("cat", 1, size=96), 3])


def test_a_model_without_a_map_says_so(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Predictor.batch

    def flat(self: Predictor, photos: list[tuple[str, object]]) -> object:
        predictions, outputs = batch(self, photos)
        return predictions, {name: outputs[name] for name in outputs if name != "heat"}

    monkeypatch.setattr(Predictor, "batch", flat)
    with pytest.raises(EngineFailed, match="'pets' has no output 'heat': only a linear head"):
        model.heat(draw("cat", 1, size=96))
