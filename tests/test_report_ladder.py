"""The table of a ladder, and its picture."""

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from fursure.errors import MissingExtra
from fursure.metrics.answers import Answers, Strangers
from fursure.metrics.ladder import Failed, Point, Rung
from fursure.report.ladder import draw, duration, table

N = 400


def answers(wrong: int) -> Answers:
    correct_N = np.arange(N) >= wrong
    return Answers(correct_N, np.where(correct_N, 0.1, 2.0))


LINEAR = Rung(
    name="linear-probe",
    backbone="lite0",
    answers=answers(20),
    seconds=27,
    megabytes=1.06,
    milliseconds=2.44,
    engine="onnxruntime 1 fp32",
    photos=1_600,
    curve=(Point(50, answers(90)), Point(500, answers(40))),
)
TUNED = replace(LINEAR, name="fine-tune", answers=answers(4), seconds=1_500, curve=())
TITLE = "2,000 photos of 2 classes, 400 of them for test"


def test_the_table_compares_each_recipe_with_the_one_above() -> None:
    head, linear, broken, tuned = table([LINEAR, Failed("vgg16-small", "no weights"), TUNED])
    assert head.split()[:2] == ["recipe", "accuracy"]
    assert linear.startswith("linear-probe  95.00% [92.40%, 96.74%]  0.1950 [0.")
    assert linear.endswith("27 s       2.4  1.1")
    assert broken == "vgg16-small   failed: no weights"
    assert "+4.00 [+2." in tuned
    assert "p < 0.0001" in tuned
    assert tuned.endswith("25.0 min       2.4  1.1")
    assert len(head) == len(linear) == len(tuned)


def test_the_table_has_columns_for_what_else_was_asked() -> None:
    said = Strangers.of(["dog"] * 3 + ["stranger"] * 97)
    rungs = [replace(one, elsewhere=answers(2), strangers=said) for one in (LINEAR, TUNED)]
    head, linear, tuned = table(rungs)
    assert "elsewhere" in head
    assert "strangers labelled" in head
    for line in (linear, tuned):
        assert "  99.50% [" in line
        assert "  3.00% [" in line
    assert len(head) == len(linear) == len(tuned)
    assert "elsewhere" not in table([LINEAR])[0]


def test_a_table_of_failures_alone_has_no_head() -> None:
    assert table([Failed("a", "why"), Failed("long", "so")]) == [
        "a     failed: why",
        "long  failed: so",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.61, "0.6 s"), (9.97, "10 s"), (99.7, "1.7 min"), (600, "10.0 min"), (9_000, "2.5 h")],
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_same_ladder_gives_the_same_picture(kind: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw([LINEAR, TUNED], TITLE, tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_the_picture_is_as_wide_as_a_page_and_its_text_is_text(tmp_path: Path) -> None:
    named = replace(LINEAR, name="a $cheap$ <one>")
    draw([named, TUNED], TITLE, tmp_path / "ladder.svg")
    root = ET.parse(tmp_path / "ladder.svg").getroot()  # noqa: S314 - written a line above
    assert root.get("width") == "600pt"  # 800 pixels
    words = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert TITLE in words
    assert words.count("a $cheap$ <one>") == 2  # at its point, and at the end of its curve
    assert words.count("fine-tune") == 2
    draw([named, TUNED], TITLE, tmp_path / "ladder.png")
    with Image.open(tmp_path / "ladder.png") as picture:
        assert picture.width == 1600
        assert picture.getcolors(maxcolors=picture.width * picture.height) is not None


def test_a_perfect_recipe_and_a_very_long_name_can_be_drawn(tmp_path: Path) -> None:
    perfect = replace(LINEAR, name="x" * 100, answers=answers(0), curve=(Point(50, answers(0)),))
    draw([perfect], TITLE, tmp_path / "ladder.svg")
    assert "x" * 23 + "…" in (tmp_path / "ladder.svg").read_text("utf-8")


def test_without_curves_one_panel_takes_all_the_room(tmp_path: Path) -> None:
    draw([TUNED], TITLE, tmp_path / "ladder.svg")
    text = (tmp_path / "ladder.svg").read_text("utf-8")
    assert "Accuracy, by time to train" in text
    assert "Error, by photos" not in text


def test_a_picture_without_matplotlib_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fursure\[train\]'"):
        draw([LINEAR], TITLE, tmp_path / "ladder.svg")
    assert not list(tmp_path.iterdir())
