"""A measured value → the same value with a 95 % interval and its n.

Everything here is NumPy: SciPy and scikit-learn cost a second of import, and the tests check
the results against them.

Dimension key: N photos, R resamples, M columns.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan, nan, sqrt
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)  # two-sided 95 %


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
    weight = Z * Z / trials
    centre = (share + weight / 2) / (1 + weight)
    margin = Z / (1 + weight) * sqrt((share * (1 - share) + weight / 4) / trials)
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
    shares = [NORMAL.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in (-Z, Z)]
    low, high = np.quantile(means_R, shares)
    return Estimate(value, float(low), float(high), n, percent=False)
