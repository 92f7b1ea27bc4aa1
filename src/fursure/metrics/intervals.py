"""A measured value → the same value with a 95 % interval and its n.

Everything here is NumPy: SciPy and scikit-learn cost a second of import, and the tests check
the results against them.

Dimension key: N photos, R draws, M columns.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isnan, nan, sqrt
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

NORMAL = NormalDist()
Z_95 = NORMAL.inv_cdf(0.975)  # two-sided 95 %
SUREST = 1e-6  # is missing from 1 at least, where the cost of a mistake is asked: 13.8 nats


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value with its 95 % interval; prints as ``98.40% [97.42%, 99.01%]``.

    ``f"{estimate:.4f}"`` formats the three numbers in another way.
    """

    value: float  # NaN when nothing was measured
    low: float
    high: float
    n: int | None = None  # trials behind the value
    percent: bool = True  # False for what is no share: log loss in nats, an area

    def __format__(self, spec: str) -> str:
        if isnan(self.value):
            return "undefined (n = 0)"
        spec = spec or (".2%" if self.percent else ".4f")
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return f"{self:}"

    def widened(self, times: float, *, top: float | None = None) -> Self:
        """Return it with each end so many times as far from the value, within 0 and ``top``.

        ``top`` is 1 for a share.
        """
        if isnan(self.value):
            return self
        top = 1.0 if self.percent else top
        low = max(0.0, self.value - times * (self.value - self.low))
        high = self.value + times * (self.high - self.value)
        return replace(self, low=low, high=high if top is None else min(top, high))

    def to_json(self) -> dict[str, Any]:
        """Return plain values; an undefined value is ``None``, never NaN."""
        return asdict(self) | {"value": None if isnan(self.value) else self.value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the estimate that `to_json` wrote."""
        value = nan if values["value"] is None else float(values["value"])
        low, high, n = float(values["low"]), float(values["high"]), values["n"]
        return cls(value, low, high, None if n is None else int(n), bool(values["percent"]))


def proportion(successes: int, trials: int) -> Estimate:
    """Estimate a proportion with the Wilson score interval (Wilson, JASA 1927).

    Unlike p ± z·se it stays inside [0, 1] and honest near 1, where good classifiers live.
    Zero trials say nothing: the value is NaN and the interval all of [0, 1].

    Raises:
        ValueError: the counts are impossible.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials are impossible counts.")
    if trials == 0:
        return Estimate(nan, 0.0, 1.0, 0)
    return Estimate(successes / trials, *_wilson(successes / trials, trials), trials)


def bounded(value: float, standard_error: float, *, trials: float, n: int) -> Estimate:
    """Estimate a score in [0, 1] from its standard error, as a proportion of as many trials.

    The Wilson interval at the effective number of trials value·(1 - value)/se² (Korn and
    Graubard, Survey Methodology 1998) stays inside [0, 1] and, unlike a bootstrap, says something
    about a perfect score. ``trials`` caps that number: a few lucky photos must not look like many.
    """
    spread = value * (1 - value)
    effective = min(trials, spread / standard_error**2) if spread and standard_error else trials
    return Estimate(value, *_wilson(value, effective), n)


def _wilson(share: float, trials: float) -> tuple[float, float]:
    weight = Z_95 * Z_95 / trials
    centre = (share + weight / 2) / (1 + weight)
    margin = Z_95 / (1 + weight) * sqrt((share * (1 - share) + weight / 4) / trials)
    return min(share, max(0.0, centre - margin)), max(share, min(1.0, centre + margin))


def resampled_means(
    columns_NM: NDArray[np.float64], *, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the column means (R, M) of bootstrap samples of the rows.

    A resample is a vector of counts and all means are one matrix product, so every figure that
    depends on sums over photos shares the same draws.
    """
    rng, rows = np.random.default_rng(seed), len(columns_NM)
    means_RM = np.empty((resamples, columns_NM.shape[1]))
    batch = max(1, min(resamples, 2_000_000 // rows))  # 16 MB of counts
    for start in range(0, resamples, batch):
        counts_BN = np.empty((min(batch, resamples - start), rows))
        for counts_N in counts_BN:
            counts_N[:] = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        means_RM[start : start + batch] = counts_BN @ columns_NM / rows
    return means_RM


def bootstrap(
    values_N: NDArray[np.float64], means_R: NDArray[np.float64] | None = None, *, seed: int = 0
) -> Estimate:
    """Estimate the mean of per-photo values by the BCa bootstrap (Efron, JASA 1987).

    Losses are skewed, a few photos carrying most of the sum: BCa shifts the percentiles by the
    bias and the acceleration, here skewness / 6√n. ``means_R`` reuses draws made already.
    """
    value, n = float(values_N.mean()), len(values_N)
    if means_R is None:
        means_R = resampled_means(values_N[:, None], seed=seed)[:, 0]
    centred_N = values_N - value
    spread = float(np.sum(centred_N**2))
    if spread == 0:
        return Estimate(value, value, value, n, percent=False)
    below = float(np.mean(means_R < value) + np.mean(means_R == value) / 2)
    edge = 1 / (len(means_R) + 1)
    bias = NORMAL.inv_cdf(min(max(below, edge), 1 - edge))
    acceleration = float(np.sum(centred_N**3)) / (6 * spread**1.5)
    shares = [
        NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (-Z_95, Z_95)
    ]
    low, high = np.quantile(means_R, shares)
    return Estimate(value, float(low), float(high), n, percent=False)


@dataclass(frozen=True, slots=True)
class Reweighted:
    """Means under random weights, one of which belongs to a photo that was not seen."""

    seen_RM: NDArray[np.float64]  # weighted sums of the columns, short of the weight below
    unseen_R: NDArray[np.float64]  # that photo's weight, 1 / (N + 1) on average

    def of(self, columns: slice) -> Self:
        """Return the draws of some columns."""
        return type(self)(self.seen_RM[:, columns], self.unseen_R)


def reweighted(columns_NM: NDArray[np.float64], *, draws: int = 2000, seed: int = 0) -> Reweighted:
    """Draw weights for N photos and an unseen one (Rubin's Bayesian bootstrap, 1981).

    All figures that are sums over photos share the draws, and all means are one matrix product.
    """
    rng, rows = np.random.default_rng(seed), len(columns_NM)
    seen_RM, unseen_R = np.empty((draws, columns_NM.shape[1])), np.empty(draws)
    batch = max(1, min(draws, 2_000_000 // rows))  # 16 MB of weights
    for start in range(0, draws, batch):
        weights_BN = rng.standard_exponential((min(batch, draws - start), rows + 1))
        weights_BN /= weights_BN.sum(axis=1, keepdims=True)
        seen_RM[start : start + batch] = weights_BN[:, :-1] @ columns_NM
        unseen_R[start : start + batch] = weights_BN[:, -1]
    return Reweighted(seen_RM, unseen_R)


def mean_loss(
    losses_N: NDArray[np.float64], worst: float, drawn: Reweighted | None = None, *, seed: int = 0
) -> Estimate:
    """Estimate the mean of losses whose largest may not have been seen yet.

    Photos get random weights, and with them one more photo: for the upper end it costs ``worst``,
    for the lower end nothing. Without it a bootstrap of small losses knows small losses only.
    Where losses are 0 or ``worst`` these are the exact bounds of Clopper and Pearson; between
    them, those that Gaffke conjectured (Mathematical Methods of Statistics, 2005).
    """
    value = float(losses_N.mean())
    if drawn is None:
        drawn = reweighted(losses_N[:, None], seed=seed)
    seen_R = drawn.seen_RM[:, 0]
    low = float(np.quantile(seen_R, 0.025))
    high = float(np.quantile(seen_R + worst * drawn.unseen_R, 0.975))
    return Estimate(value, min(low, value), max(high, value), len(losses_N), percent=False)


def cost_of_a_mistake(losses_N: NDArray[np.float64]) -> float:
    """Return what being wrong costs on an average photo, in nats, judged by log losses.

    A photo whose class had probability p cost -log p, and would have cost -log(1 - p) under the
    other label: the larger of the two is that of a wrong answer. Of two classes that is exact; of
    more it takes all the rest for one class.
    """
    missing_N = np.maximum(-np.expm1(-losses_N), SUREST)
    return float(np.maximum(losses_N, -np.log(missing_N)).mean())
