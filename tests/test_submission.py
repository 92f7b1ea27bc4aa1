"""`fursure predict --submission`: what a competition wants, from its own sample."""

import csv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from console import fursure

import fursure as package
from fursure.bundle.named import shipped
from fursure.commands.submission import Sample, Submission, clip_of
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadData
from fursure.prediction import Prediction
from fursure.sureness.risk import Risk, RiskTable

CLIP = 0.5 / 536  # of pets: no mistake among its 535 surest photos of validation


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a folder as Kaggle's Redux gives it: a sample and an archive of numbered photos."""
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for number in (1, 2, 10):
            kind = "dog" if number == 2 else "cat"
            archive.writestr(f"test/{number}.jpg", jpeg(draw(kind, number, size=96)))  # type: ignore[arg-type]
        archive.writestr("test/3.jpg", b"\xff\xd8\xff\xe0 torn")
    (tmp_path / "sample.csv").write_text("id,label\r\n10,0.5\r\n2,0.5\r\n1,0.5\r\n")
    return tmp_path


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def sample(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_file_has_the_samples_ids_in_its_order_and_the_chance_of_a_dog(desk: Path) -> None:
    run = fursure("predict", "test.zip", "--submission", "sample.csv", "--csv", "out.csv", cwd=desk)
    assert run.stdout == "out.csv\n"
    header, *rows = read(desk / "out.csv")
    assert header == ["id", "label"]
    assert [row[0] for row in rows] == ["10", "2", "1"]
    model = package.load()
    with zipfile.ZipFile(desk / "test.zip") as archive:
        photos = [archive.read(f"test/{row[0]}.jpg") for row in rows]
    for row, probs_K in zip(rows, model.predict_proba(photos), strict=True):
        assert float(row[1]) == pytest.approx(min(max(probs_K[1], CLIP), 1 - CLIP), abs=1e-6)
    assert "probabilities of 'dog', at least 0.00093 away from 0 and 1" in run.stderr
    assert "1 photo is not asked for: left out" in run.stderr


def test_an_id_without_an_answer_has_even_odds_and_is_told(desk: Path) -> None:
    sample(desk / "sample.csv", "id,label\n1,0.5\n3,0.5\n77,0.5\n")
    run = fursure("predict", "test.zip", "--submission", "sample.csv", "--csv", "out.csv", cwd=desk)
    assert run.returncode == 3
    assert [row[1] for row in read(desk / "out.csv")[2:]] == ["0.500000", "0.500000"]
    assert "2 ids have no photo with an answer: even odds" in run.stderr


def test_the_same_command_again_is_done_and_another_is_refused(desk: Path) -> None:
    line = ("predict", "test.zip", "--submission", "sample.csv", "--csv", "out.csv")
    fursure(*line, cwd=desk)
    assert "nothing to do" in fursure(*line, cwd=desk).stderr
    other = fursure(*line, "--of", "cat", cwd=desk)
    assert (other.returncode, "already exists" in other.stderr) == (1, True)
    assert fursure(*line, "--of", "cat", "--overwrite", cwd=desk).returncode == 3


LABELS = ("cat", "dog", "horse")


@pytest.mark.parametrize(
    ("text", "labels", "of", "classes"),
    [
        ("id,label\n1,0\n", LABELS[:2], None, ("dog",)),
        ("id,label\n1,0\n", LABELS[:2], "cat", ("cat",)),
        ("id,Cat\n1,0\n", LABELS, None, ("cat",)),
        ("\ufeffid,horse,cat,dog\n1,0,0,0\n", LABELS, None, ("horse", "cat", "dog")),
        ("file,p\na.jpg,0\n", LABELS, "horse", ("horse",)),
    ],
)
def test_the_columns_say_whose_probabilities(
    text: str, labels: tuple[str, ...], of: str | None, classes: tuple[str, ...], tmp_path: Path
) -> None:
    assert Sample.read(sample(tmp_path / "s.csv", text), labels, of).classes == classes


@pytest.mark.parametrize(
    ("text", "of", "words"),
    [
        ("", None, "no sample of a submission; needed are lines like 'id,label'"),
        ("id\n1\n", None, "needed are lines like"),
        ("id,label\n", None, "needed are lines like"),
        ("id,label\n1,0\n1,0\n", "cat", "has 1 id twice"),
        ("id,label\n1,0\n", None, "the column 'label', and the classes are 'cat', 'dog', 'horse'"),
        ("id,cat,fish\n1,0,0\n", None, "the column 'fish'"),
        ("id,label\n1,0\n", "fish", "--of fish: .* the classes are 'cat'"),
        ("id,a,b\n1,0,0\n", "cat", "has 2 columns of probabilities"),
    ],
)
def test_a_sample_that_cannot_be_filled_is_told(
    text: str, of: str | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadData, match=words):
        Sample.read(sample(tmp_path / "s.csv", text), LABELS, of)


def test_a_sample_that_is_not_there_is_told_without_numbers(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no\.csv cannot be read \(No such file or directory\)\.$"):
        Sample.read(tmp_path / "no.csv", LABELS, None)


def test_several_columns_are_clipped_and_sum_to_one(tmp_path: Path) -> None:
    bundle = shipped("pets")
    bundle = replace(bundle, meta=replace(bundle.meta, labels=LABELS))
    form = Sample.read(sample(tmp_path / "s.csv", "id,dog,cat,horse\n1,0,0,0\n"), LABELS, None)
    with Submission(tmp_path / "o.csv", form, bundle, made_by={}, overwrite=False) as out:
        probs = {"cat": 1.0, "dog": 0.0, "horse": 0.0}
        out(Prediction(path="a/1.png", probabilities=probs))
    numbers = [float(cell) for cell in read(tmp_path / "o.csv")[1][1:]]
    assert sum(numbers) == pytest.approx(1, abs=2e-6)
    assert numbers == pytest.approx([CLIP / 2, 1 - CLIP, CLIP / 2], abs=1e-6)


def table(*rows: tuple[float | None, int, int]) -> RiskTable:
    return RiskTable(
        rows=tuple(
            Risk(max_error=0.01, threshold=at, accepted=n, errors=k, bound=None, needed=None)
            for at, n, k in rows
        ),
        n=100,
        delta=0.1,
    )


def test_the_clip_is_what_validation_could_not_rule_out() -> None:
    assert clip_of(shipped("pets").meta.risks) == pytest.approx(CLIP)
    assert clip_of(table((0.9, 99, 1), (0.8, 120, 5))) == pytest.approx(1.5 / 100)
    assert clip_of(table((None, 0, 0))) == 0.02


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--submission", "s.csv"], "name the file to write: --csv FILE"),
        (["--of", "cat"], "--of says nothing without --submission"),
    ],
)
def test_what_says_nothing_alone_is_wrong_usage(flags: list[str], words: str) -> None:
    run = fursure("predict", *flags, "a.jpg")
    assert run.returncode == 2
    assert words in run.stderr
