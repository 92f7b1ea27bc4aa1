"""Standardised features with their labels, as every head is fitted to them, and its loss.

Dimension key: N photos, D features, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.graphs.layers import Matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What a head learns from."""

    x_ND: Matrix  # standardised
    labels_N: NDArray[np.integer]
    weight_N: Matrix  # 1 on average
    classes: int
    seed: int

    def targets(self) -> Matrix:
        """Return the labels as rows (N, K) of zeros and a one."""
        return np.asarray(np.eye(self.classes, dtype=np.float32)[self.labels_N])


def cross_entropy(logits_NK: Matrix, target_NK: Matrix, weight_N: Matrix) -> tuple[float, Matrix]:
    """Return the weighted mean cross-entropy (nats per photo) and its slope by the logits."""
    logits_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    exp_NK = np.exp(logits_NK)
    sum_N1 = exp_NK.sum(axis=1, keepdims=True)
    loss_N = np.log(sum_N1[:, 0]) - (logits_NK * target_NK).sum(axis=1)
    share_N1 = weight_N[:, None] / np.float32(len(weight_N))
    return float(share_N1[:, 0] @ loss_N), (exp_NK / sum_N1 - target_NK) * share_N1


def probabilities(logits_NK: Matrix) -> Matrix:
    """Return probabilities (N, K) in single precision."""
    exp_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(exp_NK / exp_NK.sum(axis=1, keepdims=True))
