"""Sentences of verdict: good is what is good at the worse end of its interval too."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fursure.bundle.named import shipped
from fursure.metrics.classification import Evaluation, score_probs
from fursure.metrics.intervals import Estimate, proportion
from fursure.report.verdict import Reason, headline, reasons
from fursure.sureness.risk import risk_table


def calibrated(count: int, *, wrong: int = 0, confidence: float = 0.98) -> Evaluation:
    """Return the figures of two classes, ``wrong`` photos of the first mistaken."""
    labels_N = np.arange(count) % 2
    answers_N = np.where(np.arange(count) < 2 * wrong, 1, labels_N)
    probs_NK = np.full((count, 2), 1 - confidence)
    probs_NK[np.arange(count), answers_N] = confidence
    return score_probs(probs_NK, labels_N, ("cat", "dog"))


def off_by(evaluation: Evaluation, error: Estimate) -> Evaluation:
    """Return the figures with another calibration error."""
    return replace(evaluation, figures={**evaluation.figures, "calibration_error": error})


def said(
    evaluation: Evaluation,
    *,
    answered_wrong: Estimate | None = None,
    strangers: Estimate | None = None,
) -> list[Reason]:
    """Return the reasons; 1 % of wrong answers was promised."""
    n = evaluation.n
    risks = risk_table(np.full(1000, 0.99), np.ones(1000, bool))
    return reasons(
        evaluation,
        replace(shipped("pets").meta, risks=risks, max_error=0.01),
        basis="photos",
        answered=proportion(n, n),
        answered_wrong=answered_wrong or proportion(0, n),
        strangers=strangers or proportion(0, n),
    )


def test_48_photos_without_a_mistake_make_nothing_good() -> None:
    found = said(calibrated(48))
    skill, _, sureness, promise, familiarity, weakest = found
    assert skill.level == "good"  # so many right answers are no chance
    assert "on more photos, up to 15%" in skill.text
    assert (
        "48 photos are too few to tell whether its confidence means what it says" in sureness.text
    )
    assert "too few answers to tell" in promise.text
    assert "too few photos to tell" in familiarity.text
    assert "too few to tell whether it is weaker there" in weakest.text
    assert [one.level for one in (sureness, promise, familiarity, weakest)] == ["fair"] * 4


def test_one_photo_is_spoken_of_as_one() -> None:
    one = calibrated(1)
    told = [headline(one, "photos it had not seen"), *(reason.text for reason in said(one))]
    assert told[0].startswith("On 1 photo it had not seen it named")
    assert not [text for text in told if re.search(r"\b1 [a-z ]*photos", text)]


def test_thousands_of_photos_earn_their_good_words() -> None:
    found = said(calibrated(4000, wrong=80), answered_wrong=proportion(16, 4000))
    assert {one.level for one in found} == {"good"}
    assert any("means what it says, to within" in one.text for one in found)
    assert any("and that holds" in one.text for one in found)


def test_a_wide_open_calibration_error_is_never_called_good() -> None:
    wide = off_by(calibrated(100), Estimate(0.286, 0.0, 0.475, 20))
    sureness = said(wide)[2]
    assert sureness.level == "fair"
    assert "too few to tell" in sureness.text
    assert "up to 47.5%" in sureness.text


@pytest.mark.parametrize(("low", "level"), [(0.02, "fair"), (0.12, "poor")])
def test_a_calibration_error_beyond_chance_is_told(low: float, level: str) -> None:
    off = off_by(calibrated(1000), Estimate(0.15, low, 0.2, 1000))
    sureness = said(off)[2]
    assert sureness.level == level
    assert "off by 15.0% on average" in sureness.text


def test_a_promise_broken_beyond_chance_is_poor() -> None:
    promise = said(calibrated(1000), answered_wrong=proportion(40, 1000))[3]
    assert promise.level == "poor"
    assert "not kept" in promise.text
