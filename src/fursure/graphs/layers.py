"""A head as plain arrays: what is fitted, what is trained, and what goes into a graph.

Dimension key: N photos, D features, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Dense:
    """One layer: ``x @ weight_DK + bias_K``."""

    weight_DK: Matrix
    bias_K: Matrix


@dataclass(frozen=True, slots=True)
class Layers:
    """A fitted head: dense layers with a ReLU between each and the next."""

    dense: tuple[Dense, ...]

    def __call__(self, features_ND: Matrix) -> Matrix:
        """Return logits (N, K)."""
        out = features_ND
        for layer in self.dense[:-1]:
            out = np.maximum(out @ layer.weight_DK + layer.bias_K, 0)
        return out @ self.dense[-1].weight_DK + self.dense[-1].bias_K
