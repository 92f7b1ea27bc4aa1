"""Single figures: against scikit-learn, by hand, and by coverage on simulated data."""

from math import erf, log

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.metrics.confusion import Confusion
from fursure.metrics.figures import (
    brier_losses,
    calibration_error,
    calibration_gaps,
    f1_score,
    log_losses,
    macro,
    macro_trials,
    roc_auc,
    top,
)
from fursure.metrics.intervals import Estimate, proportion, reweighted


def two_columns(second_N: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([1 - second_N, second_N])


def ece(confidence_N: NDArray[np.float64], correct_N: NDArray[np.bool_]) -> Estimate:
    gaps_NB = calibration_gaps(confidence_N, correct_N)
    return calibration_error(gaps_NB, reweighted(gaps_NB))


def test_the_area_counts_pairs_in_order_and_ties_by_half() -> None:
    probs = two_columns(np.array([0.1, 0.4, 0.4, 0.8]))
    found = roc_auc(probs, np.array([0, 0, 1, 1]))  # 4 pairs: 3 in order, 1 tied
    assert found is not None
    assert found.value == 3.5 / 4


def test_the_area_agrees_with_scikit_learn_for_two_classes() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=300)
    scores = (rng.random(300) * 0.7 + labels * 0.3).round(2)  # rounding makes ties
    found = roc_auc(two_columns(scores), labels)
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_the_area_agrees_with_scikit_learn_for_five_classes() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    labels, probs = rng.integers(5, size=400), rng.dirichlet(np.ones(5), size=400)
    found = roc_auc(probs, labels)
    assert found is not None
    expected = roc_auc_score(labels, probs, multi_class="ovr", average="macro")
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_the_area_of_a_single_class_is_undefined() -> None:
    assert roc_auc(two_columns(np.array([0.2, 0.9])), np.array([1, 1])) is None


def test_an_area_of_one_still_leaves_doubt() -> None:
    found = roc_auc(two_columns(np.repeat([0.1, 0.9], 10)), np.repeat([0, 1], 10))
    assert found is not None
    assert found.value == found.high == 1.0
    assert found.low == proportion(20, 20).low
    assert not found.percent


def test_intervals_of_the_area_cover_the_truth() -> None:
    rng, covered = np.random.default_rng(0), 0
    truth = (1 + erf(2 / 2)) / 2  # of two unit normals, two standard deviations apart
    for _ in range(300):
        labels = np.repeat([0, 1], 60)
        scores = 1 / (1 + np.exp(-rng.normal(2 * labels)))
        found = roc_auc(two_columns(scores), labels)
        assert found is not None
        covered += found.low <= truth <= found.high
    assert covered >= 273  # 285 expected, 3 standard deviations are 12


def test_log_loss_and_brier_by_hand() -> None:
    probs, labels = np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])
    assert log_losses(probs, labels) == pytest.approx([-log(0.8), -log(0.2)])
    assert brier_losses(probs, labels) == pytest.approx([2 * 0.04, 2 * 0.64])


def test_a_certain_mistake_costs_a_finite_loss() -> None:
    assert log_losses(np.array([[1.0, 0.0]]), np.array([1]))[0] == pytest.approx(12 * log(10))


def test_ties_at_the_edge_of_the_top_go_to_the_earlier_class() -> None:
    probs = np.array([[0.25, 0.25, 0.25, 0.25], [0.4, 0.3, 0.2, 0.1]])
    assert top(2, probs, np.array([1, 1])).value == 1.0
    assert top(2, probs, np.array([2, 3])).value == 0.0


def test_macro_trials_are_all_photos_if_classes_are_balanced() -> None:
    assert macro_trials(np.array([50, 50, 0])) == pytest.approx(100)
    assert macro_trials(np.array([10, 990])) == pytest.approx(39.6)  # the rare class decides


