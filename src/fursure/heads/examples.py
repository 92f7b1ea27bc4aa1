"""Features with their labels, as every head is fitted to them, and its loss.

Dimension key: N photos, B photos of a block, D features, K classes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fursure.graphs.layers import Dense, Matrix
from fursure.rows.table import FeatureTable

HELD_IN_MEMORY = 256 * 2**20  # bytes of singles: 50,000 photos of 1,280 features


@dataclass(frozen=True, slots=True)
class Scale:
    """Standardisation, which every fitted head folds into its first layer."""

    mean_D: Matrix
    inverse_D: Matrix  # 1 / standard deviation; 0 for a feature that never varies

    @classmethod
    def of(cls, features_ND: Matrix | FeatureTable) -> "Scale":
        """Return the scale that standardises ``features_ND``."""
        table = FeatureTable.of(features_ND)
        total_D, square_D = np.zeros(table.shape[1]), np.zeros(table.shape[1])
        for place in table.places():
            total_D += table[place].sum(axis=0, dtype=np.float64)
        mean_D = (total_D / len(table)).astype(np.float32)
        for place in table.places():
            centred_BD = table[place] - mean_D
            square_D += np.einsum("bd,bd->d", centred_BD, centred_BD)
        deviation_D = np.sqrt(square_D / len(table))
        varies_D = deviation_D > 1e-6 * max(float(deviation_D.max(initial=0.0)), 1e-12)
        inverse_D = np.where(varies_D, 1 / np.where(varies_D, deviation_D, 1), 0)
        return cls(mean_D, inverse_D.astype(np.float32))

    def __call__(self, features_ND: Matrix) -> Matrix:
        """Return standardised features (N, D)."""
        out_ND = features_ND - self.mean_D
        out_ND *= self.inverse_D
        return out_ND

    def folded(self, first: Dense) -> Dense:
        """Return ``first`` as a layer on raw features."""
        weight_DK = self.inverse_D[:, None] * first.weight_DK
        return Dense(weight_DK, first.bias_K - self.mean_D @ weight_DK)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What a head learns from."""

    features_ND: FeatureTable  # as they are
    scale: Scale
    labels_N: NDArray[np.integer]
    weight_N: Matrix  # 1 on average
    classes: int
    seed: int

    @cached_property
    def standardised(self) -> Matrix:
        """All features, standardised."""
        return self.scale(self.features_ND[:])

    def places(self) -> list[slice]:
        """Return the blocks of a pass over the photos: one of all where memory has room."""
        fits = self.features_ND.nbytes <= HELD_IN_MEMORY
        return [slice(0, len(self.labels_N))] if fits else list(self.features_ND.places())

    def block(self, place: slice) -> Matrix:
        """Return the photos of one of those, standardised."""
        everyone = place == slice(0, len(self.labels_N))
        return self.standardised if everyone else self.scale(self.features_ND[place])

    def some(self, count: int) -> NDArray[np.intp]:
        """Return the rows of at most ``count`` photos, evenly."""
        return np.arange(len(self.labels_N))[:: -(-len(self.labels_N) // count) or 1]

    def targets(self, place: slice = slice(None)) -> Matrix:
        """Return the labels as rows (N, K) of zeros and a one."""
        return np.asarray(np.eye(self.classes, dtype=np.float32)[self.labels_N[place]])


def cross_entropy(logits_NK: Matrix, target_NK: Matrix, share_N: Matrix) -> tuple[float, Matrix]:
    """Return the cross-entropy, each photo's times its share, and its slope by the logits."""
    logits_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    exp_NK = np.exp(logits_NK)
    sum_N1 = exp_NK.sum(axis=1, keepdims=True)
    loss_N = np.log(sum_N1[:, 0]) - (logits_NK * target_NK).sum(axis=1)
    return float(share_N @ loss_N), (exp_NK / sum_N1 - target_NK) * share_N[:, None]


def probabilities(logits_NK: Matrix) -> Matrix:
    """Return probabilities (N, K) in single precision."""
    exp_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(exp_NK / exp_NK.sum(axis=1, keepdims=True))
