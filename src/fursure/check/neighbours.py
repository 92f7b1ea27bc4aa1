"""Features → the most similar other photos of each photo, in one of two ways of looking.

`alike` asks what a photo shows: the roots of its features, partly whitened, so that a small
difference in kind counts as much as a large one in scenery. `familiar` asks whether anything
looks like it at all: the way from near the mean feature to its own, as it is (the measure of
`fursure.sureness.familiarity`); what it has outside the common directions makes it strange.

Dimension key: N photos, B photos of a block, M references, D features, R directions, J neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.graphs.layers import Matrix
from fursure.heads.ridge import FeatureRows, spanning
from fursure.rows.table import FeatureTable
from fursure.sureness.familiarity import RANK, SHIFT, unit

DIRECTIONS = 300  # principal ones; the others tell photos apart, not what they show
WHITENED = 0.7  # 0: directions weigh by their spread; 1: all the same
REFERENCES = 16384  # at most, so that time grows with the photos and not with their square
PHOTOS_AT_ONCE = 256  # photos compared at once, to bound the memory
NONE = -2.0  # below every cosine: no such neighbour

_Look = Callable[[NDArray[np.intp]], Matrix]  # rows -> vectors (B, R) whose products are compared


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest first; where a photo has fewer, the similarity is `NONE`."""

    index_NJ: NDArray[np.int32]  # rows
    similarity_NJ: Matrix  # cosines

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether (N, J) there is such a neighbour."""
        return np.asarray(self.similarity_NJ > NONE)

    def of(self, row: int) -> list[int]:
        """Return the rows of a photo's neighbours, the nearest first."""
        return [int(other) for other in self.index_NJ[row][self.similarity_NJ[row] > NONE]]


def nearest(look: _Look, group_N: NDArray[np.integer], *, count: int, seed: int = 0) -> Neighbours:
    """Return the ``count`` most similar photos of each, none of them of its own group.

    A photo and its near-duplicates would vouch for each other.
    """
    photos = len(group_N)
    chosen_M = np.sort(np.random.default_rng(seed).permutation(photos)[:REFERENCES])
    count = max(1, min(count, len(chosen_M)))
    references_RM = np.concatenate([look(part) for part in _parts(chosen_M)]).T
    index_NJ = np.zeros((photos, count), np.int32)
    similarity_NJ = np.full((photos, count), NONE, np.float32)
    for part in _parts(np.arange(photos)):
        cosine_BM = look(part) @ references_RM
        cosine_BM[group_N[part][:, None] == group_N[chosen_M][None, :]] = NONE
        top_BJ = np.argpartition(cosine_BM, -count, axis=1)[:, -count:]
        value_BJ = np.take_along_axis(cosine_BM, top_BJ, axis=1)
        order_BJ = np.argsort(-value_BJ, axis=1, kind="stable")
        index_NJ[part] = chosen_M[np.take_along_axis(top_BJ, order_BJ, axis=1)]
        similarity_NJ[part] = np.take_along_axis(value_BJ, order_BJ, axis=1)
    return Neighbours(index_NJ, similarity_NJ)


def alike(rows: FeatureRows) -> _Look:
    """Return the look that compares what photos show."""
    variance_D, turn_DD = np.linalg.eigh(rows.covariance())
    variance_R = np.maximum(variance_D[::-1][:DIRECTIONS], 1e-6)
    axes_DR = (turn_DD[:, ::-1][:, :DIRECTIONS] / variance_R ** (WHITENED / 2)).astype(np.float32)
    return lambda part: unit(rows.at(part) @ axes_DR)


def familiar(features_ND: NDArray[Any] | FeatureTable) -> _Look:
    """Return the look that compares photos as a whole."""
    width = features_ND.shape[1]
    everyone = _parts(np.arange(len(features_ND)))
    total_D = np.zeros(width, np.float64)
    for part in everyone:
        total_D += unit(np.asarray(features_ND[part], np.float32)).sum(axis=0)
    centre_D = (SHIFT * total_D / max(len(features_ND), 1)).astype(np.float32)

    def seen_from_centre(part: NDArray[np.intp]) -> Matrix:
        return unit(unit(np.asarray(features_ND[part], np.float32)) - centre_D)

    if len(features_ND) < width:  # few: along the directions that span them, for less
        turn_DR = spanning(seen_from_centre(np.arange(len(features_ND))))
        return _principal(lambda part: seen_from_centre(part) @ turn_DR, everyone, len(turn_DR.T))
    return _principal(seen_from_centre, everyone, width)


def _principal(look: _Look, everyone: list[NDArray[np.intp]], width: int) -> _Look:
    """Return a look along the first directions of another one alone."""
    products_RR = np.zeros((width, width), np.float32)
    for part in everyone:
        block_BR = look(part)
        products_RR += block_BR.T @ block_BR
    axes_RR = np.linalg.eigh(products_RR)[1][:, ::-1][:, :RANK]
    return lambda part: np.asarray(look(part) @ axes_RR)


def _parts(index_N: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [
        index_N[start : start + PHOTOS_AT_ONCE] for start in range(0, len(index_N), PHOTOS_AT_ONCE)
    ]
