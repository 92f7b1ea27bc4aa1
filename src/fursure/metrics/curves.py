"""Probabilities and labels → the curves of a report: what is gained where something is given up.

Dimension key: N photos, K classes, P positives, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.intervals import Estimate, proportion

POINTS = 200  # of a curve, at most: more than a screen shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points in order; both axes are shares in [0, 1]."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Photos of like confidence, and how often they were right."""

    confidence: float  # mean
    right: Estimate


def roc(probs_NK: NDArray[np.floating], labels_N: NDArray[np.integer], k: int, name: str) -> Curve:
    """Return the true positive rate over the false positive rate of class ``k``.

    Raises:
        ValueError: the class has no photo, or all.
    """
    hits_T, misses_T, own = _cumulated(probs_NK[:, k], labels_N == k)
    rest = len(labels_N) - own
    if not own or not rest:
        raise ValueError("a ROC curve needs photos of the class and photos of others.")
    return _curve(name, misses_T / rest, hits_T / own)


def precision_recall(
    probs_NK: NDArray[np.floating], labels_N: NDArray[np.integer], k: int, name: str
) -> Curve:
    """Return the precision over the recall of class ``k``, from strict to lax thresholds.

    Raises:
        ValueError: the class has no photo.
    """
    hits_T, misses_T, own = _cumulated(probs_NK[:, k], labels_N == k)
    if not own:
        raise ValueError("a precision-recall curve needs photos of the class.")
    taken_T = hits_T + misses_T
    precision_T = np.divide(hits_T, taken_T, out=np.ones(len(taken_T)), where=taken_T > 0)
    return _curve(name, hits_T / own, precision_T)


def _cumulated(
    scores_N: NDArray[np.floating], own_N: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return right and wrong photos at or above each threshold, none of them first."""
    order_N = np.argsort(-scores_N, kind="stable")
    own_N = own_N[order_N]
    last_T = np.append(np.diff(scores_N[order_N]) != 0, True)  # equal scores come together
    hits_T = np.concatenate([[0.0], np.cumsum(own_N)[last_T]])
    misses_T = np.concatenate([[0.0], np.cumsum(~own_N)[last_T]])
    return hits_T, misses_T, int(own_N.sum())


def selective(confidence_N: NDArray[np.floating], correct_N: NDArray[np.bool_]) -> Curve:
    """Return the share of wrong answers among the most confident, over the share answered.

    The risk-coverage curve (El-Yaniv and Wiener, JMLR 2010).
    """
    order_N = np.argsort(-confidence_N, kind="stable")
    last_T = np.append(np.diff(confidence_N[order_N]) != 0, True)
    answered_T = np.arange(1, len(order_N) + 1)[last_T]
    wrong_T = np.cumsum(~correct_N[order_N])[last_T]
    return _curve("wrong among those answered", answered_T / len(order_N), wrong_T / answered_T)


def reliability(
    confidence_N: NDArray[np.floating], correct_N: NDArray[np.bool_], *, bins: int = 10
) -> tuple[Bin, ...]:
    """Return how often photos were right, bin by bin of equally many photos."""
    edges = np.quantile(confidence_N, np.arange(1, bins) / bins)
    bin_N = np.searchsorted(edges, confidence_N, side="right")
    found = []
    for number in range(bins):
        here_N = bin_N == number
        if here_N.any():
            right = proportion(int(correct_N[here_N].sum()), int(here_N.sum()))
            found.append(Bin(confidence=float(confidence_N[here_N].mean()), right=right))
    return tuple(found)


def most_confused(confusion: Sequence[Sequence[int]], count: int) -> list[tuple[int, int, int]]:
    """Return the (true class, answer, photos) of the most frequent confusions."""
    pairs = [
        (row, column, photos)
        for row, counts in enumerate(confusion)
        for column, photos in enumerate(counts)
        if row != column and photos
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:count]


def _curve(name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    """Return a curve of few points: those whose neighbours lie farthest apart along it."""
    if len(x) > POINTS:
        way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS), side="left"))
        kept = np.unique(np.concatenate([[0], kept.clip(0, len(x) - 1), [len(x) - 1]]))
        x, y = x[kept], y[kept]
    return Curve(name=name, x=tuple(x.tolist()), y=tuple(y.tolist()))
