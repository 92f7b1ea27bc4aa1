"""Features and labels → which labels are probably wrong, and which photos belong to no class.

Two judges that never saw a photo's own label: a linear model fitted without the photo's fold
(`ridge`), and the labels of the photos most similar to it (`neighbours`). What each is worth is
learnt from all photos together, once with all of them and once without the most doubtful, whose
labels would teach the wrong lesson.

Dimension key: N photos, K classes, J neighbours, P parameters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.sureness.calibration import softmax
from fursure.training.heads import class_weights
from fursure.training.lbfgs import minimise
from fursure.training.neighbours import Neighbours, alike, familiar, nearest
from fursure.training.ridge import Matrix, Rows, out_of_fold

DOUBTFUL = 0.03  # share of the photos that the second fit leaves out
VOTERS = 30  # most similar photos whose labels count
TENTH = 10  # neighbour by which a photo is familiar or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the others say of each photo."""

    probs_NK: Matrix  # of each class, by both judges
    doubt_N: Matrix  # log odds of the likeliest other label against the given one; > 0: suspect
    other_N: NDArray[np.intp]  # that other label
    agree_N: NDArray[np.intp]  # of the ten nearest, how many bear the given label
    neighbours: Neighbours  # by what they show
    familiar: Neighbours  # by how they look as a whole
    similarity_N: Matrix  # to the tenth most familiar photo; low: it resembles nothing here


def judge(
    features_ND: NDArray[np.floating],
    labels_N: NDArray[np.integer],
    classes: int,
    fold_N: NDArray[np.integer],
    group_N: NDArray[np.integer],
    *,
    seed: int = 0,
) -> Judged:
    """Judge every photo by the others; those of one group are in one fold."""
    rows = Rows.of(features_ND, roots=True)
    # between each photo the same and each class the same: a rare class is heard, not obeyed
    weight_N = np.sqrt(class_weights(labels_N, classes, balanced=True))
    neighbours = nearest(alike(rows), group_N, count=VOTERS, seed=seed)
    share_NK = _shares(neighbours, labels_N, classes, weight_N)
    score_NK = np.zeros_like(share_NK)
    if classes > 1 and len(np.unique(fold_N)) > 1:
        score_NK = out_of_fold(rows, labels_N, classes, fold_N, weight_N)
    probs_NK = _weighed(score_NK, share_NK, labels_N)
    doubt_N, other_N = _doubts(probs_NK, labels_N)
    known = nearest(familiar(features_ND), group_N, count=TENTH, seed=seed)
    ten_NJ = neighbours.index_NJ[:, :TENTH]
    alike_NJ = (labels_N[ten_NJ] == labels_N[:, None]) & neighbours.present[:, :TENTH]
    return Judged(
        probs_NK=probs_NK.astype(np.float32),
        doubt_N=doubt_N,
        other_N=other_N,
        agree_N=alike_NJ.sum(axis=1),
        neighbours=neighbours,
        familiar=known,
        similarity_N=np.where(known.present, known.similarity_NJ, 1).min(axis=1),
    )


def _shares(
    found: Neighbours, labels_N: NDArray[np.integer], classes: int, weight_N: Matrix
) -> Matrix:
    """Return the share (N, K) of each class among the neighbours."""
    share_NK = np.zeros((len(labels_N), classes), np.float32)
    everyone = np.arange(len(labels_N))
    for index_N, real_N in zip(found.index_NJ.T, found.present.T, strict=True):
        share_NK[everyone, labels_N[index_N]] += weight_N[index_N] * real_N
    return np.asarray(share_NK / np.maximum(share_NK.sum(axis=1, keepdims=True), 1e-12))


def _weighed(score_NK: Matrix, share_NK: Matrix, labels_N: NDArray[np.integer]) -> Matrix:
    """Return the probabilities by a weight for each judge and a bias for each class."""
    classes = score_NK.shape[1]
    keep_N = np.ones(len(labels_N), bool)
    params_P = np.concatenate([[4.0, 2.0], np.zeros(classes)]).astype(np.float32)
    probs_NK = share_NK
    for _ in range(2):
        params_P = _fitted(params_P, score_NK[keep_N], share_NK[keep_N], labels_N[keep_N])
        probs_NK = softmax(_logits(params_P, score_NK, share_NK)).astype(np.float32)
        doubt_N, _ = _doubts(probs_NK, labels_N)
        left_out = np.argsort(-doubt_N, kind="stable")[: int(DOUBTFUL * len(labels_N))]
        keep_N = np.ones(len(labels_N), bool)
        keep_N[left_out] = False
    return probs_NK


def _logits(params_P: Matrix, score_NK: Matrix, share_NK: Matrix) -> Matrix:
    return np.asarray(params_P[0] * score_NK + params_P[1] * share_NK + params_P[2:])


def _fitted(
    start_P: Matrix, score_NK: Matrix, share_NK: Matrix, labels_N: NDArray[np.integer]
) -> Matrix:
    target_NK = np.eye(score_NK.shape[1], dtype=np.float32)[labels_N]
    count = np.float32(max(len(labels_N), 1))

    def objective(params_P: Matrix) -> tuple[float, Matrix]:
        probs_NK = softmax(_logits(params_P, score_NK, share_NK)).astype(np.float32)
        given_N = (probs_NK * target_NK).sum(axis=1)
        slope_NK = (probs_NK - target_NK) / count
        loss = -float(np.log(np.maximum(given_N, 1e-12)).mean())
        slope_P = np.concatenate(
            [[(slope_NK * score_NK).sum(), (slope_NK * share_NK).sum()], slope_NK.sum(axis=0)]
        )
        gone_P = params_P - start_P  # a weak pull, so that a perfect score stays finite
        return loss + 1e-4 * float(gone_P @ gone_P), (slope_P + 2e-4 * gone_P).astype(np.float32)

    return minimise(objective, start_P, decrease=1e-7, slope=1e-6)


def _doubts(probs_NK: Matrix, labels_N: NDArray[np.integer]) -> tuple[Matrix, NDArray[np.intp]]:
    """Return how much likelier the best other label is than the given one, and that label."""
    rows = np.arange(len(labels_N))
    others_NK = probs_NK.astype(np.float64)
    given_N = others_NK[rows, labels_N]
    others_NK[rows, labels_N] = -1.0
    other_N = others_NK.argmax(axis=1)
    best_N = np.maximum(others_NK[rows, other_N], 1e-30)
    return np.log(best_N / np.maximum(given_N, 1e-30)).astype(np.float32), other_N
