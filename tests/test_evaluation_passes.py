"""Curves of training and validation on the report page."""

from typing import Any

from fursure.evaluation.passes import training_charts


def epochs(*losses: float, run: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "run": run,
            "stage": 1,
            "number": number,
            "train_loss": None if number == 0 else loss / 2,
            "val_loss": loss,
            "val_accuracy": 0.9,
        }
        for number, loss in enumerate(losses)
    ]


def steps(name: str, *knobs: float) -> list[dict[str, Any]]:
    return [
        {
            "knob": knob,
            "name": f"{name} {knob:g}",
            "validation_log_loss": knob,
            "validation_accuracy": 0.75,
            "training_log_loss": knob / 2,
        }
        for knob in knobs
    ]


def test_a_network_has_a_curve_of_both_losses_and_one_of_accuracy() -> None:
    (loss, drawn, note), (accuracy, _, _) = training_charts({"epochs": epochs(0.4, 0.2, 0.3)})
    assert (loss, accuracy) == ("Log loss", "Validation accuracy")
    assert "Validation was lowest at pass 1." in note
    assert drawn.count("<circle") == 3 + 2  # before the first pass nothing is learned from
    assert ">validation</text>" in drawn
    assert ">training</text>" in drawn


def test_each_run_has_its_own() -> None:
    both = epochs(0.4, 0.2) + epochs(0.5, 0.1, run=2)
    titles = [title for title, _, _ in training_charts({"epochs": both})]
    assert titles[::2] == ["Log loss, run 1", "Log loss, run 2"]


def test_a_head_alone_is_drawn_by_its_passes_or_strengths() -> None:
    drawn = training_charts({"curve": steps("strength", 1.0, 0.1, 0.01), "epochs": []})
    assert [title for title, _, _ in drawn] == [
        "Log loss of the head",
        "Validation accuracy of the head",
    ]
    assert "Validation was lowest at strength 0.01." in drawn[0][2]
    assert ">strength</text>" in drawn[0][1]
    assert ">pass</text>" in training_charts({"curve": steps("pass", 1, 2)})[0][1]


def test_one_step_is_no_curve_and_what_an_older_version_left_out_is_not_drawn() -> None:
    assert not training_charts({"curve": steps("strength", 1.0), "epochs": []})
    assert not training_charts({})
    old = [{"knob": 1.0, "validation_log_loss": 0.2}, {"knob": 0.1, "validation_log_loss": 0.1}]
    (chart,) = training_charts({"curve": old})
    assert ">training</text>" not in chart[1]
