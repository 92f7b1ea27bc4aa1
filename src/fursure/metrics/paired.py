"""Two models on the same photos → which is better, by how much, and whether it may be chance.

Two separate intervals ask the wrong question: both models find the same photos hard. Here every
photo is compared with itself.

Dimension key: N photos, K classes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.figures import log_losses, validated
from fursure.metrics.intervals import Z_95, Estimate, bootstrap, proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """The exact McNemar test (McNemar, Psychometrika 1947)."""

    b: int  # photos that only A answered right
    c: int  # photos that only B answered right
    p_value: float  # two-sided, of a split at least as uneven if neither is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Model B against model A on the same photos; differences are B - A."""

    names: tuple[str, str]
    n: int  # photos
    accuracy_a: Estimate
    accuracy_b: Estimate
    accuracy_difference: Estimate  # in [-1, 1], > 0: B is better
    log_loss_difference: Estimate  # nats per photo, < 0: B is better
    mcnemar: McNemar

    @property
    def significant(self) -> bool:
        """Whether the accuracies differ at the 5 % level."""
        return self.mcnemar.p_value < 0.05

    @property
    def verdict(self) -> str:
        """The result in words, with interval, p-value and n."""
        a, b = self.names
        low, high = 100 * self.accuracy_difference.low, 100 * self.accuracy_difference.high
        points, p = 100 * self.accuracy_difference.value, self.mcnemar.p_value
        if points:
            finding = f"{b} is {abs(points):.2f} points {'better' if points > 0 else 'worse'}"
        else:
            finding = f"{b} is as accurate as {a}"
        chance = "p < 0.0001" if p < 0.0001 else f"p = {p:.{4 if p < 0.1 else 2}f}"
        significance = "significant" if self.significant else "not significant"
        return (
            f"{finding}, 95 % interval [{low:+.2f}, {high:+.2f}], {chance}, n = {self.n}: "
            f"{significance}; log loss {self.log_loss_difference:+.4f} nats per photo."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "models": list(self.names),
            "n": self.n,
            "accuracies": [self.accuracy_a.to_json(), self.accuracy_b.to_json()],
            "accuracy_difference": self.accuracy_difference.to_json(),
            "log_loss_difference": self.log_loss_difference.to_json(),
            "mcnemar": asdict(self.mcnemar),
            "verdict": self.verdict,
        }


def compare_paired(
    probs_a_NK: NDArray[np.floating],
    probs_b_NK: NDArray[np.floating],
    labels_N: NDArray[np.integer],
    *,
    names: tuple[str, str] = ("A", "B"),
    seed: int = 0,
) -> Comparison:
    """Compare two models by their probabilities for the same photos.

    Raises:
        ValueError: the arrays do not fit together or hold no probabilities.
    """
    if np.shape(probs_a_NK) != np.shape(probs_b_NK):
        raise ValueError(
            f"{names[0]} has probabilities of shape {np.shape(probs_a_NK)} and {names[1]} of "
            f"{np.shape(probs_b_NK)}; both must score the same photos and classes."
        )
    probs_a_NK, truth_N = validated(probs_a_NK, labels_N)
    probs_b_NK, truth_N = validated(probs_b_NK, labels_N)
    right_a_N = probs_a_NK.argmax(axis=1) == truth_N
    right_b_N = probs_b_NK.argmax(axis=1) == truth_N
    losses_N = log_losses(probs_b_NK, truth_N) - log_losses(probs_a_NK, truth_N)
    return Comparison(
        names=names,
        n=len(truth_N),
        accuracy_a=proportion(int(right_a_N.sum()), len(truth_N)),
        accuracy_b=proportion(int(right_b_N.sum()), len(truth_N)),
        accuracy_difference=accuracy_difference(right_a_N, right_b_N),
        log_loss_difference=bootstrap(losses_N, seed=seed),
        mcnemar=mcnemar(right_a_N, right_b_N),
    )


def mcnemar(correct_a_N: NDArray[np.bool_], correct_b_N: NDArray[np.bool_]) -> McNemar:
    """Test whether one model is right more often, on the photos where just one of them is.

    If neither is better, each such photo is a fair coin: p is an exact binomial tail, doubled.

    Raises:
        ValueError: the models answered different numbers of photos.
    """
    b, c = _discordant(correct_a_N, correct_b_N)
    smaller, tosses = min(b, c), b + c
    steps = np.arange(1, smaller + 1)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((tosses - steps + 1) / steps))])
    tail = float(np.exp(log_ways - tosses * np.log(2)).sum())
    return McNemar(b=b, c=c, p_value=min(1.0, 2 * tail))


def accuracy_difference(correct_a_N: NDArray[np.bool_], correct_b_N: NDArray[np.bool_]) -> Estimate:
    """Estimate accuracy B - accuracy A with the paired score interval (Tango, Stat. Med. 1998).

    It stays inside [-1, 1] and says something even where the models never differ, where a
    bootstrap would claim certainty.

    Raises:
        ValueError: the models answered different numbers of photos, or none.
    """
    b, c = _discordant(correct_a_N, correct_b_N)
    n = len(correct_a_N)
    if n == 0:
        raise ValueError("there are no photos to compare on.")
    value = (c - b) / n
    low = _bisect(lambda difference: _tango(b, c, n, difference) > Z_95, -1.0, value)
    high = _bisect(lambda difference: _tango(b, c, n, difference) >= -Z_95, value, 1.0)
    return Estimate(value, low, high, n)


def _discordant(correct_a_N: NDArray[np.bool_], correct_b_N: NDArray[np.bool_]) -> tuple[int, int]:
    if correct_a_N.shape != correct_b_N.shape or correct_a_N.ndim != 1:
        raise ValueError(
            f"answers of shapes {correct_a_N.shape} and {correct_b_N.shape} cannot be paired."
        )
    return int(np.sum(correct_a_N & ~correct_b_N)), int(np.sum(~correct_a_N & correct_b_N))


def _tango(b: int, c: int, n: int, difference: float) -> float:
    """Return the score statistic of the hypothesis accuracy B - accuracy A = ``difference``."""
    # maximum-likelihood share of photos only A gets right, under the hypothesis (Tango, eq. 10)
    linear = -(b + c) + (2 * n - c + b) * difference
    constant = -b * difference * (1 - difference)
    only_a = (sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * only_a + difference * (1 - difference))
    gap = c - b - n * difference
    return gap / sqrt(variance) if variance > 0 else float(np.sign(gap)) * np.inf


def _bisect(left: Callable[[float], bool], low: float, high: float) -> float:
    """Return where ``left`` turns from true to false between the two ends."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) else (low, middle)
    return (low + high) / 2
