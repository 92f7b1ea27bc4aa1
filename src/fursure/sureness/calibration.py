"""Logits → probabilities that mean what they say.

Dimension key: N photos, K classes.
"""

from math import exp, log

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 0.05, 20.0  # temperatures beyond these would say something is broken
DOUBT = 1.92  # nats of likelihood that a 95 % interval gives up: half of 1.96 squared


def logsumexp(logits_NK: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return log Σ exp(logits) over the last axis, without overflow at any scale."""
    logits_NK = np.asarray(logits_NK, dtype=np.float64)
    top_N1 = logits_NK.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(logits_NK - top_N1).sum(axis=-1)) + top_N1[..., 0])


def softmax(logits_NK: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities over the last axis; a temperature above 1 softens them."""
    scaled_NK = np.asarray(logits_NK, dtype=np.float64) / temperature
    weights_NK = np.exp(scaled_NK - scaled_NK.max(axis=-1, keepdims=True))
    return np.asarray(weights_NK / weights_NK.sum(axis=-1, keepdims=True))


def fit_temperature(logits_NK: NDArray[np.floating], labels_N: NDArray[np.integer]) -> float:
    """Return the temperature under which the labels are likeliest (Guo et al., ICML 2017).

    A normal prior on log T, centred on T = 1 with standard deviation 1, is outweighed by a few
    dozen photos. Below 1, which makes a model surer, T goes on evidence only: photos without a
    mistake ask for ever more certainty, and the mistake that will come is not among them. So one
    of average sureness is added, and T stays 1 unless the 95 % interval (by likelihood ratio) then
    excludes it. The result lies in [0.05, 20].

    Raises:
        ValueError: the arrays do not fit together or are not finite.
    """
    logits_NK, labels_N = _validated(logits_NK, labels_N)
    centred_NK = logits_NK - np.take_along_axis(logits_NK, labels_N[:, None], axis=1)
    log_t = _likeliest(centred_NK)
    return exp(log_t if log_t >= 0 else _sharpened(logits_NK, centred_NK))


def _sharpened(logits_NK: NDArray[np.float64], centred_NK: NDArray[np.float64]) -> float:
    """Return the log T below 0 that the photos and one more mistake ask for beyond doubt, or 0."""
    ordered_NK = np.sort(logits_NK, axis=1)
    mistake_K = np.zeros(logits_NK.shape[1])  # its own class last, as are all but the one named
    mistake_K[0] = (ordered_NK[:, -1] - ordered_NK[:, -2]).mean()
    centred_NK = np.vstack([centred_NK, mistake_K])
    log_t = min(0.0, _likeliest(centred_NK))
    return log_t if _loss(centred_NK, 0.0) - _loss(centred_NK, log_t) > DOUBT else 0.0


def _likeliest(centred_NK: NDArray[np.float64]) -> float:
    """Return the log T of the least loss."""
    low, high = log(COLDEST), log(HOTTEST)
    log_t = 0.0
    for _ in range(60):  # Newton, and bisection where a step would leave the bracket
        slope, curvature = _slope(centred_NK, log_t)
        low, high = (low, log_t) if slope > 0 else (log_t, high)
        step = log_t - slope / curvature if curvature > 0 else low
        moved = step if low < step < high else (low + high) / 2
        if abs(moved - log_t) < 1e-7:
            break
        log_t = moved
    return log_t


def _loss(centred_NK: NDArray[np.float64], log_t: float) -> float:
    """Return the nats summed over photos, and the prior's."""
    return float(logsumexp(centred_NK * exp(-log_t)).sum()) + log_t**2 / 2


def _slope(centred_NK: NDArray[np.float64], log_t: float) -> tuple[float, float]:
    """Return the first two derivatives, in log T, of the loss: nats summed over photos + prior.

    With 1/T = s the loss Σ logsumexp(s·z) is convex in s: its derivatives are the mean and the
    variance of z under the softmax, z being the logits less that of the true class.
    """
    sharpness = exp(-log_t)
    probs_NK = softmax(centred_NK, temperature=1 / sharpness)
    mean_N = (probs_NK * centred_NK).sum(axis=1)
    variance_N = (probs_NK * centred_NK**2).sum(axis=1) - mean_N**2
    first, second = float(mean_N.sum()), float(variance_N.sum())
    return log_t - sharpness * first, 1 + sharpness * first + sharpness**2 * second


def _validated(
    logits_NK: NDArray[np.floating], labels_N: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if logits_NK.ndim != 2 or labels_N.shape != logits_NK.shape[:1] or not len(labels_N):
        raise ValueError(
            f"logits of shape {logits_NK.shape} and labels of shape {labels_N.shape} do not fit; "
            "(photos, classes) and (photos,) needed."
        )
    if not np.isfinite(logits_NK).all():
        raise ValueError("logits contain NaN or infinity.")
    if not np.issubdtype(labels_N.dtype, np.integer):
        raise ValueError(f"labels are {labels_N.dtype}; integers needed.")
    if labels_N.min() < 0 or labels_N.max() >= logits_NK.shape[1]:
        raise ValueError(f"labels must lie between 0 and {logits_NK.shape[1] - 1}.")
    return logits_NK.astype(np.float64), labels_N.astype(np.int64)
