"""What a notebook shows of a result: short, escaped, every figure with its interval."""

import re
from pathlib import Path

import pytest
from samples import draw_into

import fursure
from fursure.check.check import Checked
from fursure.check.findings import Finding
from fursure.dataset.manifest import Manifest
from fursure.prediction import Prediction
from fursure.training.train import Trained

CAT = Prediction(
    path="a.jpg", answer="cat", label="cat", confidence=0.9934,
    probabilities={f"c{number}": 0.001 for number in range(99)} | {"cat": 0.9934},
    familiarity=0.5, engine="onnxruntime",
)  # fmt: skip
EVIL = "<script>alert(1)</script>\u202e"


@pytest.mark.parametrize(
    ("prediction", "shown"),
    [
        (CAT, "Prediction('a.jpg': cat, 99.3% sure)"),
        (
            Prediction(path="b.jpg", answer="unsure", label="dog", confidence=0.6),
            "Prediction('b.jpg': unsure, dog 60.0%?)",
        ),
        (
            Prediction(path="c.jpg", answer="stranger", label="dog", confidence=0.9),
            "Prediction('c.jpg': stranger)",
        ),
        (
            Prediction(path="d.jpg", error="no such file"),
            "Prediction('d.jpg': error, no such file)",
        ),
    ],
)
def test_an_answer_is_one_short_line(prediction: Prediction, shown: str) -> None:
    assert repr(prediction) == shown


def test_a_notebook_shows_an_answer_with_the_likeliest_classes() -> None:
    html = CAT._repr_html_()
    assert html.startswith("<strong>cat, 99.3% sure</strong> a.jpg<table><tr><td>cat</td>")
    assert html.count("<tr>") == 5
    assert "<table></table>" in Prediction(path="d.jpg", error="gone")._repr_html_()


def test_nothing_of_a_name_gets_into_the_notebook_as_markup() -> None:
    finding = Finding(kind="blank", paths=(EVIL,), labels=(EVIL,), reason=EVIL)
    checked = Checked(
        manifest=Manifest(root=EVIL, photos=(), skipped={}), findings=(finding,), doubts=None,
        cues=(), corrections=(), notes=(), seconds=0.0, engine="",
    )  # fmt: skip
    named = Prediction(path=EVIL, answer=EVIL, label=EVIL, confidence=1, probabilities={EVIL: 1})
    for html in (checked._repr_html_(), named._repr_html_()):
        assert "<script" not in html
        assert "\u202e" not in html
        assert "&lt;script&gt;" in html


def test_figures_in_a_notebook_have_their_intervals(trained: Trained, drawings: Path) -> None:
    evaluated = fursure.evaluate(trained.path, drawings, include_seen=True)
    html = evaluated._repr_html_()
    accuracy = str(evaluated.evaluation.accuracy)
    assert re.fullmatch(r"[\d.]+% \[[\d.]+%, [\d.]+%\]", accuracy)
    for words in ("80 photos: cat, dog", accuracy, "log loss", str(evaluated.answered)):
        assert words in html
    assert len(html) < 3_000
    table = evaluated.evaluation._repr_html_()
    assert accuracy in table
    assert "true class / answer" in table
    assert repr(evaluated.evaluation) == f"Evaluation(accuracy {accuracy}, n = 80; cat, dog)"


def test_what_a_check_found_is_shown_by_kind_the_worst_of_each(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=12)
    (folder / "cat" / "broken.jpg").write_bytes(b"no photo")
    checked = fursure.check(folder)
    html = checked._repr_html_()
    assert f"25 photos, {len(checked.findings)} finding" in html
    assert "cannot be read</th>" in html
    assert "1; the worst: cat/broken.jpg: " in html
    assert len(html) < 3_000


def test_a_split_is_shown_by_part(drawings: Path, tmp_path: Path) -> None:
    divided = fursure.split(drawings, tmp_path / "out", {"train": 0.5, "test": 0.5})
    counts = divided.counts()
    assert sum(sum(part.values()) for part in counts.values()) == 80
    assert f"cat {counts['train']['cat']}, dog {counts['train']['dog']}" in divided._repr_html_()
    assert re.fullmatch(r"Divided\('.*out': train \d+, test \d+\)", repr(divided))
