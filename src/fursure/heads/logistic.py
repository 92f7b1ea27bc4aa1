"""The head `logistic`: the multinomial logistic regression of each strength, strong to weak.

Dimension key: N photos, D features, R principal axes (and the bias), K classes.
"""

from collections.abc import Iterator

import numpy as np

from fursure.graphs.layers import Dense, Matrix
from fursure.heads.examples import Examples, cross_entropy, probabilities
from fursure.heads.lbfgs import minimise
from fursure.recipe import LogisticRegression

DECREASE, SLOPE = 1e-6, 1e-5  # where a strength's search ends
FEW_COLUMNS = 4
TINY = np.float32(1e-6)  # keeps a direction without curvature or penalty finite


def fit_logistic(
    head: LogisticRegression, examples: Examples
) -> Iterator[tuple[float, list[Dense]]]:
    """Yield the regression of each L2 strength, started from that of the last.

    Minimises mean(weight x cross-entropy) + strength / 2 x |W|² (not the bias) by L-BFGS. On the
    features' principal axes the Hessian is nearly diagonal, and dividing by the root of its
    diagonal, as it was at the last strength, makes it nearly the identity: few steps are left.
    """
    x_ND, weight_N, classes = examples.x_ND, examples.weight_N, examples.classes
    axes_DR = _principal_axes(x_ND)
    # The bias is a weight like the others, of a feature that is always one; only not penalised.
    z_NR = np.ones((len(x_ND), axes_DR.shape[1] + 1), np.float32)
    np.matmul(x_ND, axes_DR, out=z_NR[:, :-1])
    target_NK = examples.targets()
    weight_RK = np.zeros((z_NR.shape[1], classes), np.float32)
    # p (1 - p), averaged over the classes: at the start they are all alike
    curvature_N = weight_N * np.float32((1 - 1 / classes) / classes)

    for strength in head.strengths:
        penalty_R1 = np.full((len(weight_RK), 1), strength, np.float32)
        penalty_R1[-1] = 0
        diagonal_R = np.einsum("nr,nr,n->r", z_NR, z_NR, curvature_N) / len(z_NR)
        root_R1 = np.sqrt(diagonal_R[:, None] + penalty_R1 + TINY)

        def objective(
            flat: Matrix, penalty_R1: Matrix = penalty_R1, root_R1: Matrix = root_R1
        ) -> tuple[float, Matrix]:
            w_RK = flat.reshape(-1, classes) / root_R1
            loss, slope_NK = cross_entropy(_product(z_NR, w_RK), target_NK, weight_N)
            slope_RK = (_product(z_NR.T, slope_NK) + penalty_R1 * w_RK) / root_R1
            penalty = float((penalty_R1 * w_RK * w_RK).sum()) / 2
            return loss + penalty, slope_RK.ravel()

        start = (weight_RK * root_R1).ravel()
        minimum = minimise(objective, start, decrease=DECREASE, slope=SLOPE)
        weight_RK = minimum.reshape(-1, classes) / root_R1
        probs_NK = probabilities(_product(z_NR, weight_RK))
        curvature_N = weight_N * (probs_NK * (1 - probs_NK)).mean(axis=1)
        yield strength, [Dense(axes_DR @ weight_RK[:-1], weight_RK[-1])]


def _principal_axes(x_ND: Matrix) -> Matrix:
    """Return orthonormal directions (D, R) that span the photos, from the smaller Gram matrix."""
    count, width = x_ND.shape
    if count >= width:
        return np.asarray(np.linalg.eigh(x_ND.T @ x_ND)[1])
    # A penalised W lies in the span of the photos (Kimeldorf & Wahba, 1971): R = N is enough.
    square_R, turn_NR = np.linalg.eigh(x_ND @ x_ND.T)
    spans_R = square_R > 1e-6 * square_R.max(initial=0)
    return np.asarray((x_ND.T @ turn_NR[:, spans_R]) / np.sqrt(square_R[spans_R]))


def _product(left: Matrix, right: Matrix) -> Matrix:
    """Return ``left @ right``, column by column where these are few.

    One vector streams a large matrix through BLAS four times as fast as two columns do.
    """
    if right.shape[1] > FEW_COLUMNS:
        return left @ right
    columns = np.ascontiguousarray(right.T)
    return np.stack([left @ column for column in columns], axis=1)
