"""Features → what the classifier itself has against a photo, beside its distance to known ones.

A network that learnt only its classes puts some strangers near known photos; their logits are
low all the same. A linear read-out of the features gives that evidence: the classifier's own
weights, or a direction learnt from photos of strangers. Distance and evidence are put on one scale
by the lowest twentieth of held-out known photos, and added up.

Dimension key: N photos, D features, J outputs of the read-out.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fursure.sureness.calibration import logsumexp

_LOWEST = 0.05  # share of held-out photos that says how far down a known photo may reach
FEWEST_FOR_SCALE = 20  # held-out photos; fewer give it no scale
_LEAST = 1e-6  # of a scale: rounding must never look like a difference


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout:
    """A linear map of the features, and the scales on which its evidence and distance add up."""

    weights: NDArray[np.float32]  # (D, J)
    bias: NDArray[np.float32]  # (J,)
    tails: NDArray[np.float64]  # (2, 2), of similarity and evidence: where the lowest begin, scale

    @classmethod
    def of(cls, weights_DJ: NDArray[np.floating], bias_J: NDArray[np.floating]) -> Self:
        """Return a read-out without scales; logits are centred, since only differences count."""
        if bias_J.size > 1:
            weights_DJ = weights_DJ - weights_DJ.mean(axis=1, keepdims=True)
            bias_J = bias_J - bias_J.mean()
        return cls(
            weights=weights_DJ.astype(np.float32),
            bias=bias_J.astype(np.float32),
            tails=np.array([[0.0, 1.0], [0.0, 1.0]]),
        )

    @property
    def size(self) -> int:
        """Return the bytes it takes in a bundle."""
        return self.weights.nbytes + self.bias.nbytes + self.tails.nbytes

    def scaled(
        self, similarity_N: NDArray[np.float64], features_ND: NDArray[np.floating]
    ) -> "Readout":
        """Return the same with the scales of held-out known photos."""
        tails = [_tail(similarity_N), _tail(self.evidence(features_ND))]
        return replace(self, tails=np.array(tails))

    def evidence(self, features_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return log Σ exp of the outputs (the energy of Liu et al., NeurIPS 2020, negated)."""
        outputs_NJ = features_ND.astype(np.float64) @ self.weights.astype(np.float64) + self.bias
        return logsumexp(outputs_NJ)

    def joined(
        self, similarity_N: NDArray[np.float64], features_ND: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return one score, higher where both similarity and evidence are."""
        return -sum(
            (
                _against((start - values_N) / scale)
                for values_N, (start, scale) in zip(
                    (similarity_N, self.evidence(features_ND)), self.tails, strict=True
                )
            ),
            start=np.zeros(len(similarity_N)),
        )


def _tail(values_N: NDArray[np.float64]) -> tuple[float, float]:
    start = float(np.quantile(values_N, _LOWEST))
    scale = float((start - values_N[values_N <= start]).mean())
    return start, max(scale, _LEAST * (1 + abs(start)))


def _against(depth_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a hinge that keeps every order: depth where that is large, next to 0 above."""
    return np.asarray((depth_N + np.hypot(depth_N, 2)) / 2)
