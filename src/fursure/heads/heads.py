"""Features and labels → a head: logits as a small stack of dense layers.

Dimension key: N photos, D features, R principal axes (and the bias), K classes,
H hidden units, B photos of a batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fursure.graphs.layers import Dense, Layers, Matrix
from fursure.heads.lbfgs import minimise
from fursure.recipe import Head, LogisticRegression, Mlp


@dataclass(frozen=True, slots=True)
class Candidate:
    """A head on offer, and the knob that made it: a strength, or an epoch."""

    knob: float
    layers: Layers


@dataclass(frozen=True, slots=True)
class Scale:
    """Standardisation, which every fitted head folds into its first layer."""

    mean_D: Matrix
    inverse_D: Matrix  # 1 / standard deviation; 0 for a feature that never varies

    @classmethod
    def of(cls, features_ND: Matrix) -> "Scale":
        """Return the scale that standardises ``features_ND``."""
        mean_D = features_ND.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred_ND = features_ND - mean_D
        deviation_D = np.sqrt(np.einsum("nd,nd->d", centred_ND, centred_ND) / len(features_ND))
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


def candidates(
    head: Head, features_ND: Matrix, labels_N: NDArray[np.integer], classes: int, *, seed: int
) -> Iterator[Candidate]:
    """Yield heads trained on the photos given; the caller keeps the best and stops when it likes.

    A logistic regression yields one candidate a strength, from strong to weak, each started
    from the last; an `Mlp` one an epoch.
    """
    scale = Scale.of(features_ND)
    balanced = head.class_weight == "balanced"
    weight_N = class_weights(labels_N, classes, balanced=balanced)[labels_N]
    match head:
        case LogisticRegression():
            path = _path(head.strengths, scale(features_ND), labels_N, weight_N, classes)
        case Mlp():
            path = _epochs(head, scale(features_ND), labels_N, weight_N, classes, seed)
    for knob, (first, *rest) in path:
        yield Candidate(knob, Layers((scale.folded(first), *rest)))


def class_weights(labels_N: NDArray[np.integer], classes: int, *, balanced: bool) -> Matrix:
    """Return the weight (K,) of each class, 1 on average over the photos.

    ``balanced``: photos of one class weigh as much together as those of any other.
    """
    if not balanced:
        return np.ones(classes, np.float32)
    count_K = np.bincount(labels_N, minlength=classes)
    weight_K = len(labels_N) / (max(np.count_nonzero(count_K), 1) * np.maximum(count_K, 1))
    return np.asarray(weight_K, np.float32)


def _path(
    strengths: Sequence[float],
    x_ND: Matrix,
    labels_N: NDArray[np.integer],
    weight_N: Matrix,
    classes: int,
) -> Iterator[tuple[float, list[Dense]]]:
    """Yield the multinomial logistic regression of each L2 strength.

    Minimises mean(weight x cross-entropy) + strength / 2 x |W|² (not the bias) by L-BFGS. On the
    features' principal axes the Hessian is nearly diagonal, and dividing by the root of its
    diagonal, as it was at the last strength, makes it nearly the identity: few steps are left.
    """
    axes_DR = _principal_axes(x_ND)
    # The bias is a weight like the others, of a feature that is always one; only not penalised.
    z_NR = np.ones((len(x_ND), axes_DR.shape[1] + 1), np.float32)
    np.matmul(x_ND, axes_DR, out=z_NR[:, :-1])
    target_NK = np.eye(classes, dtype=np.float32)[labels_N]
    weight_RK = np.zeros((z_NR.shape[1], classes), np.float32)
    # p (1 - p), averaged over the classes: at the start they are all alike
    curvature_N = weight_N * np.float32((1 - 1 / classes) / classes)

    for strength in strengths:
        penalty_R1 = np.full((len(weight_RK), 1), strength, np.float32)
        penalty_R1[-1] = 0
        diagonal_R = np.einsum("nr,nr,n->r", z_NR, z_NR, curvature_N) / len(z_NR)
        root_R1 = np.sqrt(diagonal_R[:, None] + penalty_R1 + TINY)

        def objective(
            flat: Matrix, penalty_R1: Matrix = penalty_R1, root_R1: Matrix = root_R1
        ) -> tuple[float, Matrix]:
            w_RK = flat.reshape(-1, classes) / root_R1
            loss, slope_NK = _cross_entropy(_product(z_NR, w_RK), target_NK, weight_N)
            slope_RK = (_product(z_NR.T, slope_NK) + penalty_R1 * w_RK) / root_R1
            penalty = float((penalty_R1 * w_RK * w_RK).sum()) / 2
            return loss + penalty, slope_RK.ravel()

        start = (weight_RK * root_R1).ravel()
        minimum = minimise(objective, start, decrease=DECREASE, slope=SLOPE)
        weight_RK = minimum.reshape(-1, classes) / root_R1
        probs_NK = _softmax(_product(z_NR, weight_RK))
        curvature_N = weight_N * (probs_NK * (1 - probs_NK)).mean(axis=1)
        yield strength, [Dense(axes_DR @ weight_RK[:-1], weight_RK[-1])]


DECREASE, SLOPE = 1e-6, 1e-5  # where a strength's search ends
FEW_COLUMNS = 4
TINY = np.float32(1e-6)  # keeps a direction without curvature or penalty finite


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


def _cross_entropy(logits_NK: Matrix, target_NK: Matrix, weight_N: Matrix) -> tuple[float, Matrix]:
    """Return the weighted mean cross-entropy (nats per photo) and its slope by the logits."""
    logits_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    exp_NK = np.exp(logits_NK)
    sum_N1 = exp_NK.sum(axis=1, keepdims=True)
    loss_N = np.log(sum_N1[:, 0]) - (logits_NK * target_NK).sum(axis=1)
    share_N1 = weight_N[:, None] / np.float32(len(weight_N))
    return float(share_N1[:, 0] @ loss_N), (exp_NK / sum_N1 - target_NK) * share_N1


def _softmax(logits_NK: Matrix) -> Matrix:
    exp_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(exp_NK / exp_NK.sum(axis=1, keepdims=True))


def _epochs(
    head: Mlp,
    x_ND: Matrix,
    labels_N: NDArray[np.integer],
    weight_N: Matrix,
    classes: int,
    seed: int,
) -> Iterator[tuple[float, list[Dense]]]:
    """Yield a network after each epoch of Adam (Kingma & Ba, ICLR 2015) with decaying rate."""
    generator = np.random.default_rng(seed)
    sizes = [x_ND.shape[1], *head.hidden, classes]
    params: list[Matrix] = []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt(6 / fan_in)  # He et al., ICCV 2015, for the ReLU that follows
        params.append(generator.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32))
        params.append(np.zeros(fan_out, np.float32))
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
    target_NK = np.eye(classes, dtype=np.float32)[labels_N]
    step = 0
    for epoch in range(1, head.epochs + 1):
        rate = head.rate * head.decay ** (epoch - 1)
        order_N = generator.permutation(len(x_ND))
        for start in range(0, len(order_N), head.batch):
            rows = order_N[start : start + head.batch]
            slopes = _backward(params, head, x_ND[rows], target_NK[rows], weight_N[rows], generator)
            step += 1
            _adam(params, moments, slopes, rate, step)
        yield (
            float(epoch),
            [
                Dense(weight.copy(), bias.copy())
                for weight, bias in zip(params[::2], params[1::2], strict=True)
            ],
        )


def _backward(
    params: list[Matrix],
    head: Mlp,
    x_BD: Matrix,
    target_BK: Matrix,
    weight_B: Matrix,
    generator: np.random.Generator,
) -> list[Matrix]:
    """Return the slope of the regularised loss of one batch by every parameter."""
    keep = np.float32(1 - head.dropout)
    inputs: list[Matrix] = [x_BD]
    masks: list[Matrix] = []
    for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        hidden_BH = inputs[-1] @ weight + bias
        dropped_BH = generator.random(hidden_BH.shape, np.float32) < keep
        masks.append(
            ((hidden_BH > 0) & dropped_BH).astype(np.float32) / keep
        )  # inverted dropout (Srivastava, 2014)
        inputs.append(hidden_BH * masks[-1])
    logits_BK = inputs[-1] @ params[-2] + params[-1]
    slope = (_softmax(logits_BK) - target_BK) * (weight_B / len(x_BD))[:, None]
    slopes: list[Matrix] = []
    for layer in reversed(range(len(inputs))):
        slopes[:0] = [inputs[layer].T @ slope + head.l2 * params[2 * layer], slope.sum(axis=0)]
        if layer:
            slope = (slope @ params[2 * layer].T) * masks[layer - 1]
    return slopes


def _adam(
    params: list[Matrix],
    moments: list[tuple[Matrix, Matrix]],
    slopes: list[Matrix],
    rate: float,
    step: int,
) -> None:
    """Move ``params`` in place by one step of Adam."""
    beta1, beta2, tiny = 0.9, 0.999, 1e-8  # the paper's defaults
    for param, (mean, square), slope in zip(params, moments, slopes, strict=True):
        mean[...] += (1 - beta1) * (slope - mean)
        square[...] += (1 - beta2) * (slope * slope - square)
        unbiased = mean / (1 - beta1**step)
        param[...] -= rate * unbiased / (np.sqrt(square / (1 - beta2**step)) + tiny)