def test_intervals_of_macro_figures_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    cells = np.array([[0.48, 0.02], [0.03, 0.47]])
    predicted, hits = cells.sum(axis=0), np.diag(cells)
    truths = (
        (hits / predicted).mean(),
        (hits / 0.5).mean(),
        (2 * hits / (predicted + 0.5)).mean(),
    )
    covered = np.zeros(3)
    for _ in range(300):
        drawn = np.repeat(np.arange(4), rng.multinomial(200, cells.ravel()))
        found = macro(Confusion.of(drawn // 2, drawn % 2, 2))
        covered += [one.low <= truth <= one.high for one, truth in zip(found, truths, strict=True)]
    assert (covered >= 273).all()  # 285 expected, 3 standard deviations are 12


def test_f1_by_hand() -> None:
    found = f1_score(8, 12)  # 8 hits, 4 photos missed or wrongly claimed
    assert found.value == pytest.approx(2 * 8 / (2 * 8 + 4))
    jaccard = proportion(8, 12)
    assert found.low == pytest.approx(2 * jaccard.low / (1 + jaccard.low))


def test_calibration_error_by_hand() -> None:
    confidence = np.repeat([0.6, 0.9], 50)
    correct = np.concatenate([np.arange(50) < 20, np.arange(50) < 45])  # 40 % and 90 % right
    # half of the photos are off by 0.2, which makes 0.1. The other half is right, by a mean whose
    # standard error is sqrt(0.045 / 100) = 0.0212: drawn again it would add 0.798 of that.
    assert ece(confidence, correct).value == pytest.approx(0.1 - 0.0212 * 0.798, abs=1e-3)


def test_calibration_error_ignores_the_order_of_photos() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.choice([0.7, 0.8, 1.0], size=200), rng.random(200) < 0.8
    turned = rng.permutation(200)
    expected = ece(confidence, correct).value
    assert ece(confidence[turned], correct[turned]).value == pytest.approx(expected)


@pytest.mark.long
def test_noise_is_no_calibration_error_and_overconfidence_is_one() -> None:
    rng = np.random.default_rng(1)
    calibrated, plain, overconfident = [], [], []
    for _ in range(60):
        confidence = 0.5 + 0.5 * rng.beta(3, 1, size=600)
        correct = rng.random(600) < confidence
        calibrated.append(ece(confidence, correct).value)
        plain.append(np.abs(calibration_gaps(confidence, correct).mean(axis=0)).sum())
        overconfident.append(ece(confidence, rng.random(600) < confidence - 0.1).value)
    assert np.mean(calibrated) < 0.65 * np.mean(plain)
    assert np.mean(overconfident) == pytest.approx(0.1, abs=0.01)


@pytest.mark.long
def test_intervals_of_the_calibration_error_reach_zero_for_a_calibrated_model() -> None:
    rng, reached = np.random.default_rng(0), 0
    for _ in range(60):
        confidence = 0.5 + 0.5 * rng.beta(3, 1, size=600)
        found = ece(confidence, rng.random(600) < confidence)
        assert found.low <= found.value <= found.high
        reached += found.low == 0
    assert reached >= 52  # 57 or more expected, 3 standard deviations are 5


def test_few_photos_share_fewer_bins() -> None:
    rng = np.random.default_rng(0)
    for count, bins in ((10, 1), (48, 2), (100, 5), (300, 15), (3000, 15)):
        gaps = calibration_gaps(rng.random(count), rng.random(count) < 0.5)
        assert np.count_nonzero(np.abs(gaps).sum(axis=0)) == bins


def test_no_mistake_among_few_photos_proves_no_calibration() -> None:
    found = ece(np.full(48, 0.97), np.ones(48, bool))
    assert found.low == 0  # a calibrated model makes no mistake in 48 one time in four
    assert found.high > 0.07  # nor is one that errs in 7 % ruled out
    assert ece(np.full(4800, 0.97), np.ones(4800, bool)).low > 0.02  # of so many, it is too timid


@pytest.mark.long
def test_intervals_of_the_calibration_error_cover_overconfidence() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        confidence = 0.6 + 0.4 * rng.random(600)
        found = ece(confidence, rng.random(600) < confidence - 0.1)
        covered += found.low <= 0.1 <= found.high
    assert covered >= 52  # 57 expected, 3 standard deviations are 5
