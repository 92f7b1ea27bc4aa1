"""Whole evaluations: against scikit-learn, with classes missing, as JSON and as a table."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fursure.metrics.classification import Evaluation, format_table, score_probs
from fursure.metrics.intervals import Estimate, proportion

NAMES = ("cat", "dog", "owl", "fox", "hen", "cow", "bee")


def drawn(
    n: int, classes: int, *, skill: float = 2.0, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities of a middling classifier, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    weights = np.exp(rng.normal(size=(n, classes)) + skill * np.eye(classes)[labels])
    return weights / weights.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_figures_agree_with_scikit_learn(classes: int) -> None:
    from sklearn import metrics

    probs, labels = drawn(500, classes)
    e, predicted = score_probs(probs, labels, NAMES[:classes]), probs.argmax(axis=1)
    scores = metrics.precision_recall_fscore_support(labels, predicted)
    for k, found in enumerate(e.classes):
        assert found.precision is not None
        assert found.recall is not None
        assert found.f1 is not None
        values = (found.precision.value, found.recall.value, found.f1.value, found.support)
        assert values == pytest.approx([one[k] for one in scores])
    assert e.accuracy.value == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert e.balanced_accuracy.value == pytest.approx(scores[1].mean())
    assert e.macro_precision.value == pytest.approx(scores[0].mean())
    assert e.macro_f1.value == pytest.approx(scores[2].mean())
    assert e.log_loss.value == pytest.approx(metrics.log_loss(labels, probs))
    assert np.array_equal(e.confusion, metrics.confusion_matrix(labels, predicted))


def test_top_five_agrees_with_scikit_learn_and_needs_six_classes() -> None:
    from sklearn import metrics

    probs, labels = drawn(300, 7)
    top5 = score_probs(probs, labels, NAMES).top5
    assert top5 is not None
    assert top5.value == pytest.approx(metrics.top_k_accuracy_score(labels, probs, k=5))
    assert score_probs(*drawn(300, 5), NAMES[:5]).top5 is None


def test_every_interval_holds_its_value() -> None:
    e = score_probs(*drawn(200, 7), NAMES)
    estimates = [figure for figure in e.figures.values() if figure]
    assert len(estimates) == 9
    assert all(one.low < one.value < one.high and one.n == 200 for one in estimates)


def test_accuracy_carries_the_wilson_interval() -> None:
    e = score_probs(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]), NAMES[:2])
    assert e.accuracy == proportion(2, 3)
    assert e.confusion == ((1, 0), (1, 1))


def test_a_class_without_photos_is_undefined_and_left_out_of_the_means() -> None:
    probs = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.7, 0.2, 0.1]])
    e = score_probs(probs, np.array([0, 1, 1, 0]), NAMES[:3])
    owl = e.classes[2]
    assert (owl.support, owl.predicted, owl.recall, owl.f1) == (0, 1, None, None)
    assert owl.precision == proportion(0, 1)
    assert e.balanced_accuracy.value == 0.75  # cat 2 of 2, dog 1 of 2
    assert e.macro_f1.value == pytest.approx((1 + 2 / 3) / 2)
    assert e.roc_auc is not None


def test_a_class_never_predicted_has_no_precision_and_counts_as_zero_in_the_mean() -> None:
    e = score_probs(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]), NAMES[:2])
    assert e.classes[1].precision is None
    assert e.classes[1].f1 == Estimate(0.0, 0.0, e.classes[1].f1.high if e.classes[1].f1 else 0, 1)
    assert e.macro_precision.value == 0.25


def test_photos_of_one_class_only_have_no_area() -> None:
    e = score_probs(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]), NAMES[:2])
    assert e.roc_auc is None
    assert "ROC" not in format_table(e)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(2, 7), st.integers(0, 10**6), st.sampled_from([0.0, 50.0]))
def test_any_photos_make_an_evaluation_that_survives_json(
    n: int, classes: int, seed: int, skill: float
) -> None:
    probs, labels = drawn(n, classes, skill=skill, seed=seed)
    e = score_probs(probs.astype(np.float32), labels, NAMES[:classes])
    text = json.dumps(e.to_json(), allow_nan=False)
    assert Evaluation.from_json(json.loads(text)) == e
    assert format_table(e)


def test_the_same_seed_gives_the_same_evaluation() -> None:
    probs, labels = drawn(100, 3)
    assert score_probs(probs, labels, NAMES[:3]) == score_probs(probs, labels, NAMES[:3])
    other = score_probs(probs, labels, NAMES[:3], seed=1)
    assert other.log_loss != score_probs(probs, labels, NAMES[:3]).log_loss


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([0.5, 0.5], [0], r"shape \(2,\)"),
        ([[1.0]], [0], "two classes or more"),
        ([[0.5, 0.5]], [0, 1], r"labels of shape \(2,\) do not fit 1 rows"),
        (np.zeros((0, 2)), np.zeros(0, int), "no photos"),
        ([[0.5, 0.5]], [0.0], "integers needed"),
        ([[0.5, 0.5]], [2], "2 classes allow 0 to 1"),
        ([[0.5, 0.5]], [-1], "run from -1 to -1"),
        ([[np.nan, 0.5]], [0], "NaN"),
        ([[1.5, -0.5]], [0], "none may be negative"),
        ([[0.5, 0.4]], [0], "miss a sum of 1 by up to 0.1"),
    ],
)
def test_what_are_no_probabilities_is_refused_in_a_sentence(
    probs: list[list[float]], labels: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score_probs(np.asarray(probs), np.asarray(labels), NAMES[:2])


def test_names_must_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="3 class names do not fit 2 classes"):
        score_probs(np.array([[0.5, 0.5]]), np.array([0]), NAMES[:3])


def test_half_precision_probabilities_are_accepted() -> None:
    probs, labels = drawn(50, 7)
    half = score_probs(probs.astype(np.float16), labels, NAMES)
    assert half.log_loss.value == pytest.approx(
        score_probs(probs, labels, NAMES).log_loss.value, abs=1e-3
    )


def test_the_table_of_two_classes_reads_like_this() -> None:
    probs = np.array([[0.9, 0.1]] * 40 + [[0.2, 0.8]] * 60)
    table = format_table(score_probs(probs, np.repeat([0, 1], [41, 59]), NAMES[:2]))
    lines = table.splitlines()
    assert (
        lines[0]
        == "accuracy           99.00% [94.55%, 99.82%], n = 100; too few photos to tell more"
    )
    assert lines[4].startswith("ROC AUC of dog     0.98")
    assert lines[5].endswith("nats per photo")
    assert lines[10].startswith("cat        41  100.0% [91.2%, 100.0%]")
    assert lines[-3:] == [
        "true class / answer  cat  dog",
        "cat                   40    1",
        "dog                    0   59",
    ]


def test_enough_photos_are_told_without_a_doubt() -> None:
    probs = np.array([[0.99, 0.01]] * 2000 + [[0.01, 0.99]] * 2000)
    assert "too few" not in format_table(score_probs(probs, np.repeat([0, 1], 2000), NAMES[:2]))


def test_a_spotless_sample_promises_no_spotless_future() -> None:
    probs = np.tile([0.999, 0.001], (48, 1))  # the page said: log loss 0.0055 [0.0018, 0.0201]
    e = score_probs(probs, np.zeros(48, int), NAMES[:2])
    assert e.log_loss.high > 0.063  # what 2,000 unseen photos gave
    assert e.accuracy.low < 0.9785
    assert e.brier.high > 0.03
    assert e.calibration_error.high > 0.05


def test_wider_figures_are_wider_and_stay_within_their_range() -> None:
    e = score_probs(*drawn(60, 7), NAMES)
    wide = e.widened(1.5)
    for name in ("accuracy", "macro_f1", "roc_auc", "log_loss", "brier", "calibration_error"):
        one, other = getattr(e, name), getattr(wide, name)
        assert other.value == one.value
        assert 0 <= other.low <= one.low
        assert other.high >= one.high
        assert other.high - other.low > 1.2 * (one.high - one.low) or name == "calibration_error"
    for scores in wide.classes:
        assert scores.recall is None or scores.recall.high <= 1
    assert wide.roc_auc is not None
    assert wide.roc_auc.high <= 1


def test_the_table_of_many_classes_shows_the_worst_ten_and_says_so() -> None:
    probs, labels = drawn(2000, 30)
    e = score_probs(probs, labels, [f"breed {k}" for k in range(30)])
    table = format_table(e)
    worst = sorted(e.classes, key=lambda one: one.f1.value if one.f1 else 0)[:10]
    title = "The 10 of 30 classes with the lowest F1:"
    listed = table.split(f"{title}\n")[1].splitlines()
    assert [line[:8].strip() for line in listed[1:]] == [one.label for one in worst]
    assert "true class" not in table


def test_the_metrics_load_neither_scipy_nor_scikit_learn() -> None:
    code = (
        "import sys, fursure.metrics.classification, fursure.metrics.paired;"
        "print([m for m in ('scipy', 'sklearn', 'pandas') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
