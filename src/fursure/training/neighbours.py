"""Features → the most similar other photos of each photo.

Dimension key: N photos, B photos of a block, M references, D features, R directions, J neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.training.ridge import Matrix, Rows

COUNT = 30  # neighbours
DIRECTIONS = 300  # principal ones; the others tell photos apart, not what they show
WHITENED = 0.7  # 0: directions weigh by their spread; 1: all the same
REFERENCES = 16384  # at most, so that time grows with the photos and not with their square
BLOCK = 256  # photos compared at once, to bound the memory
NONE = -2.0  # below every cosine: no such neighbour


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest first; where a photo has fewer, the similarity is `NONE`."""

    index_NJ: NDArray[np.int32]  # rows
    similarity_NJ: Matrix  # cosines

    @property
    def real_NJ(self) -> NDArray[np.bool_]:
        """Whether there is such a neighbour."""
        return np.asarray(self.similarity_NJ > NONE)


def nearest(
    rows: Rows, group_N: NDArray[np.integer], *, count: int = COUNT, seed: int = 0
) -> Neighbours:
    """Return the ``count`` most similar photos of each, none of them of its own group.

    A photo and its near-duplicates would vouch for each other.
    """
    chosen_M = np.sort(np.random.default_rng(seed).permutation(len(rows))[:REFERENCES])
    count = max(1, min(count, len(chosen_M)))
    axes_DR = _axes(rows)
    references_MR = _unit(np.concatenate([rows.at(part) @ axes_DR for part in _parts(chosen_M)]))
    index_NJ = np.zeros((len(rows), count), np.int32)
    similarity_NJ = np.full((len(rows), count), NONE, np.float32)
    for part in _parts(np.arange(len(rows))):
        cosine_BM = _unit(rows.at(part) @ axes_DR) @ references_MR.T
        cosine_BM[group_N[part][:, None] == group_N[chosen_M][None, :]] = NONE
        top_BJ = np.argpartition(cosine_BM, -count, axis=1)[:, -count:]
        value_BJ = np.take_along_axis(cosine_BM, top_BJ, axis=1)
        order_BJ = np.argsort(-value_BJ, axis=1, kind="stable")
        index_NJ[part] = chosen_M[np.take_along_axis(top_BJ, order_BJ, axis=1)]
        similarity_NJ[part] = np.take_along_axis(value_BJ, order_BJ, axis=1)
    return Neighbours(index_NJ, similarity_NJ)


def _parts(index_N: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [index_N[start : start + BLOCK] for start in range(0, len(index_N), BLOCK)]


def _axes(rows: Rows) -> Matrix:
    """Return the principal directions (D, R), partly whitened."""
    variance_D, turn_DD = np.linalg.eigh(rows.covariance())
    variance_R = np.maximum(variance_D[::-1][:DIRECTIONS], 1e-6)
    axes_DR = turn_DD[:, ::-1][:, :DIRECTIONS] / variance_R ** (WHITENED / 2)
    return np.asarray(axes_DR, np.float32)


def _unit(rows_BR: Matrix) -> Matrix:
    norm_B1 = np.sqrt(np.einsum("br,br->b", rows_BR, rows_BR))[:, None]
    return np.asarray(rows_BR / np.maximum(norm_B1, 1e-12))
