"""Curves of a report, against scikit-learn and hand counts."""

import numpy as np
import pytest

from fursure.metrics.curves import POINTS, most_confused, precision_recall, reliability, roc
from fursure.metrics.curves import selective as risk_coverage

RNG = np.random.default_rng(0)


def scored(n: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    labels_N = RNG.integers(2, size=n)
    score_N = 1 / (1 + np.exp(-RNG.normal(2 * labels_N - 1, 1.5)))
    score_N = np.round(score_N, 1) if ties else score_N
    return np.column_stack([1 - score_N, score_N]), labels_N


@pytest.mark.parametrize("ties", [False, True])
def test_a_roc_curve_is_that_of_scikit_learn(ties: bool) -> None:
    from sklearn import metrics

    probs_NK, labels_N = scored(150, ties=ties)
    curve = roc(probs_NK, labels_N, 1, "dog")
    fpr, tpr, _ = metrics.roc_curve(labels_N, probs_NK[:, 1], drop_intermediate=False)
    assert curve.x == pytest.approx(fpr)
    assert curve.y == pytest.approx(tpr)


@pytest.mark.parametrize("ties", [False, True])
def test_a_precision_recall_curve_is_that_of_scikit_learn(ties: bool) -> None:
    from sklearn import metrics

    probs_NK, labels_N = scored(150, ties=ties)
    curve = precision_recall(probs_NK, labels_N, 1, "dog")
    precision, recall, _ = metrics.precision_recall_curve(labels_N, probs_NK[:, 1])
    assert curve.x == pytest.approx(recall[::-1])
    assert curve.y == pytest.approx(precision[::-1])


def test_a_long_curve_keeps_its_area_in_few_points() -> None:
    from sklearn import metrics

    probs_NK, labels_N = scored(50_000)
    curve = roc(probs_NK, labels_N, 1, "dog")
    assert len(curve.x) <= POINTS + 2
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    area = metrics.roc_auc_score(labels_N, probs_NK[:, 1])
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(area, abs=1e-3)


def test_curves_need_photos_on_both_sides() -> None:
    probs_NK, labels_N = scored(20)
    with pytest.raises(ValueError, match="photos of others"):
        roc(probs_NK, np.ones_like(labels_N), 1, "dog")
    with pytest.raises(ValueError, match="photos of the class"):
        precision_recall(probs_NK, np.zeros_like(labels_N), 1, "dog")


def test_risk_over_coverage_counted_by_hand() -> None:
    confidence_N = np.array([0.9, 0.8, 0.8, 0.6])
    correct_N = np.array([True, False, True, False])
    curve = risk_coverage(confidence_N, correct_N)
    assert curve.x == pytest.approx([0.25, 0.75, 1.0])  # equal confidences are answered together
    assert curve.y == pytest.approx([0, 1 / 3, 0.5])


def test_reliability_of_honest_confidence_lies_on_the_diagonal() -> None:
    confidence_N = RNG.uniform(0.5, 1, size=20_000)
    bins = reliability(confidence_N, RNG.uniform(size=20_000) < confidence_N)
    assert len(bins) == 10
    assert all(one.right.n == 2000 for one in bins)
    assert all(abs(one.confidence - one.right.value) < 0.04 for one in bins)


def test_reliability_of_one_photo_is_one_bin() -> None:
    (one,) = reliability(np.array([0.7]), np.array([True]))
    assert (one.confidence, one.right.value, one.right.n) == (0.7, 1.0, 1)


def test_the_most_frequent_confusions_come_first() -> None:
    assert most_confused([[5, 1, 0], [0, 5, 3], [2, 0, 5]], 2) == [(1, 2, 3), (2, 0, 2)]
