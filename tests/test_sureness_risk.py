"""Risk thresholds: exact tails against SciPy, and the promise kept in simulation."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fursure.sureness.risk import (
    RISKS,
    RiskTable,
    binomial_tail,
    photos_needed,
    risk_table,
    upper_bound,
)


def photos(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences of a model that is right as often as it says, but for 0.3 % of noise."""
    rng = np.random.default_rng(seed)
    confidence = 0.5 + 0.5 * rng.beta(4, 0.3, size=n)
    return confidence, rng.random(n) < 0.997 * confidence


def error_above(threshold: float) -> float:
    confidence, _ = photos(400_000, seed=99)
    return float(1 - 0.997 * confidence[confidence >= threshold].mean())


@given(st.integers(0, 400), st.integers(0, 400), st.floats(1e-4, 0.6))
def test_tails_agree_with_scipy(errors: int, correct: int, risk: float) -> None:
    expected = stats.binom.cdf(errors, errors + correct, risk)
    assert binomial_tail(errors, errors + correct, risk) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 60), st.integers(1, 2000), st.sampled_from([0.05, 0.1]))
def test_bounds_agree_with_scipy(errors: int, correct: int, delta: float) -> None:
    exact = stats.binomtest(errors, errors + correct, alternative="less")
    expected = exact.proportion_ci(confidence_level=1 - delta, method="exact").high
    assert upper_bound(errors, errors + correct, delta) == pytest.approx(expected, abs=1e-9)


def test_only_wrong_answers_bound_nothing() -> None:
    assert upper_bound(5, 5, 0.1) == 1.0


def test_one_percent_takes_230_photos_without_an_error() -> None:
    assert photos_needed(0.01, 0.1) == 230  # ln 0.1 / ln 0.99 = 229.1
    assert photos_needed(0.01, 0.1, errors=1) == 388
    assert stats.binom.cdf(1, 388, 0.01) <= 0.1 < stats.binom.cdf(1, 387, 0.01)


def test_a_threshold_is_certified_by_an_exact_bound() -> None:
    confidence, correct = photos(5000)
    for row in risk_table(confidence, correct, risks=(0.01, 0.02, 0.05)).rows:
        assert row.threshold is not None
        assert row.bound is not None
        assert row.accepted == (confidence >= row.threshold).sum()
        assert row.errors == (~correct[confidence >= row.threshold]).sum()
        assert row.errors / row.accepted < row.bound <= row.max_error


def test_a_smaller_risk_asks_for_more_confidence() -> None:
    table = risk_table(*photos(20_000))
    thresholds = [row.threshold for row in table.rows if row.threshold is not None]
    assert len(thresholds) >= 4
    assert thresholds == sorted(thresholds, reverse=True)


@pytest.mark.long
@pytest.mark.parametrize("n", [300, 1500])
def test_the_promise_is_broken_no_more_often_than_delta(n: int) -> None:
    risks, runs = (0.01, 0.02, 0.05), 250
    truth: dict[float, float] = {}
    broken = dict.fromkeys(risks, 0)
    for seed in range(runs):
        for row in risk_table(*photos(n, seed), risks=risks, delta=0.1).rows:
            if row.threshold is not None:
                if row.threshold not in truth:
                    truth[row.threshold] = error_above(row.threshold)
                broken[row.max_error] += truth[row.threshold] > row.max_error
    limit = stats.binom.ppf(0.999, runs, 0.1)
    assert max(broken.values()) <= limit


@pytest.mark.long
@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_the_promise_holds_with_wrong_labels_and_ties(noise: float) -> None:
    """Confidences of a few values only, and labels of which some are wrong: the truth is exact."""
    values = np.array([0.5, 0.8, 0.95, 0.99, 0.999])
    share = np.array([0.05, 0.1, 0.15, 0.3, 0.4])
    error = np.array([0.4, 0.15, 0.04, 0.01, 0.002]) * (1 - noise) + noise
    runs, n, risks, delta = 400, 800, (0.005, 0.01, 0.02, 0.05), 0.1
    rng, broken = np.random.default_rng(5), dict.fromkeys(risks, 0)
    certified = dict.fromkeys(risks, 0)
    for _ in range(runs):
        kind = rng.choice(len(values), n, p=share)
        table = risk_table(values[kind], rng.random(n) >= error[kind], risks=risks, delta=delta)
        for row in table.rows:
            if row.threshold is not None:
                kept = values >= row.threshold
                true = float((share * error)[kept].sum() / share[kept].sum())
                certified[row.max_error] += 1
                broken[row.max_error] += true > row.max_error
    assert max(broken.values()) <= stats.binom.ppf(0.999, runs, delta)
    assert max(broken.values()) > 0  # a promise never broken would be one of more than it says
    assert certified[0.05] > 0.9 * runs


