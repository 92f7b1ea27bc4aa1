"""Features of the same pictures by two engines → whether one may answer for the other.

What counts is not how far the numbers lie apart, but what is read from them: which pictures a
picture resembles (strangers, near-duplicates), and the probabilities of a head fitted on them.

Dimension key: N pictures, D features, K kinds of picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.drawings.draw import Kind, draw
from fursure.drawings.textures import KINDS, texture
from fursure.engine.openvino import Precision
from fursure.engine.runtime import Pixels
from fursure.sureness.calibration import softmax
from fursure.sureness.familiarity import unit

_Floats = NDArray[np.floating]

EACH = 6  # pictures of a kind; every second one fits the head
_DRAWN: tuple[Kind, ...] = ("cat", "dog", "stranger")
_NEAREST = 5  # neighbours compared
_RIDGE = 0.1  # of the head, against the mean square of the features
_SHARPNESS = 10.0  # of its probabilities: it is then some 85 % sure, and right of 88 to 92 %

# Least share of neighbours in common, and largest difference of a probability. Networks whose
# answers on photos hold in bf16 have 0.94 and 0.024 or better; with weights of 6 bits, where
# probabilities on photos change twice as much, 0.93 and 0.036 (docs/experiments.md).
BOUNDS = {"bf16": (0.9, 0.03), "f16": (0.9, 0.03), "f32": (0.99, 0.001)}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two engines' features are read."""

    neighbours: float  # share of nearest pictures in common
    gap: float  # mean over pictures of the largest |difference| of the head's probabilities

    def problem(self, precision: Precision) -> str | None:
        """Return why answers in ``precision`` may not stand in for the others, or None."""
        least, largest = BOUNDS[precision]
        if not self.neighbours >= least:
            return f"only {self.neighbours:.0%} of a picture's neighbours stay its neighbours"
        if not self.gap <= largest:
            return f"probabilities change by {self.gap:.3f}"
        return None


def pictures(size: int) -> tuple[Pixels, NDArray[np.intp]]:
    """Return pictures (N, size, size, 3) that are like photos, and the kind of each."""
    made = [_half_drawn(kind, seed, size) for kind in _DRAWN for seed in range(EACH)]
    made += [texture(kind, seed, size) for kind in KINDS for seed in range(EACH)]
    return np.stack(made), np.repeat(np.arange(len(made) // EACH), EACH)


def _half_drawn(kind: Kind, seed: int, size: int) -> Pixels:
    """Return a drawing that a texture shines through: plain ones are told apart by any engine."""
    behind = list(KINDS)[seed % len(KINDS)], 100 + 10 * _DRAWN.index(kind) + seed
    both = np.stack([np.asarray(draw(kind, seed, size)), texture(*behind, size)])
    return np.asarray(both.mean(axis=0).round(), np.uint8)


def compare_features(a_ND: _Floats, b_ND: _Floats, kind_N: NDArray[np.intp]) -> Agreement:
    """Compare features ``b_ND`` of `pictures` with the reference ``a_ND``."""
    if not np.isfinite(b_ND).all():
        return Agreement(neighbours=0.0, gap=1.0)
    centre_D = a_ND.mean(axis=0, dtype=np.float64)
    a_ND, b_ND = a_ND - centre_D, b_ND - centre_D
    fits_N = np.arange(len(kind_N)) % 2 == 0
    head_DK = _head(a_ND[fits_N], kind_N[fits_N])
    difference_NK = np.abs(_probs(a_ND, head_DK) - _probs(b_ND, head_DK))
    return Agreement(
        neighbours=_in_common(_nearest(a_ND, a_ND), _nearest(a_ND, b_ND)),
        gap=float(difference_NK[~fits_N].max(axis=1).mean()),
    )


def _nearest(a_ND: _Floats, b_ND: _Floats) -> NDArray[np.intp]:
    """Return the rows (N, NEAREST) of ``a_ND`` most like each of ``b_ND``, itself left out."""
    cosine_NN = unit(b_ND) @ unit(a_ND).T
    np.fill_diagonal(cosine_NN, -np.inf)
    return np.argsort(-cosine_NN, axis=1, kind="stable")[:, :_NEAREST]


def _in_common(a_NJ: NDArray[np.intp], b_NJ: NDArray[np.intp]) -> float:
    return float((a_NJ[:, :, None] == b_NJ[:, None, :]).any(axis=2).mean())


def _head(x_ND: _Floats, kind_N: NDArray[np.intp]) -> _Floats:
    """Return the weights (D, K) of a ridge regression on the kinds."""
    wanted_NK = np.eye(kind_N.max() + 1)[kind_N]
    gram_NN = x_ND @ x_ND.T
    gram_NN += _RIDGE * np.trace(gram_NN) / len(gram_NN) * np.eye(len(gram_NN))
    return np.asarray(x_ND.T @ np.linalg.solve(gram_NN, wanted_NK))


def _probs(x_ND: _Floats, head_DK: _Floats) -> _Floats:
    return softmax(_SHARPNESS * (x_ND @ head_DK))
