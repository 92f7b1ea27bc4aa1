"""Two models on the same photos: against SciPy, published intervals, and by coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fursure.metrics.paired import accuracy_difference, compare_paired, mcnemar

Answers = NDArray[np.bool_]


def answers(b: int, c: int, n: int) -> tuple[Answers, Answers]:
    """Return two models' answers to n photos, b right by A only and c by B only."""
    right_a, right_b = np.ones(n, bool), np.ones(n, bool)
    right_b[:b] = False
    right_a[b : b + c] = False
    return right_a, right_b


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_exact_binomial_test(b: int, c: int) -> None:
    found = mcnemar(*answers(b, c, b + c + 5))
    assert (found.b, found.c) == (b, c)
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_mcnemar_stays_exact_on_many_photos() -> None:
    found = mcnemar(*answers(20_400, 20_000, 100_000))
    assert found.p_value == pytest.approx(stats.binomtest(20_400, 40_400).pvalue, rel=1e-6)


def test_the_paired_interval_agrees_with_a_published_one() -> None:
    # airway hyper-responsiveness before and after (Bentur et al. 2009), Tango's interval as in
    # Fagerland, Lydersen and Laake, Stat. Med. 2014: 8 and 2 of 21, difference -0.286
    found = accuracy_difference(*answers(7, 1, 21))
    assert found.value == pytest.approx(-6 / 21)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_the_paired_interval_excludes_zero_just_when_the_score_test_rejects() -> None:
    for b in range(30):
        found = accuracy_difference(*answers(b, 10, 500))
        assert (found.low > 0 or found.high < 0) == ((b - 10) ** 2 / (b + 10) > 3.8415)


def test_models_that_never_differ_still_leave_doubt() -> None:
    found = accuracy_difference(*answers(0, 0, 50))
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(3.8415 / (50 + 3.8415), abs=1e-4)


def test_the_paired_interval_stays_inside_its_range() -> None:
    found = accuracy_difference(*answers(50, 0, 50))
    assert (found.value, found.low) == (-1.0, -1.0)
    assert -1 < found.high < -0.8


def test_paired_intervals_cover_the_truth() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        b, c, _same = rng.multinomial(300, [0.01, 0.03, 0.96])
        found = accuracy_difference(*answers(int(b), int(c), 300))
        covered += found.low <= 0.02 <= found.high
    assert covered >= 366  # 380 expected, 3 standard deviations are 13


def test_unpaired_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(ValueError, match="no photos"):
        accuracy_difference(np.ones(0, bool), np.ones(0, bool))


def certain(right_N: Answers, labels_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return probabilities of 90 % for an answer that is right or wrong as asked."""
    answer_N = np.where(right_N, labels_N, 1 - labels_N)
    return np.where(np.arange(2) == answer_N[:, None], 0.9, 0.1)


def test_a_comparison_says_who_is_better_and_that_it_may_be_chance() -> None:
    labels = np.arange(1000) % 2
    right_a, right_b = answers(3, 7, 1000)
    found = compare_paired(certain(right_a, labels), certain(right_b, labels), labels)
    assert not found.significant
    assert found.verdict.startswith("B is 0.40 points better, 95 % interval [-0.")
    assert "p = 0.34, n = 1000: not significant; log loss -0.0088 [" in found.verdict
    assert (found.accuracy_a.value, found.accuracy_b.value) == (0.993, 0.997)


def test_a_comparison_names_the_models_and_a_clear_winner() -> None:
    labels = np.arange(1000) % 2
    right_a, right_b = answers(60, 10, 1000)
    found = compare_paired(
        certain(right_a, labels), certain(right_b, labels), labels, names=("frozen", "scratch")
    )
    assert found.significant
    assert found.verdict.startswith("scratch is 5.00 points worse, 95 % interval [-6.")
    assert "p < 0.0001, n = 1000: significant" in found.verdict
    assert found.log_loss_difference.low > 0


def test_a_model_is_as_accurate_as_itself() -> None:
    labels = np.arange(100) % 2
    probs = certain(np.ones(100, bool), labels)
    found = compare_paired(probs, probs, labels)
    assert found.verdict.startswith("B is as accurate as A, 95 % interval [-3.70, +3.70], p = 1.00")
    assert found.log_loss_difference.value == 0


def test_models_of_different_shapes_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="both must score the same photos and classes"):
        compare_paired(np.full((3, 2), 0.5), np.full((4, 2), 0.5), np.zeros(3, int))
