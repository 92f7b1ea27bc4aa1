"""Features and labels → a head: logits as a small stack of dense layers.

Dimension key: N photos, D features, K classes, H hidden units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fursure.recipe import Head, LogisticRegression, Mlp

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
        deviation_D = features_ND.std(axis=0, dtype=np.float64)
        varies_D = deviation_D > 1e-6 * max(float(deviation_D.max(initial=0.0)), 1e-12)
        inverse_D = np.where(varies_D, 1 / np.where(varies_D, deviation_D, 1), 0)
        mean_D = features_ND.mean(axis=0, dtype=np.float64)
        return cls(mean_D.astype(np.float32), inverse_D.astype(np.float32))

    def __call__(self, features_ND: Matrix) -> Matrix:
        """Return standardised features (N, D)."""
        return (features_ND - self.mean_D) * self.inverse_D

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
    weight_N = class_weights(labels_N, classes, balanced=head.class_weight == "balanced")
    match head:
        case LogisticRegression():
            path = _path(head.strengths, scale(features_ND), labels_N, weight_N, classes)
        case Mlp():
            path = _epochs(head, scale(features_ND), labels_N, weight_N, classes, seed)
    for knob, (first, *rest) in path:
        yield Candidate(knob, Layers((scale.folded(first), *rest)))


def class_weights(labels_N: NDArray[np.integer], classes: int, *, balanced: bool) -> Matrix:
    """Return the weight (N,) of each photo, 1 on average; balanced: classes weigh the same."""
    count_K = np.bincount(labels_N, minlength=classes)
    present = max(int((count_K > 0).sum()), 1)
    weight_K = len(labels_N) / (present * np.maximum(count_K, 1)) if balanced else np.ones(classes)
    return np.asarray(weight_K[labels_N], np.float32)


def _path(
    strengths: Sequence[float],
    x_ND: Matrix,
    labels_N: NDArray[np.integer],
    weight_N: Matrix,
    classes: int,
) -> Iterator[tuple[float, list[Dense]]]:
    """Yield the multinomial logistic regression of each L2 strength.

    Minimises mean(weight x cross-entropy) + strength / 2 x |W|² by L-BFGS in coordinates where
    the Hessian is near the identity: its shape is that of the features' covariance C, times the
    average p (1 - p), plus the strength (after Böhning, Ann. Inst. Stat. Math. 1992). One
    Cholesky factor a strength saves nine in ten passes over the features.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import minimize

    if len(x_ND) < x_ND.shape[1]:  # a penalised W lies in the span of the photos (Kimeldorf 1971)
        _, _, span_ND = np.linalg.svd(x_ND, full_matrices=False)
        for strength, (layer,) in _path(strengths, x_ND @ span_ND.T, labels_N, weight_N, classes):
            yield strength, [Dense(span_ND.T @ layer.weight_DK, layer.bias_K)]
        return
    count, width = x_ND.shape
    target_NK = np.eye(classes, dtype=np.float32)[labels_N]
    covariance_DD = (x_ND.T @ (x_ND * weight_N[:, None])) / count
    weight_DK = np.zeros((width, classes), np.float32)
    bias_K = np.log(np.maximum((weight_N @ target_NK) / count, np.float32(1e-6)))
    curvature = (1 - 1 / classes) / classes  # mean p (1 - p), at the start all classes alike

    for strength in strengths:
        hessian_DD = curvature * covariance_DD
        hessian_DD[np.diag_indices(width)] += strength
        factor_DD = cholesky(hessian_DD, lower=True, check_finite=False)

        def whitened(
            flat: NDArray[np.float64], strength: float = strength, factor_DD: Matrix = factor_DD
        ) -> tuple[float, NDArray[np.float64]]:
            flat32 = flat.astype(np.float32)  # or the solver would copy the factor to float64
            v_DK, b_K = flat32[:-classes].reshape(width, classes), flat32[-classes:]
            w_DK: Matrix = solve_triangular(
                factor_DD, v_DK, lower=True, trans="T", check_finite=False
            )
            loss, gradient_NK = _cross_entropy(x_ND, w_DK, b_K, target_NK, weight_N)
            gradient_DK = x_ND.T @ gradient_NK + np.float32(strength) * w_DK
            gradient_DK = solve_triangular(factor_DD, gradient_DK, lower=True, check_finite=False)
            penalty = strength / 2 * float((w_DK * w_DK).sum())
            slope = np.concatenate([gradient_DK.ravel(), gradient_NK.sum(axis=0)])
            return loss + penalty, slope.astype(np.float64)

        start = np.concatenate([(factor_DD.T @ weight_DK).ravel(), bias_K]).astype(np.float64)
        found = minimize(whitened, start, jac=True, method="L-BFGS-B", options=_LBFGS)
        flat32 = found.x.astype(np.float32)
        v_DK, bias_K = flat32[:-classes].reshape(width, classes), flat32[-classes:]
        weight_DK = solve_triangular(factor_DD, v_DK, lower=True, trans="T", check_finite=False)
        layer = Dense(weight_DK, bias_K)
        probs_NK = _softmax(x_ND @ layer.weight_DK + layer.bias_K)
        curvature = max(float((weight_N @ (probs_NK * (1 - probs_NK))).mean()) / count, 1e-4)
        yield strength, [layer]


_LBFGS = {"maxiter": 200, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-5}


def _cross_entropy(
    x_ND: Matrix,
    w_DK: Matrix,
    b_K: Matrix,
    target_NK: Matrix,
    weight_N: Matrix,
) -> tuple[float, Matrix]:
    """Return the weighted mean cross-entropy (nats per photo) and its slope by the logits."""
    logits_NK = x_ND @ w_DK + b_K
    logits_NK -= logits_NK.max(axis=1, keepdims=True)
    log_sum_N = np.log(np.exp(logits_NK).sum(axis=1))
    loss_N = log_sum_N - (logits_NK * target_NK).sum(axis=1)
    probs_NK = np.exp(logits_NK - log_sum_N[:, None])
    gradient_NK = (probs_NK - target_NK) * (weight_N / len(x_ND))[:, None]
    return float(weight_N @ loss_N) / len(x_ND), gradient_NK


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
