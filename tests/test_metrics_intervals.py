"""Estimates and their intervals: textbook values, and coverage counted on simulated data."""

import json
from math import isnan

import numpy as np
import pytest
from scipy import stats

from fursure.metrics.intervals import (
    Estimate,
    bootstrap,
    bounded,
    cost_of_a_mistake,
    mean_loss,
    proportion,
    resampled_means,
    reweighted,
)


def test_a_proportion_prints_as_percentages_with_its_interval() -> None:
    assert str(proportion(984, 1000)) == "98.40% [97.42%, 99.01%]"


def test_what_is_no_share_prints_as_plain_numbers() -> None:
    assert str(Estimate(0.042, 0.035, 0.0501, percent=False)) == "0.0420 [0.0350, 0.0501]"


def test_another_format_applies_to_all_three_numbers() -> None:
    assert f"{proportion(984, 1000):.1f}" == "1.0 [1.0, 1.0]"
    assert f"{proportion(984, 1000):.1%}" == "98.4% [97.4%, 99.0%]"


def test_a_perfect_score_on_ten_photos_still_leaves_doubt() -> None:
    assert proportion(10, 10).low == pytest.approx(0.7225, abs=1e-4)  # Wilson, textbook value
    assert proportion(10, 10).high == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (1, 7), (50, 100), (2399, 2400)])
def test_proportions_agree_with_scipy(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    found = proportion(successes, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.value, found.n) == (successes / trials, trials)


def test_no_trials_say_nothing() -> None:
    nothing = proportion(0, 0)
    assert isnan(nothing.value)
    assert (nothing.low, nothing.high, nothing.n) == (0.0, 1.0, 0)
    assert str(nothing) == "undefined (n = 0)"


@pytest.mark.parametrize(("successes", "trials"), [(3, 2), (-1, 2), (0, -1)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="impossible counts"):
        proportion(successes, trials)


@pytest.mark.parametrize("estimate", [proportion(9, 10), proportion(0, 0), Estimate(1.5, 1, 2)])
def test_an_estimate_survives_json(estimate: Estimate) -> None:
    text = json.dumps(estimate.to_json(), allow_nan=False)
    assert str(Estimate.from_json(json.loads(text))) == str(estimate)
    assert Estimate.from_json(json.loads(text)).n == estimate.n


def test_a_bounded_score_with_binomial_error_is_a_proportion() -> None:
    error = (0.9 * 0.1 / 200) ** 0.5
    found = bounded(0.9, error, trials=1e9, n=200)
    assert (found.low, found.high) == pytest.approx((proportion(180, 200).low, 0.9344), abs=1e-4)


def test_a_perfect_bounded_score_is_worth_its_trials() -> None:
    assert bounded(1.0, 0.0, trials=50, n=50).low == proportion(50, 50).low


def test_resampled_means_spread_like_the_standard_error() -> None:
    values = np.random.default_rng(0).exponential(size=(500, 2))
    means = resampled_means(values, resamples=4000, seed=1)
    assert means.shape == (4000, 2)
    assert means.std(axis=0) == pytest.approx(values.std(axis=0) / 500**0.5, rel=0.05)
    assert means.mean(axis=0) == pytest.approx(values.mean(axis=0), rel=0.01)


def test_the_same_seed_draws_the_same_resamples() -> None:
    values = np.arange(20.0)[:, None]
    assert np.array_equal(resampled_means(values, seed=3), resampled_means(values, seed=3))
    assert not np.array_equal(resampled_means(values, seed=3), resampled_means(values, seed=4))


def test_the_bootstrap_agrees_with_scipys_bca() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    found = bootstrap(values, resampled_means(values[:, None], resamples=9000)[:, 0])
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=9000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.012)


@pytest.mark.long
def test_bootstrap_intervals_cover_a_skewed_mean() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap(rng.exponential(size=200), seed=run) for run in range(200)]
    covered = sum(one.low <= 1 <= one.high for one in found)
    assert 180 <= covered <= 200  # 190 expected, 3 standard deviations are 9


def test_a_constant_loss_has_no_width() -> None:
    assert bootstrap(np.full(5, 0.25)) == Estimate(0.25, 0.25, 0.25, 5, percent=False)


def test_one_photo_is_its_own_interval() -> None:
    assert bootstrap(np.array([0.7])).high == 0.7


@pytest.mark.parametrize(("errors", "trials"), [(0, 48), (2, 100), (30, 300)])
def test_losses_of_all_or_nothing_have_clopper_pearson_bounds(errors: int, trials: int) -> None:
    losses = np.where(np.arange(trials) < errors, 4.0, 0.0)
    found = mean_loss(losses, 4.0, reweighted(losses[:, None], draws=40_000))
    exact = stats.binomtest(errors, trials).proportion_ci(method="exact")
    assert found.value == pytest.approx(4 * errors / trials)
    assert (found.low, found.high) == pytest.approx((4 * exact.low, 4 * exact.high), rel=0.03)


@pytest.mark.long
def test_losses_with_a_rare_mistake_are_covered_where_a_bootstrap_fails() -> None:
    rng = np.random.default_rng(0)
    truth = 0.985 * 0.02 + 0.015 * 5
    old = new = 0
    for run in range(200):
        losses = np.where(rng.random(60) < 0.015, 5.0, 0.02 * rng.exponential(size=60))
        found = mean_loss(losses, cost_of_a_mistake(losses), seed=run)
        new += found.low <= truth <= found.high
        plain = bootstrap(losses, seed=run)
        old += plain.low <= truth <= plain.high
    assert new >= 184  # 190 or more expected, 3 standard deviations are 9 below
    assert old < 130  # four samples in ten show no mistake


def test_many_photos_make_the_unseen_mistake_cheap() -> None:
    losses = np.random.default_rng(0).exponential(size=4000)
    found, plain = mean_loss(losses, 9.0), bootstrap(losses)
    assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.15)


def test_being_wrong_costs_the_larger_of_two_losses() -> None:
    losses = -np.log([0.9, 0.2])
    assert cost_of_a_mistake(losses) == pytest.approx(-np.log([0.1, 0.2]).mean())
    assert cost_of_a_mistake(np.zeros(3)) == pytest.approx(np.log(1e6))


def test_an_estimate_is_widened_about_its_value_and_within_its_range() -> None:
    share = Estimate(0.98, 0.95, 0.995).widened(2)
    assert (share.value, share.high) == (0.98, 1.0)
    assert share.low == pytest.approx(0.92)
    loss = Estimate(0.5, 0.1, 2.0, percent=False)
    assert loss.widened(2) == Estimate(0.5, 0.0, 3.5, percent=False)
    assert isnan(proportion(0, 0).widened(2).value)
