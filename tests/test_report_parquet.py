"""`fursure predict --parquet`: the table of --csv for other tools, whole and continued."""

import csv
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from console import fursure
from pyarrow import parquet
from samples import draw_into

import fursure as package
from fursure.errors import OutputExists
from fursure.prediction import Prediction
from fursure.report.parquet import SEGMENT, ParquetTable

MADE_BY = {"model": "m", "photos": ["p"]}
LABELS = ["cat", "dog"]


def row(name: str, error: str | None = None) -> Prediction:
    if error:
        return Prediction(path=name, error=error)
    probs = {"cat": 0.75, "dog": 0.25}
    return Prediction(
        path=name, answer="cat", label="cat", confidence=0.75, probabilities=probs,
        familiarity=0.5, engine="onnxruntime 1 fp32",
    )  # fmt: skip


def table(path: Path, **knobs: Any) -> ParquetTable:
    given: dict[str, Any] = {"made_by": MADE_BY, "overwrite": False} | knobs
    return ParquetTable(path, LABELS, **given)


def interrupted(path: Path, name: str) -> None:
    """Write one row and leave as Ctrl-C does."""
    rows = table(path)
    with suppress(KeyboardInterrupt), rows:
        rows(row(name), None)
        raise KeyboardInterrupt


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = draw_into(tmp_path / "photos", count=2)
    (folder / "cat" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    return folder


def test_the_rows_are_those_of_the_csv(photos: Path, tmp_path: Path) -> None:
    runs = [
        fursure("predict", f"--{kind}", tmp_path / f"all.{kind}", photos, "-q")
        for kind in ("csv", "parquet")
    ]
    assert [run.returncode for run in runs] == [3, 3]
    assert runs[1].stdout == f"{tmp_path / 'all.parquet'}\n"
    written = polars.read_parquet(tmp_path / "all.parquet")
    with (tmp_path / "all.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert written.columns == list(expected[0])
    for ours, theirs in zip(written.to_dicts(), expected, strict=True):
        assert ours["path"] == theirs["path"]
        assert ours["answer"] == (theirs["answer"] or None)
        assert (ours["error"] is None) == (theirs["error"] == "")
        if theirs["confidence"]:
            assert ours["p_cat"] == pytest.approx(float(theirs["p_cat"]), abs=1e-6)
    assert sorted(path.name for path in tmp_path.glob("all*")) == ["all.csv", "all.parquet"]


def test_features_are_those_of_python(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    fursure("predict", "--parquet", path, "--features", photos)
    rows = parquet.read_table(path).to_pylist()
    model = package.load()
    good = [row for row in rows if row["error"] is None]
    assert [row["features"] for row in rows if row["error"]] == [None]
    theirs_ND = model.features([row["path"] for row in good])
    assert np.array([row["features"] for row in good]) == pytest.approx(theirs_ND, abs=1e-5)
    again = fursure("predict", "--parquet", path, "--features", photos)
    assert "nothing to do" in again.stderr
    assert fursure("predict", "--parquet", path, photos).returncode == 1  # without: another table


def test_an_interrupted_run_goes_on_after_its_last_whole_part(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    first = table(path)
    names = [f"{number}.jpg" for number in range(SEGMENT + 3)]
    for name in names:
        first(row(name, "torn" if name == "7.jpg" else None), None)
    assert not path.exists()  # and then it is killed: what waited is lost
    second = table(path)
    assert (second.rows_before, second.failed_before) == (SEGMENT, 1)
    left = [name for name in names if not second.has(name)]
    assert left == names[SEGMENT:]
    with second:
        for name in left:
            second(row(name), None)
    written = polars.read_parquet(path)
    assert written["path"].to_list() == names
    assert written["answer"].null_count() == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.parquet"]


def test_an_error_keeps_what_was_answered(tmp_path: Path) -> None:
    interrupted(tmp_path / "t.parquet", "a.jpg")
    assert not (tmp_path / "t.parquet").exists()
    assert table(tmp_path / "t.parquet").has("a.jpg")


def test_a_photo_that_was_named_twice_has_two_rows(tmp_path: Path) -> None:
    interrupted(tmp_path / "t.parquet", "a.jpg")
    again = table(tmp_path / "t.parquet")
    assert [again.has("a.jpg"), again.has("a.jpg")] == [True, False]


def test_another_model_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    interrupted(path, "a.jpg")
    assert table(path, made_by={"model": "other"}).rows_before == 0


def test_what_somebody_put_into_the_folder_stays(tmp_path: Path) -> None:
    with table(tmp_path / "t.parquet") as rows:
        (tmp_path / "t.parquet.part" / "mine.txt").write_text("notes")
        rows(row("a.jpg"), None)
    assert (tmp_path / "t.parquet.part" / "mine.txt").read_text() == "notes"
    assert len(parquet.read_table(tmp_path / "t.parquet")) == 1


def test_a_finished_table_is_not_replaced_unasked(tmp_path: Path) -> None:
    with table(tmp_path / "t.parquet") as rows:
        rows(row("a.jpg"), None)
    with pytest.raises(OutputExists):
        table(tmp_path / "t.parquet")
    with table(tmp_path / "t.parquet", overwrite=True) as rows:
        rows(row("b.jpg"), None)
    assert parquet.read_table(tmp_path / "t.parquet")["path"].to_pylist() == ["b.jpg"]


def test_many_rows_are_read_in_few_groups_and_have_one_type(tmp_path: Path) -> None:
    with table(tmp_path / "t.parquet", features=3) as rows:
        for number in range(3 * SEGMENT):
            bad = number < SEGMENT  # a whole part without an answer
            features = None if bad else np.full(3, number, np.float32)
            rows(row(f"{number}.jpg", "torn" if bad else None), features)
    file = parquet.ParquetFile(tmp_path / "t.parquet")
    assert file.num_row_groups == 1
    assert file.schema_arrow.field("p_dog").type == "double"
    assert file.read()["features"][-1].as_py() == [3 * SEGMENT - 1] * 3


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--csv", "a.csv", "--parquet", "a.parquet"], "run it twice for both"),
        (["--features"], "--features go into the table of --parquet"),
    ],
)
def test_what_says_nothing_together_is_wrong_usage(flags: list[str], words: str) -> None:
    run = fursure("predict", *flags, "a.jpg")
    assert run.returncode == 2
    assert words in run.stderr


def test_without_pyarrow_the_extra_is_named(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    run = fursure("predict", "--parquet", tmp_path / "a.parquet", photos)
    assert run.returncode == 1
    assert "a Parquet table needs the extra 'tables'" in run.stderr
