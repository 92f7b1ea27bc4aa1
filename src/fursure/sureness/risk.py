"""Confidence on certifying photos → the confidence to ask for, so that errors stay rare.

The user states a risk, "at most 1 % of the answers you give may be wrong"; the table holds the
confidence below which the answer has to be "unsure", with a guarantee for a finite sample.

Dimension key: N certifying photos, G thresholds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, log, log1p
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fursure.errors import counted

RISKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_MOST = 1_000_000  # photos; who would need more is told that the risk is out of reach
FORGIVEN = 5  # errors that the first, strictest threshold may show at most

# Chosen before any photo is seen, as the guarantee demands: strict to lax, fine where confidences
# of good models crowd (0.999999, …, 0.5), then down to 0, which accepts every answer.
_GRID = np.concatenate([1 - 10 ** -np.linspace(6, 0.31, 115), np.linspace(0.5, 0, 51)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What it takes to answer with at most ``max_error`` wrong."""

    max_error: float  # share of wrong answers among those given
    threshold: float | None  # answer where confidence ≥ threshold; None: nothing is certified
    accepted: int  # certifying photos at or above the threshold
    errors: int  # wrong ones among them
    bound: float | None  # upper confidence bound of the share of wrong answers
    needed: int | None  # about so many more certifying photos might do; None: none, or no use


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskTable:
    """The thresholds of a list of risks, each certified with confidence 1 - ``delta``."""

    rows: tuple[Risk, ...]  # by increasing max_error
    n: int  # certifying photos
    delta: float  # chance that a threshold lets more errors through than it promises

    def threshold_for(self, max_error: float) -> float | None:
        """Return the threshold of the largest listed risk ≤ ``max_error``.

        ``None`` means that so small a risk is not listed or was not certified: every answer has
        to be "unsure" then.
        """
        rows = [row for row in self.rows if row.max_error <= max_error]
        return rows[-1].threshold if rows else None

    def explain(self, max_error: float) -> str:
        """Return what the table says of ``max_error``: a threshold, or why there is none."""
        rows = [row for row in self.rows if row.max_error <= max_error]
        if not rows:
            return (
                f"no threshold keeps errors to {100 * max_error:g} %; the smallest risk examined "
                f"is {100 * self.rows[0].max_error:g} %"
            )
        row = rows[-1]
        promise = f"at most {100 * row.max_error:g} % of the answers given may be wrong"
        if row.threshold is not None:
            return (
                f"{promise}: from confidence {row.threshold:.6g} on, where {row.errors} of "
                f"{counted(row.accepted, 'validation photo was', 'validation photos were')} wrong"
            )
        if row.needed is None:
            return f"{promise}: out of reach, even its most confident answers are wrong too often"
        return (
            f"{promise}: {counted(self.n, 'validation photo')} cannot promise that; "
            f"about {row.needed} more might"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, dicts and numbers."""
        return {"rows": [asdict(row) for row in self.rows], "n": self.n, "delta": self.delta}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the table that `to_json` wrote.

        Raises:
            ValueError: a value is no number, or there is no row.
        """
        rows = tuple(_row_from_json(row) for row in values["rows"])
        if not rows:
            raise ValueError("a table of risks needs at least one row.")
        return cls(rows=rows, n=int(values["n"]), delta=float(values["delta"]))


def _row_from_json(values: Mapping[str, Any]) -> Risk:
    def number(name: str) -> float | None:
        return None if values[name] is None else float(values[name])

    return Risk(
        max_error=float(values["max_error"]),
        threshold=number("threshold"),
        accepted=int(values["accepted"]),
        errors=int(values["errors"]),
        bound=number("bound"),
        needed=None if values["needed"] is None else int(values["needed"]),
    )


def risk_table(
    confidence_N: NDArray[np.floating],
    correct_N: NDArray[np.bool_],
    *,
    risks: Sequence[float] = RISKS,
    delta: float = 0.1,
) -> RiskTable:
    """Return for each risk the laxest threshold that the photos certify.

    Of the answers with confidence ≥ threshold at most ``max_error`` are wrong, for photos drawn
    like the certifying ones, which no part of the model may have seen; the certificate itself
    fails with probability ``delta`` at most. That holds for one risk chosen beforehand, not for
    all rows at once.

    Fixed-sequence testing (Learn then Test, Angelopoulos et al., Annals of Applied Statistics
    2025): thresholds are tested from strict to lax by exact binomial tails and the first failure
    ends the walk, so that testing many costs nothing. It starts at the strictest threshold with
    photos enough to pass, a choice that looks at no error.

    Raises:
        ValueError: the arrays do not fit together, or an argument is no share.
    """
    _check(confidence_N, correct_N)
    if not 0 < delta < 1 or not risks or not all(0 < risk < 1 for risk in risks):
        raise ValueError(f"risks {tuple(risks)} and delta {delta} must lie between 0 and 1.")
    accepted_G = _at_or_above(confidence_N)
    errors_G = _at_or_above(confidence_N[~correct_N])
    rows = tuple(_certify(accepted_G, errors_G, risk, delta) for risk in sorted(risks))
    return RiskTable(rows=rows, n=len(confidence_N), delta=delta)


def _check(confidence_N: NDArray[np.floating], correct_N: NDArray[np.bool_]) -> None:
    if confidence_N.ndim != 1 or confidence_N.shape != correct_N.shape:
        raise ValueError(
            f"confidences of shape {confidence_N.shape} and answers of shape {correct_N.shape} "
            "do not fit; one of each per photo needed."
        )
    if correct_N.dtype != np.bool_:
        raise ValueError(f"answers are {correct_N.dtype}; booleans, right or wrong, needed.")
    if not ((confidence_N >= 0) & (confidence_N <= 1 + 1e-6)).all():  # NaN fails as well
        raise ValueError("confidences must lie between 0 and 1.")


def _at_or_above(confidence_N: NDArray[np.floating]) -> NDArray[np.int64]:
    ordered_N = np.sort(confidence_N.astype(np.float64))
    below_G = np.searchsorted(ordered_N, _GRID, side="left")
    return np.asarray(len(confidence_N) - below_G, dtype=np.int64)


def _certify(
    accepted_G: NDArray[np.int64], errors_G: NDArray[np.int64], risk: float, delta: float
) -> Risk:
    last = None
    for i in range(_first(accepted_G, risk, delta), len(_GRID)):
        if binomial_tail(int(errors_G[i]), int(accepted_G[i]), risk) > delta:
            break
        last = i
    if last is None:
        return Risk(
            max_error=risk,
            threshold=None,
            accepted=0,
            errors=0,
            bound=None,
            needed=_needed(accepted_G, errors_G, risk, delta),
        )
    accepted, errors = int(accepted_G[last]), int(errors_G[last])
    return Risk(
        max_error=risk,
        threshold=float(_GRID[last]),
        accepted=accepted,
        errors=errors,
        bound=upper_bound(errors, accepted, delta),
        needed=None,
    )


def _first(accepted_G: NDArray[np.int64], risk: float, delta: float) -> int:
    """Return where the walk starts: the strictest threshold that enough photos reach, if any.

    Enough to pass without an error, that is; and if half of the photos allow it, with a few,
    because real data hold wrong labels and one confident mistake must not end everything.
    """
    n = int(accepted_G[-1])
    enough = photos_needed(risk, delta)
    if enough > n:
        return len(_GRID)
    for errors in range(1, FORGIVEN + 1):
        more = photos_needed(risk, delta, errors=errors)
        if more > n / 2:
            break
        enough = more
    return int(np.argmax(accepted_G >= enough))


def photos_needed(risk: float, delta: float, *, errors: int = 0) -> int:
    """Return how many accepted photos, ``errors`` of them wrong, certify ``risk``."""
    low, high = errors, max(1, ceil(log(delta) / log1p(-risk)))
    while binomial_tail(errors, high, risk) > delta:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if binomial_tail(errors, middle, risk) > delta else (low, middle)
    return high


def _needed(
    accepted_G: NDArray[np.int64], errors_G: NDArray[np.int64], risk: float, delta: float
) -> int | None:
    """Return how many photos to add, should each threshold go on failing at the rate seen.

    One mistake more than that is allowed for, or else it would take luck. The threshold that needs
    fewest counts; two digits are kept; ``None`` if errors are too frequent at every one.
    """
    n = int(accepted_G[-1])
    if n == 0:
        return _two_digits(photos_needed(risk, delta, errors=1))
    laxest = {int(e): int(m) for e, m in zip(errors_G, accepted_G, strict=True) if m}
    totals = [
        ceil(enough * n / accepted)
        for errors, accepted in laxest.items()
        if (enough := _enough(errors, accepted, risk, delta)) is not None
    ]
    return _two_digits(max(1, min(totals) - n)) if totals else None


def _two_digits(photos: int) -> int:
    unit = int(10 ** max(0, len(str(photos)) - 2))
    return ceil(photos / unit) * unit


def _enough(errors: int, accepted: int, risk: float, delta: float) -> int | None:
    """Return how many accepted photos would certify the risk at the error rate seen, and one."""
    rate = errors / accepted
    if rate >= risk:
        return None
    total = photos_needed(risk, delta, errors=1)
    while binomial_tail(ceil(rate * total) + 1, total, risk) > delta:
        total = ceil(1.05 * total)
        if total > _MOST:
            return None
    return total


def binomial_tail(errors: int, trials: int, risk: float) -> float:
    """Return P(at most ``errors`` in ``trials``) where each one fails with chance ``risk``."""
    steps = np.arange(1, min(errors, trials) + 1)
    odds = log(risk) - log1p(-risk)
    log_ratios = np.cumsum(np.log((trials - steps + 1) / steps) + odds)
    log_terms = trials * log1p(-risk) + np.concatenate([[0.0], log_ratios])
    return min(1.0, float(np.exp(log_terms).sum()))


def upper_bound(errors: int, trials: int, delta: float) -> float:
    """Return the Clopper–Pearson upper bound of an error rate (Biometrika 1934), at 1 - delta."""
    if errors >= trials:
        return 1.0
    low, high = errors / trials, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if binomial_tail(errors, trials, middle) > delta else (low, middle)
        )
    return high
