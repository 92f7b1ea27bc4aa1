"""Probabilities, labels or counts → one figure each, with its interval.

Dimension key: N photos, K classes, C cells of a confusion, B calibration bins, P positives,
Q negatives, R draws.
"""

from math import erf, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.confusion import Confusion
from fursure.metrics.intervals import Estimate, Reweighted, bounded, proportion

BINS, ENOUGH = 15, 20  # calibration bins at most, and photos in each at least, where there are some
FLOOR = 1e-12  # a probability below it counts as it: log loss stays finite, at most 27.6 nats


def validated(
    probs_NK: NDArray[np.floating], labels_N: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return both in double precision, once they are known to be probabilities and classes.

    Raises:
        ValueError: a sentence about the first thing wrong.
    """
    given_NK, given_N = np.asarray(probs_NK), np.asarray(labels_N)
    if given_NK.ndim != 2 or given_NK.shape[1] < 2:
        raise ValueError(
            f"probabilities have shape {given_NK.shape}; (photos, classes) of two classes or more "
            "needed."
        )
    if given_N.shape != given_NK.shape[:1]:
        raise ValueError(
            f"labels of shape {given_N.shape} do not fit {len(given_NK)} rows of probabilities."
        )
    if len(given_N) == 0:
        raise ValueError("there are no photos to evaluate.")
    if not np.issubdtype(given_N.dtype, np.integer):
        raise ValueError(f"labels are {given_N.dtype}; integers needed.")
    classes = given_NK.shape[1]
    if given_N.min() < 0 or given_N.max() >= classes:
        raise ValueError(
            f"labels run from {given_N.min()} to {given_N.max()}; {classes} classes allow 0 to "
            f"{classes - 1}."
        )
    doubles_NK = given_NK.astype(np.float64)
    if not np.isfinite(doubles_NK).all():
        raise ValueError("probabilities contain NaN or infinity.")
    if doubles_NK.min() < 0:
        raise ValueError(f"probabilities go down to {doubles_NK.min():g}; none may be negative.")
    worst = float(np.abs(doubles_NK.sum(axis=1) - 1).max())
    if worst > 1e-3:  # half precision rounds a sum by as much
        raise ValueError(f"rows of probabilities miss a sum of 1 by up to {worst:g}.")
    return doubles_NK, given_N.astype(np.int64)


def log_losses(probs_NK: NDArray[np.float64], labels_N: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return -log p(true class) of each photo, in nats, at most -log `FLOOR`."""
    return np.asarray(-np.log(probs_NK[np.arange(len(labels_N)), labels_N].clip(FLOOR, 1)))


def brier_losses(probs_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the squared distance of each row to the one-hot label, in [0, 2]."""
    own_N = probs_NK[np.arange(len(labels_N)), labels_N]
    others_N = np.einsum("nk,nk->n", probs_NK, probs_NK) - own_N**2  # no second array of N x K
    return np.asarray(others_N.clip(0) + (1 - own_N) ** 2)


def top(count: int, probs_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> Estimate:
    """Estimate how often the true class is among the likeliest; ties go to the earlier class."""
    own_N1 = np.take_along_axis(probs_NK, labels_N[:, None], axis=1)
    earlier_NK = np.arange(probs_NK.shape[1]) < labels_N[:, None]
    rank_N = ((probs_NK > own_N1) | ((probs_NK == own_N1) & earlier_NK)).sum(axis=1)
    return proportion(int((rank_N < count).sum()), len(labels_N))


def roc_auc(probs_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> Estimate | None:
    """Estimate the area under the ROC curve; ``None`` if only one class has photos.

    Two classes: of the second one. More: the mean over classes, each against the rest. The
    standard error comes from each photo's influence (DeLong et al., Biometrics 1988), summed over
    the curves that the photo is part of.
    """
    support_K = np.bincount(labels_N, minlength=probs_NK.shape[1])
    present = np.flatnonzero(support_K).tolist()
    if len(present) < 2:
        return None
    curves = present if probs_NK.shape[1] > 2 else [1]
    total, influence_N = 0.0, np.zeros(len(labels_N))
    for k in curves:
        own_N = labels_N == k
        own_P, rest_Q = probs_NK[own_N, k], probs_NK[~own_N, k]
        above_P = _share_below(own_P, rest_Q)
        under_Q = 1 - _share_below(rest_Q, own_P)
        area = float(above_P.mean())
        influence_N[own_N] += (above_P - area) / len(own_P)
        influence_N[~own_N] += (under_Q - area) / len(rest_Q)
        total += area
    error = sqrt(float(np.sum(influence_N**2))) / len(curves)
    share = bounded(total / len(curves), error, trials=macro_trials(support_K), n=len(labels_N))
    return Estimate(share.value, share.low, share.high, share.n, percent=False)


def _share_below(
    scores_P: NDArray[np.float64], others_Q: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for each score the share of the others below it, ties counting half."""
    ordered_Q = np.sort(others_Q)
    below_P = np.searchsorted(ordered_Q, scores_P, side="left")
    upto_P = np.searchsorted(ordered_Q, scores_P, side="right")
    return np.asarray((below_P + upto_P) / (2 * len(others_Q)))


def calibration_gaps(
    confidence_N: NDArray[np.float64], correct_N: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return confidence - correctness of each photo in the column of its bin.

    Bins hold equally many photos (Nixon et al., CVPR workshops 2019): with equal widths nearly
    all photos of a good model lie in the last of Guo's 15. Of few photos there are fewer bins: in
    bins of three, chance alone is far off. Equal confidences share a bin, so the order of the
    photos never matters.
    """
    bins = min(BINS, max(1, len(confidence_N) // ENOUGH))
    edges = np.quantile(confidence_N, np.arange(1, bins) / bins)
    bin_N = np.searchsorted(edges, confidence_N, side="right")
    gaps_NB = np.zeros((len(confidence_N), bins))
    gaps_NB[np.arange(len(bin_N)), bin_N] = confidence_N - correct_N
    return gaps_NB


def calibration_error(gaps_NB: NDArray[np.float64], drawn: Reweighted) -> Estimate:
    """Estimate the expected calibration error (Guo et al., ICML 2017) from gaps and their draws.

    As it is defined it lies too high, for noise in each bin adds to it. Drawn once more it would
    lie higher by as much again, and that much is taken off (the bootstrap's correction of bias,
    Efron and Tibshirani, 1993, chapter 10, with normal noise, so that no draw is needed).

    The percentiles of the draws alone would always miss a well calibrated model. So the lower end
    is the pivotal one, and 0 where a calibrated model of these confidences would score as badly
    one time in forty. The upper end counts a confident mistake that was not seen, as `mean_loss`.
    """
    means_B, sizes_R = gaps_NB.mean(axis=0), np.abs(drawn.seen_RM).sum(axis=1)
    plain = float(np.abs(means_B).sum())
    errors_B = np.sqrt(gaps_NB.var(axis=0) / len(gaps_NB))
    value = max(0.0, 2 * plain - sum(map(_folded, means_B.tolist(), errors_B.tolist())))
    pivotal = max(0.0, 2 * plain - float(np.quantile(sizes_R, 0.975)))
    low = 0.0 if plain <= _by_chance(gaps_NB, draws=len(sizes_R)) else pivotal
    high = max(plain, float(np.quantile(sizes_R + drawn.unseen_R, 0.975)))
    return Estimate(value, min(low, value), min(1.0, high), len(gaps_NB))


def _by_chance(gaps_NB: NDArray[np.float64], *, draws: int) -> float:
    """Return the error that a calibrated model exceeds one time in forty, by normal noise.

    A photo of confidence c is right with chance c, and either way |gap| (1 - |gap|) is the variance
    c (1 - c) of that.
    """
    sizes_NB = np.abs(gaps_NB)
    errors_B = np.sqrt((sizes_NB * (1 - sizes_NB)).sum(axis=0)) / len(gaps_NB)
    noise_RB = np.random.default_rng(0).standard_normal((draws, len(errors_B))) * errors_B
    return float(np.quantile(np.abs(noise_RB).sum(axis=1), 0.975))


def _folded(mean: float, error: float) -> float:
    """Return the mean size of a normal number, its sign left out."""
    if error == 0:
        return abs(mean)
    ratio = mean / error
    return error * sqrt(2 / pi) * exp(-(ratio**2) / 2) + mean * erf(ratio / sqrt(2))


def macro(confusion: Confusion) -> tuple[Estimate, Estimate, Estimate]:
    """Return macro precision, recall and F1 over the classes that have photos.

    Standard errors by the delta method. A class never predicted has precision 0.
    """
    support_K, predicted_K = confusion.support, confusion.predicted
    hits_K, present_K = confusion.hits, support_K > 0
    count, trials, n = int(present_K.sum()), macro_trials(support_K), int(support_K.sum())

    def mean_share(of_K: NDArray[np.int64]) -> Estimate:
        trials_K = of_K.clip(1)[present_K]
        share_K = hits_K[present_K] / trials_K
        error = sqrt(float(np.sum(share_K * (1 - share_K) / trials_K))) / count
        return bounded(float(share_K.mean()), error, trials=trials, n=n)

    size_K = (support_K + predicted_K).clip(1)
    f1_K = np.where(present_K, 2 * hits_K / size_K, 0.0)
    # what one more photo in a cell does to the sum of the F1s: it counts in its row and column
    true_C, answer_C, pull_K = confusion.true_C, confusion.answer_C, f1_K / size_K
    gain_C = np.where(true_C == answer_C, (2 * present_K / size_K)[true_C], 0)
    influence_C = gain_C - pull_K[true_C] - pull_K[answer_C]
    error = sqrt(float(np.sum(confusion.photos_C * influence_C**2))) / count
    f1 = bounded(float(f1_K[present_K].mean()), error, trials=trials, n=n)
    return mean_share(predicted_K), mean_share(support_K), f1


def macro_trials(support_K: NDArray[np.int64]) -> float:
    """Return how many trials a mean over classes is worth: all photos if classes are balanced."""
    present_K = support_K[support_K > 0]
    return float(len(present_K) ** 2 / np.sum(1 / present_K))


def f1_score(hits: int, either: int) -> Estimate:
    """Estimate F1 from the photos of a class or taken for it, ``hits`` of which are both.

    F1 = 2J / (1 + J) grows with the proportion J = hits / either, so Wilson's bounds on J are
    bounds on F1 (Hand, Christen and Kirielle, Machine Learning 2021).
    """
    share = proportion(hits, either)
    value, low, high = (2 * j / (1 + j) for j in (share.value, share.low, share.high))
    return Estimate(value, low, high, either)
