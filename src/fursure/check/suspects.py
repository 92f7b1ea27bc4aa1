"""Features and labels → how likely each label is wrong, and which photos resemble no other.

Two judges that never saw a photo's own label: a linear model fitted without the photo's fold
(`ridge`), and the labels of the photos most similar to it (`neighbours`). What each is worth, and
what their doubts say, is learnt from all photos together (`noise`) but the strangers, whose scores
say nothing.

Dimension key: N photos, K classes, J neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.check.label_noise import Noise, fitted
from fursure.check.neighbours import Neighbours, alike, familiar, nearest
from fursure.graphs.layers import Matrix
from fursure.heads.heads import class_weights
from fursure.heads.ridge import FeatureRows, out_of_fold
from fursure.rows.table import FeatureTable
from fursure.sureness.calibration import softmax

VOTERS = 30  # most similar photos whose labels count
TENTH = 10  # neighbour by which a photo is familiar or not
STRANGER_DISTANCE = 4.0  # times the usual distance below the middle: so unfamiliar is a stranger
FARTHER = 3.0  # the same for a photo whose label is doubted too: strange in two ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the others say of each photo."""

    probs_NK: Matrix  # of each class, by both judges
    doubt_N: NDArray[np.float64]  # log odds against the given label; > 0: rather another
    other_N: NDArray[np.intp]  # the likeliest other label
    noise: Noise  # what the doubts say
    neighbours: Neighbours  # by what they show
    familiar: Neighbours  # by how they look as a whole
    similarity_N: Matrix  # to the tenth most familiar photo; low: it resembles nothing here
    strangeness_N: NDArray[np.float64]  # how far that is below the middle, in median deviations


def judge(
    features_ND: NDArray[np.floating] | FeatureTable,
    labels_N: NDArray[np.integer],
    classes: int,
    fold_N: NDArray[np.integer],
    group_N: NDArray[np.integer],
    *,
    seed: int = 0,
) -> Judged:
    """Judge every photo by the others; those of one group are in one fold."""
    rows = FeatureRows.of(features_ND, roots=True)
    neighbours = nearest(alike(rows), group_N, count=VOTERS, seed=seed)
    known = nearest(familiar(features_ND), group_N, count=TENTH, seed=seed)
    similarity_N = np.where(known.present, known.similarity_NJ, 1).min(axis=1)
    score_NK, share_NK = opinions(rows, neighbours, labels_N, classes, fold_N)
    strangeness_N = strangeness(similarity_N)
    logits_NK, noise = fitted(score_NK, share_NK, labels_N, strangeness_N <= STRANGER_DISTANCE)
    others_NK = logits_NK.copy()
    others_NK[np.arange(len(labels_N)), labels_N] = -np.inf
    return Judged(
        probs_NK=softmax(logits_NK).astype(np.float32),
        doubt_N=-noise.odds_N,
        other_N=others_NK.argmax(axis=1),
        noise=noise,
        neighbours=neighbours,
        familiar=known,
        similarity_N=similarity_N,
        strangeness_N=strangeness_N,
    )


def opinions(
    rows: FeatureRows,
    neighbours: Neighbours,
    labels_N: NDArray[np.integer],
    classes: int,
    fold_N: NDArray[np.integer],
) -> tuple[Matrix, Matrix]:
    """Return the scores (N, K) of the linear judge, and the neighbours' shares (N, K)."""
    # between each photo the same and each class the same: a rare class is heard, not obeyed
    weight_N = np.sqrt(class_weights(labels_N, classes, balanced=True)[labels_N])
    share_NK = _shares(neighbours, labels_N, classes, weight_N)
    if classes > 1 and len(np.unique(fold_N)) > 1:
        return out_of_fold(rows, labels_N, classes, fold_N, weight_N), share_NK
    return np.zeros_like(share_NK), share_NK


def strangeness(similarity_N: Matrix) -> NDArray[np.float64]:
    """Return how far below the middle each similarity is, in median absolute deviations."""
    middle = float(np.median(similarity_N))
    usual = max(float(np.median(np.abs(similarity_N - middle))), 1e-3)
    return np.asarray((middle - similarity_N.astype(np.float64)) / usual)


def _shares(
    found: Neighbours, labels_N: NDArray[np.integer], classes: int, weight_N: Matrix
) -> Matrix:
    """Return the share (N, K) of each class among the neighbours."""
    share_NK = np.zeros((len(labels_N), classes), np.float32)
    everyone = np.arange(len(labels_N))
    for index_N, real_N in zip(found.index_NJ.T, found.present.T, strict=True):
        share_NK[everyone, labels_N[index_N]] += weight_N[index_N] * real_N
    return np.asarray(share_NK / np.maximum(share_NK.sum(axis=1, keepdims=True), 1e-12))