@pytest.mark.long
def test_the_promise_holds_where_more_confidence_means_more_errors() -> None:
    rng, broken = np.random.default_rng(0), 0
    for _ in range(250):
        confidence = rng.random(600)
        correct = rng.random(600) > 0.04 * confidence  # error above t is 0.02 (1 + t)
        [row] = risk_table(confidence, correct, risks=(0.025,)).rows
        broken += row.threshold is not None and 0.02 * (1 + row.threshold) > 0.025
    assert broken <= stats.binom.ppf(0.999, 250, 0.1)


def test_one_wrong_label_among_the_surest_does_not_end_everything() -> None:
    confidence, correct = np.full(1000, 0.95), np.ones(1000, bool)
    confidence[:400], correct[0] = 0.9999, False
    assert risk_table(confidence, correct, risks=(0.01,)).rows[0].threshold is not None


def test_too_few_photos_are_told_how_many_more_might_do() -> None:
    table = risk_table(np.full(100, 0.99), np.ones(100, bool), risks=(0.01,))
    [row] = table.rows
    assert (row.threshold, row.bound, row.needed) == (None, None, 290)
    assert table.explain(0.01) == (
        "at most 1 % of the answers given may be wrong: 100 validation photos cannot promise that; "
        "about 290 more might"
    )


def test_photos_needed_allow_for_the_errors_seen() -> None:
    confidence, correct = np.full(1000, 0.99), np.arange(1000) >= 8
    [row] = risk_table(confidence, correct, risks=(0.01,)).rows
    assert row.threshold is None
    assert row.needed is not None
    assert 3000 < row.needed < 7000


def test_a_model_too_weak_for_a_risk_is_told_so() -> None:
    table = risk_table(np.full(1000, 0.99), np.arange(1000) >= 100, risks=(0.01,))
    assert table.rows[0].needed is None
    assert table.explain(0.01).endswith("even its most confident answers are wrong too often")


def test_no_photos_certify_nothing() -> None:
    table = risk_table(np.zeros(0), np.zeros(0, bool))
    assert all(row.threshold is None and row.needed for row in table.rows)
    assert 0 <= (table.rows[0].needed or 0) - photos_needed(0.001, 0.1, errors=1) < 100


def test_one_more_photo_never_might_do() -> None:
    short = photos_needed(0.01, 0.1) - 1
    [row] = risk_table(np.full(short, 0.99), np.ones(short, bool), risks=(0.01,)).rows
    assert row.needed is not None
    assert row.needed >= 150  # one of them may be wrong


def test_the_threshold_for_a_risk_is_that_of_the_largest_listed_one_not_above_it() -> None:
    table = risk_table(*photos(20_000))
    by_risk = {row.max_error: row.threshold for row in table.rows}
    assert tuple(by_risk) == RISKS
    assert table.threshold_for(0.01) == by_risk[0.01]
    assert table.threshold_for(0.03) == by_risk[0.02]
    assert table.threshold_for(1) == by_risk[0.1]
    assert table.threshold_for(0.0005) is None


def test_a_table_explains_each_of_its_answers() -> None:
    table = risk_table(np.full(400, 0.95), np.arange(400) >= 1, risks=(0.01,))
    assert table.explain(0.02) == (
        "at most 1 % of the answers given may be wrong: from confidence 0 on, "
        "where 1 of 400 validation photos were wrong"
    )
    assert table.explain(0.001) == (
        "no threshold keeps errors to 0.1 %; the smallest risk examined is 1 %"
    )


def test_a_table_survives_json() -> None:
    table = risk_table(*photos(500))
    text = json.dumps(table.to_json(), allow_nan=False)
    assert RiskTable.from_json(json.loads(text)) == table


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        RiskTable.from_json({"rows": [], "n": 5, "delta": 0.1})


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        (np.ones(3), np.ones(2, bool), "one of each per photo"),
        (np.ones((2, 2)), np.ones((2, 2), bool), "one of each per photo"),
        (np.ones(2), np.ones(2), "booleans, right or wrong"),
        (np.array([0.5, np.nan]), np.ones(2, bool), "between 0 and 1"),
        (np.array([0.5, 1.5]), np.ones(2, bool), "between 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        risk_table(confidence, correct)


@pytest.mark.parametrize(("risks", "delta"), [((0.0,), 0.1), ((), 0.1), ((0.1,), 1.0)])
def test_risks_must_be_shares(risks: tuple[float, ...], delta: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        risk_table(np.ones(2), np.ones(2, bool), risks=risks, delta=delta)
