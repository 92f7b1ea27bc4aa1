"""The head `mlp`: dense layers with dropout, a network after each epoch.

Dimension key: N photos, D features, K classes, H hidden units, B photos of a batch.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from fursure.graphs.layers import Dense, Matrix
from fursure.heads.examples import Examples, probabilities
from fursure.recipe import Mlp


def fit_mlp(head: Mlp, examples: Examples) -> Iterator[tuple[float, list[Dense]]]:
    """Yield a network after each epoch of Adam (Kingma & Ba, ICLR 2015) with decaying rate."""
    x_ND, weight_N, target_NK = examples.standardised, examples.weight_N, examples.targets()
    generator = np.random.default_rng(examples.seed)
    sizes = [x_ND.shape[1], *head.hidden, examples.classes]
    params: list[Matrix] = []
    for fan_in, fan_out in pairwise(sizes):
        bound = np.sqrt(6 / fan_in)  # He et al., ICCV 2015, for the ReLU that follows
        params.append(generator.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32))
        params.append(np.zeros(fan_out, np.float32))
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in params]
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
    slope = (probabilities(logits_BK) - target_BK) * (weight_B / len(x_BD))[:, None]
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
