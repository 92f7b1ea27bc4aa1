"""Which recipe to keep, by figures made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fursure.metrics.answers import Answers, StrangerAnswers
from fursure.metrics.ladder import (
    CurvePoint,
    Rung,
    difference,
    enough_photos,
    holm,
    twice,
    verdict,
)

N = 2_000


def answers(*wrong: range, loss: float = 0.1) -> Answers:
    """Return answers of which those at ``wrong`` are wrong."""
    correct_N = np.ones(N, bool)
    for rows in wrong:
        correct_N[rows.start : rows.stop] = False
    return Answers(correct_N, np.where(correct_N, loss, 2.0))


def rung(
    name: str,
    found: Answers,
    *,
    minutes: float,
    curve: tuple[CurvePoint, ...] = (),
    megabytes: float = 1.0,
    elsewhere: Answers | None = None,
    strangers: StrangerAnswers | None = None,
) -> Rung:
    return Rung(
        name=name,
        backbone="lite0",
        answers=found,
        seconds=60 * minutes,
        megabytes=megabytes,
        milliseconds=2.0,
        engine="onnxruntime 1 fp32",
        photos=9_000,
        curve=curve,
        elsewhere=elsewhere,
        strangers=strangers,
    )


LINEAR = rung("linear-probe", answers(range(60)), minutes=1)  # 97.0 %


def test_holm_agrees_with_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_answers_are_what_the_probabilities_say() -> None:
    probs_NK = np.array([[0.9, 0.1], [0.4, 0.6], [0.25, 0.75]])
    found = Answers.of(probs_NK, np.array([0, 0, 1]))
    assert found.correct_N.tolist() == [True, False, True]
    assert found.losses_N == pytest.approx(-np.log([0.9, 0.4, 0.75]), abs=1e-6)
    again = Answers.from_json(found.to_json())
    assert np.array_equal(again.correct_N, found.correct_N)
    assert np.array_equal(again.losses_N, found.losses_N)
    assert found.to_json()["correct"] == "101"


def test_a_clear_gain_is_worth_its_time() -> None:
    tuned = rung("fine-tune", answers(range(20)), minutes=25)  # 99.0 %, right on 40 more
    found = verdict([tuned, LINEAR])
    assert found.kept is tuned
    (sentence, kept) = found.sentences
    assert sentence.startswith("fine-tune adds 2.0 points [+1.")
    assert "to linear-probe (p < 0.0001; log loss -0." in sentence
    assert sentence.endswith("for 25x the time: worth it where accuracy counts.")
    assert kept.startswith("Kept: fine-tune, 99.00% [")


def test_a_gain_that_may_be_chance_is_not() -> None:
    tuned = rung("fine-tune", answers(range(10, 66)), minutes=40)  # 10 gained, 6 lost
    found = verdict([LINEAR, tuned])
    assert found.kept is LINEAR
    assert "adds 0.2 points [-0." in found.sentences[0]
    assert "p = 0.45, not significant" in found.sentences[0]  # 2 (C(16,0)+…+C(16,6)) / 2^16
    assert found.sentences[0].endswith("for 40x the time: keep linear-probe.")


def test_what_is_slower_and_worse_is_not_kept_however_significant() -> None:
    worse = rung("scratch-cnn", answers(range(200)), minutes=1.1)
    found = verdict([LINEAR, worse])
    assert found.kept is LINEAR
    assert found.sentences[0].startswith("scratch-cnn loses 7.0 points [")
    assert found.sentences[0].endswith("in about the same time: keep linear-probe.")


def test_what_is_right_as_often_is_said_to_be() -> None:
    same = rung("mlp-probe", answers(range(5, 65)), minutes=2)
    assert (
        "is right as often as linear-probe, 0.0 points [-" in verdict([LINEAR, same]).sentences[0]
    )


@pytest.mark.parametrize("seconds", [0.4, -0.4])
def test_a_tie_is_never_settled_by_the_clock(seconds: float) -> None:
    surer = rung("surer", answers(range(60), loss=0.05), minutes=1 + seconds / 60, megabytes=9.0)
    found = verdict([surer, LINEAR])
    assert found.kept is surer
    assert found.sentences[0].endswith(
        "in about the same time: a tie, so the lower log loss decides: keep surer."
    )
    larger = rung("larger", answers(range(5, 65)), minutes=1 + seconds / 60, megabytes=2.0)
    found = verdict([LINEAR, larger])
    assert found.kept is LINEAR
    assert "a tie, so the smaller model decides: keep linear-probe." in found.sentences[0]


def test_a_lower_log_loss_alone_is_not_worth_forty_times_the_time() -> None:
    surer = rung("surer", answers(range(60), loss=0.05), minutes=40)
    found = verdict([surer, LINEAR])
    assert found.kept is LINEAR
    assert not found.steps[0].tie


def test_each_step_is_taken_from_the_best_one_so_far() -> None:
    middle = rung("quick-tune", answers(range(30)), minutes=5)
    last = rung("fine-tune", answers(range(28)), minutes=50)  # hardly better than the middle
    found = verdict([last, middle, LINEAR])
    assert [(one.kept.name, one.rung.name, one.better) for one in found.steps] == [
        ("linear-probe", "quick-tune", True),
        ("quick-tune", "fine-tune", False),
    ]
    assert found.kept is middle
    assert found.pairs == 3
    assert found.sentences[-1] == "Each p is McNemar's, adjusted after Holm for all 3 pairs."


def test_many_comparisons_make_a_small_p_less_telling() -> None:
    better = rung("fine-tune", answers(range(10, 62)), minutes=9)  # 10 gained, 2 lost: p = 0.039
    alone = verdict([LINEAR, better])
    assert alone.steps[0].p_value == pytest.approx(0.0386, abs=1e-4)
    assert alone.kept is better
    others = [rung(f"other{n}", answers(range(n, 60 + n)), minutes=2) for n in range(1, 4)]
    crowd = verdict([LINEAR, better, *others])
    assert crowd.steps[-1].p_value > 0.05
    assert crowd.kept is LINEAR


def test_one_recipe_is_kept_without_a_step() -> None:
    found = verdict([LINEAR])
    assert (found.kept, found.steps, found.sentences) == (LINEAR, (), ())


def test_fewer_photos_do_where_they_cannot_cost_a_point() -> None:
    curve = (
        CurvePoint(100, answers(range(400))),
        CurvePoint(1_000, answers(range(61))),
        CurvePoint(5_000, answers(range(60))),
    )
    assert enough_photos(rung("linear-probe", answers(range(60)), minutes=1, curve=curve)) == (
        "1,000 photos would do: linear-probe learns 97.0% from them and 97.0% from all 9,000 "
        "(log loss 0.158 and 0.157); the interval of the difference ends at -0.3 points."
    )


def test_photos_that_still_help_are_said_to() -> None:
    curve = (CurvePoint(100, answers(range(400))), CurvePoint(5_000, answers(range(120))))
    told = enough_photos(rung("linear-probe", answers(range(60)), minutes=1, curve=curve))
    assert told == (
        "More photos still help linear-probe: 5,000 give 94.0%, all 9,000 give 97.0% (p < 0.0001)."
    )


def test_too_few_test_photos_tell_neither() -> None:
    curve = (CurvePoint(5_000, answers(range(30, 105))),)  # 45 lost, 30 gained
    told = enough_photos(rung("linear-probe", answers(range(60)), minutes=1, curve=curve))
    assert told.startswith("Whether linear-probe needs all 9,000 photos, 2,000 test photos cannot")


def test_a_recipe_without_a_curve_says_nothing_of_photos() -> None:
    assert enough_photos(LINEAR) == ""
    assert twice(LINEAR) == ""


def falling(step: float, *, noise: float = 0.0) -> Rung:
    """Return a rung whose log loss falls by ``step`` with every doubling of its photos."""
    generator = np.random.default_rng(0)

    def point(photos: int) -> Answers:
        losses_N = 1.0 - step * np.log2(photos) + generator.normal(0, noise, N)
        return Answers(np.ones(N, bool), losses_N)

    far = CurvePoint(10, answers(range(1_000)))  # too few photos to count
    curve = (far, *(CurvePoint(photos, point(photos)) for photos in (1_125, 2_250, 4_500)))
    return rung("linear-probe", point(9_000), minutes=1, curve=curve)


def test_what_twice_the_photos_bring_goes_on_from_the_last_points() -> None:
    assert twice(falling(0.01)).startswith(
        "Twice the 9,000 photos would change the log loss of linear-probe by -0.0100 [-0.01"
    )
    assert twice(falling(0.0, noise=0.1)).endswith("in a line, which may be nothing.")
    alone = falling(0.01)
    assert twice(replace(alone, curve=alone.curve[-1:])) == ""  # two points make no line


def test_only_answers_to_the_same_photos_are_compared() -> None:
    other = Answers(np.ones(3, bool), np.ones(3))
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(LINEAR.answers, other)


def said(labelled: int, called: int = 150, of: int = 200) -> StrangerAnswers:
    words = ["cat"] * labelled + ["stranger"] * called
    return StrangerAnswers.of(words + ["unsure"] * (of - len(words)))


def test_what_is_said_of_strangers_is_counted_and_kept() -> None:
    found = said(labelled=30)
    assert (found.labelled.value, found.called.value) == (0.15, 0.75)
    again = StrangerAnswers.from_json(found.to_json())
    assert (again.labelled_S == found.labelled_S).all()
    assert (again.called_S == found.called_S).all()


def test_a_recipe_that_labels_strangers_is_not_worth_its_accuracy() -> None:
    linear = rung("linear-probe", answers(range(60)), minutes=1, strangers=said(8))
    tuned = rung("fine-tune", answers(range(10)), minutes=40, strangers=said(36))
    found = verdict([linear, tuned])
    assert found.kept is linear
    [told, *_] = found.sentences
    assert "a label to 18.0% of the strangers instead of 4.0% (p < 0.0001), so keep lin" in told
    assert verdict([linear, rung("b", answers(range(10)), minutes=40, strangers=said(9))]).kept != (
        linear
    )


def test_a_recipe_that_is_worse_elsewhere_is_not_worth_its_accuracy() -> None:
    sharp, blunt = answers(range(20), loss=0.02), answers(range(60), loss=0.03)
    linear = rung("linear-probe", answers(range(60)), minutes=1, elsewhere=sharp)
    tuned = rung("fine-tune", answers(range(10)), minutes=40, elsewhere=blunt)
    found = verdict([linear, tuned])
    assert found.kept is linear
    assert "less right of photos of another origin (log loss +0.0" in found.sentences[0]
    other = Answers(blunt.correct_N[:9], blunt.losses_N[:9])  # cannot be compared one by one
    assert verdict([linear, replace(tuned, elsewhere=other)]).kept.name == "fine-tune"
