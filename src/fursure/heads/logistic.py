"""The head `logistic`: the multinomial logistic regression of each strength, strong to weak.

Dimension key: N photos, B photos of a block, S photos of a sample, D features, R principal axes
(and the bias), K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fursure.graphs.layers import Dense, Matrix
from fursure.heads.examples import Examples, cross_entropy, probabilities
from fursure.heads.lbfgs import minimise
from fursure.parallel import in_order
from fursure.recipe import LogisticRegression
from fursure.run import available_threads

DECREASE, SLOPE = 1e-6, 1e-5  # where a strength's search ends
FEW_COLUMNS = 4
TINY = np.float32(1e-6)  # keeps a direction without curvature or penalty finite
SAMPLE = 16384  # photos that tell the axes and the curvature of more; they only set the steps


def fit_logistic(
    head: LogisticRegression, examples: Examples
) -> Iterator[tuple[float, list[Dense]]]:
    """Yield the regression of each L2 strength, started from that of the last.

    Minimises mean(weight x cross-entropy) + strength / 2 x |W|² (not the bias) by L-BFGS. On the
    features' principal axes the Hessian is nearly diagonal, and dividing by the root of its
    diagonal, as it was at the last strength, makes it nearly the identity: few steps are left.
    Photos that memory has no room for are read again at each step.
    """
    rows_S, classes = examples.some(max(SAMPLE, examples.scale.mean_D.size)), examples.classes
    weight_S = examples.weight_N[rows_S]
    sample_SD = examples.scale(examples.features_ND[rows_S])
    axes_DR = _principal_axes(sample_SD)
    # The bias is a weight like the others, of a feature that is always one; only not penalised.
    z_SR = np.ones((len(rows_S), axes_DR.shape[1] + 1), np.float32)
    np.matmul(sample_SD, axes_DR, out=z_SR[:, :-1])
    del sample_SD
    loss_of = _Loss(examples, axes_DR)
    weight_RK = np.zeros((z_SR.shape[1], classes), np.float32)
    # p (1 - p), averaged over the classes: at the start they are all alike
    curvature_S = weight_S * np.float32((1 - 1 / classes) / classes)

    for strength in head.strengths:
        penalty_R1 = np.full((len(weight_RK), 1), strength, np.float32)
        penalty_R1[-1] = 0
        diagonal_R = np.einsum("sr,sr,s->r", z_SR, z_SR, curvature_S) / len(z_SR)
        root_R1 = np.sqrt(diagonal_R[:, None] + penalty_R1 + TINY)

        def objective(
            flat: Matrix, penalty_R1: Matrix = penalty_R1, root_R1: Matrix = root_R1
        ) -> tuple[float, Matrix]:
            w_RK = flat.reshape(-1, classes) / root_R1
            loss, slope_RK = loss_of(w_RK)
            slope_RK = (slope_RK + penalty_R1 * w_RK) / root_R1
            penalty = float((penalty_R1 * w_RK * w_RK).sum()) / 2
            return loss + penalty, slope_RK.ravel()

        start = (weight_RK * root_R1).ravel()
        minimum = minimise(objective, start, decrease=DECREASE, slope=SLOPE)
        weight_RK = minimum.reshape(-1, classes) / root_R1
        probs_SK = probabilities(_product(z_SR, weight_RK))
        curvature_S = weight_S * (probs_SK * (1 - probs_SK)).mean(axis=1)
        yield strength, [Dense(axes_DR @ weight_RK[:-1], weight_RK[-1])]


@dataclass(frozen=True, slots=True)
class _Loss:
    """The mean cross-entropy over all photos as a function of the weights on the axes."""

    examples: Examples
    axes_DR: Matrix

    def __call__(self, w_RK: Matrix) -> tuple[float, Matrix]:
        """Return the loss, and its slope (R, K)."""
        weight_DK, bias_K = self.axes_DR @ w_RK[:-1], w_RK[-1]

        def part(place: slice) -> tuple[float, Matrix, Matrix]:
            x_BD = self.examples.block(place)
            share_B = self.examples.weight_N[place] / np.float32(len(self.examples.weight_N))
            logits_BK = _product(x_BD, weight_DK) + bias_K
            loss, slope_BK = cross_entropy(logits_BK, self.examples.targets(place), share_B)
            return loss, _product(x_BD.T, slope_BK), slope_BK.sum(axis=0)

        places = self.examples.places()
        few = len(places) == 1  # then BLAS itself keeps every core busy
        parts = map(part, places) if few else in_order(part, places, threads=available_threads())
        losses, slopes, biases = zip(*parts, strict=True)
        slope_DK, slope_K = np.sum(slopes, axis=0), np.sum(biases, axis=0)
        return sum(losses), np.vstack([self.axes_DR.T @ slope_DK, slope_K])


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
