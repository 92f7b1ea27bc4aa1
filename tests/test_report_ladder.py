"""The table of a ladder, and its picture."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from fursure.metrics.answers import Answers, StrangerAnswers
from fursure.metrics.ladder import CurvePoint, Failed, Rung
from fursure.report.charts import HEIGHT
from fursure.report.ladder import duration, ladder_table, picture

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
    curve=(CurvePoint(50, answers(90)), CurvePoint(500, answers(40))),
)
TUNED = replace(LINEAR, name="fine-tune", answers=answers(4), seconds=1_500, curve=())
TITLE = "2,000 photos of 2 classes, 400 of them for test"


def test_the_table_compares_each_recipe_with_the_one_above() -> None:
    head, linear, broken, tuned = ladder_table([LINEAR, Failed("vgg16-small", "no weights"), TUNED])
    assert head.split()[:2] == ["recipe", "accuracy"]
    assert linear.startswith("linear-probe  95.00% [92.40%, 96.74%]  0.1950 [0.")
    assert linear.endswith("27 s       2.4  1.1")
    assert broken == "vgg16-small   failed: no weights"
    assert "+4.00 [+2." in tuned
    assert "p < 0.0001" in tuned
    assert tuned.endswith("25.0 min       2.4  1.1")
    assert len(head) == len(linear) == len(tuned)


def test_the_table_has_columns_for_what_else_was_asked() -> None:
    said = StrangerAnswers.of(["dog"] * 3 + ["stranger"] * 97)
    rungs = [replace(one, elsewhere=answers(2), strangers=said) for one in (LINEAR, TUNED)]
    head, linear, tuned = ladder_table(rungs)
    assert "elsewhere" in head
    assert "strangers labelled" in head
    for line in (linear, tuned):
        assert "  99.50% [" in line
        assert "  3.00% [" in line
    assert len(head) == len(linear) == len(tuned)
    assert "elsewhere" not in ladder_table([LINEAR])[0]


def test_a_table_of_failures_alone_has_no_head() -> None:
    assert ladder_table([Failed("a", "why"), Failed("long", "so")]) == [
        "a     failed: why",
        "long  failed: so",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.61, "0.6 s"), (9.97, "10 s"), (99.7, "1.7 min"), (600, "10.0 min"), (9_000, "2.5 h")],
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


SVG = "{http://www.w3.org/2000/svg}"


def drawn(*rungs: Rung) -> ET.Element:
    return ET.fromstring(picture(rungs, TITLE))  # noqa: S314 - drawn here


def words(root: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_the_same_ladder_gives_the_same_picture() -> None:
    assert picture([LINEAR, TUNED], TITLE) == picture([LINEAR, TUNED], TITLE)


def test_the_picture_is_one_whole_file_whose_text_is_text() -> None:
    said = words(drawn(replace(LINEAR, name="a $cheap$ <one>"), TUNED))
    assert TITLE in said
    assert said.count("a $cheap$ <one>") == 2  # beside either chart
    assert said.count("fine-tune") == 2
    assert {"30 s", "30 min", "100 %"} <= set(said)  # times and shares as people say them
    assert {"photos to learn from", "error"} <= set(said)


def test_names_in_the_picture_lie_apart_and_inside_it() -> None:
    root = drawn(*(replace(LINEAR, name=f"alike-{number}", curve=()) for number in range(9)))
    heights = sorted(
        float(text.get("y", "0"))
        for text in root.iter(f"{SVG}text")
        if "alike" in (text.text or "")
    )
    assert len(heights) == 9
    assert min(np.diff(heights)) >= 12
    assert heights[-1] < HEIGHT


def test_a_perfect_recipe_and_a_very_long_name_can_be_drawn() -> None:
    perfect = replace(
        LINEAR, name="x" * 100, answers=answers(0), curve=(CurvePoint(50, answers(0)),)
    )
    assert "x" * 23 + "…" in words(drawn(perfect))


def test_a_name_that_no_xml_may_hold_is_escaped() -> None:
    assert "\\x07bell" in words(drawn(replace(TUNED, name="\x07bell")))


def test_without_curves_there_is_one_chart() -> None:
    said = words(drawn(TUNED))
    assert "time to train" in said
    assert "photos to learn from" not in said
