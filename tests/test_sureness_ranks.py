"""Ranks of held-out scores, and the tail below the last few of them."""

import numpy as np
import pytest

from fursure.sureness.ranks import FEWEST_FOR_RANKS, RAREST, TAIL, curve


def share(score: float, held_out: int, seed: int = 0) -> float:
    """Return what share of standard exponential scores, negated, lies below a score."""
    score_N = -np.random.default_rng(seed).exponential(size=held_out)
    score_Q, share_Q = curve(score_N, lowest=-100.0)
    return float(np.interp(score, score_Q, share_Q, left=0.0))


@pytest.mark.parametrize(
    "held_out", [FEWEST_FOR_RANKS, 25, 60, 300, pytest.param(3000, marks=pytest.mark.long)]
)
def test_a_threshold_loses_on_average_what_it_says(held_out: int) -> None:
    lost = []
    for seed in range(2000):
        score_N = -np.random.default_rng(seed).exponential(size=held_out)
        score_Q, share_Q = curve(score_N, lowest=-1e9)
        lost.append(np.exp(np.interp(0.01, share_Q, score_Q)))  # true share below the threshold
    assert np.mean(lost) == pytest.approx(0.01, rel=0.15)


def test_above_the_tail_the_share_is_the_rank() -> None:
    score_Q, share_Q = curve(np.arange(299.0), lowest=-1.0)
    assert np.interp(150.0, score_Q, share_Q) == pytest.approx(151 / 300)
    assert np.interp(float(TAIL), score_Q, share_Q) == pytest.approx((TAIL + 1) / 300)


def test_the_share_rises_with_the_score_and_ends_at_nothing() -> None:
    score_N = -np.random.default_rng(0).exponential(size=100)
    score_Q, share_Q = curve(score_N, lowest=-100.0)
    assert (np.diff(score_Q) > 0).all()
    assert (np.diff(share_Q) >= 0).all()
    assert (share_Q[0], share_Q[-1]) == (pytest.approx(RAREST), 1.0)
    assert share(float(score_Q[0]) - 1, held_out=100) == 0.0


def test_fewer_photos_than_can_tell_call_hardly_anything_a_stranger() -> None:
    score_Q, share_Q = curve(np.linspace(0.6, 0.9, FEWEST_FOR_RANKS - 1), lowest=-1.0)
    assert np.interp(0.01, share_Q, score_Q) < -0.5
