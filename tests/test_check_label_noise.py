"""How likely a label is wrong, and how many are, against what was planted."""

import numpy as np
import pytest

from fursure.check.label_noise import Doubles, fitted, log_odds
from fursure.heads.fit import Labels


def scored(
    count: int, classes: int, wrong: float, *, spread: float = 0.7, seed: int = 0
) -> tuple[Doubles, Doubles, Labels, Labels]:
    """Return two judges' scores of photos, some hard to tell, and given and true labels."""
    rng = np.random.default_rng(seed)
    logits_NK = rng.normal(0, spread * 8, (count, classes))
    noise_NK = rng.gumbel(size=(count, classes))  # so softmax of the logits is the truth
    true_N = (logits_NK + noise_NK).argmax(axis=1)
    given_N = true_N.copy()
    flipped = rng.choice(count, round(wrong * count), replace=False)
    given_N[flipped] = (true_N[flipped] + rng.integers(1, classes, len(flipped))) % classes
    return logits_NK / 10, logits_NK / 10, given_N, true_N


def everyone(labels_N: Labels) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.ones(len(labels_N), bool)


@pytest.mark.parametrize(
    ("classes", "wrong"),
    [
        (2, 0.0),
        (2, 0.1),
        pytest.param(2, 0.03, marks=pytest.mark.long),
        pytest.param(5, 0.05, marks=pytest.mark.long),
    ],
)
def test_the_expected_number_of_wrong_labels_is_the_true_one(classes: int, wrong: float) -> None:
    held = 0
    for seed in range(20):
        score_NK, share_NK, given_N, true_N = scored(400, classes, wrong, seed=seed)
        _, noise = fitted(score_NK, share_NK, given_N, everyone(given_N))
        listed_N = noise.chances() >= 0.05
        wrongly = int((given_N != true_N)[listed_N].sum())
        estimate = noise.count(listed_N)
        held += estimate.low <= wrongly <= estimate.high
    assert held >= 18


def test_hard_photos_with_right_labels_are_not_called_wrong() -> None:
    score_NK, share_NK, given_N, _ = scored(600, 2, 0.0, spread=0.4)
    _, noise = fitted(score_NK, share_NK, given_N, everyone(given_N))
    doubted = noise.odds_N < 0
    assert doubted.sum() >= 40  # rather another label, by the judges
    assert (noise.chances() < 0.5).all()
    assert noise.count(doubted).low == 0


def test_the_same_doubt_says_more_where_many_labels_are_wrong() -> None:
    chances = []
    for wrong in (0.01, 0.1):
        score_NK, share_NK, given_N, true_N = scored(2000, 2, wrong)
        _, noise = fitted(score_NK, share_NK, given_N, everyone(given_N))
        chances.append(np.interp(4.0, np.sort(-noise.odds_N), np.sort(noise.chances())))
        assert (given_N != true_N)[noise.chances() > 0.9].mean() > 0.8
    assert chances[0] + 0.2 < chances[1]


def test_chances_rise_with_doubt() -> None:
    score_NK, share_NK, given_N, _ = scored(500, 2, 0.05)
    _, noise = fitted(score_NK, share_NK, given_N, everyone(given_N))
    assert (np.diff(noise.chances()[np.argsort(-noise.odds_N)]) >= 0).all()


def test_photos_that_are_not_chosen_teach_nothing() -> None:
    score_NK, share_NK, given_N, _ = scored(400, 2, 0.02)
    chosen_N = np.arange(400) < 300
    odds = []
    for label in (0, 1):
        told_N = np.where(chosen_N, given_N, label)
        logits_NK, noise = fitted(score_NK, share_NK, told_N, chosen_N)
        odds.append((logits_NK, noise.chances()[chosen_N]))
    assert np.allclose(odds[0][0], odds[1][0])
    assert np.allclose(odds[0][1], odds[1][1])


@pytest.mark.parametrize("size", [1e-6, 10.0, 1e3])
def test_scores_of_any_size_give_finite_chances(size: float) -> None:
    score_NK, share_NK, given_N, _ = scored(100, 2, 0.02, spread=0.05)
    logits_NK, noise = fitted(size * score_NK, size * share_NK, given_N, everyone(given_N))
    assert np.isfinite(logits_NK).all()
    assert ((noise.chances() >= 0) & (noise.chances() <= 1)).all()


def test_none_chosen_are_none_wrong() -> None:
    score_NK, share_NK, given_N, _ = scored(50, 2, 0.1)
    _, noise = fitted(score_NK, share_NK, given_N, everyone(given_N))
    none = noise.count(np.zeros(50, bool))
    assert (none.value, none.low, none.high, none.n) == (0, 0, 0, 0)


def test_log_odds_are_those_of_the_softmax() -> None:
    logits_NK = np.log([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    expected = [np.log(0.5 / 0.5), np.log(0.1 / 0.9)]
    assert np.allclose(log_odds(logits_NK, np.array([0, 1])), expected)


def test_a_single_class_is_never_wrong() -> None:
    ones = np.ones((30, 1))
    _, noise = fitted(ones, ones, np.zeros(30, np.intp), np.ones(30, bool))
    assert noise.chances().max() < 1e-6
