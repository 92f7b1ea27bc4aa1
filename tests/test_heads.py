import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.graphs.layers import Layers
from fursure.heads.examples import Scale
from fursure.heads.heads import candidates, class_weights
from fursure.recipe import LogisticRegression, Mlp

Sample = tuple[NDArray[np.float32], NDArray[np.int64]]


def blobs(count: int, width: int, classes: int, *, seed: int = 0, spread: float = 2.0) -> Sample:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width))
    labels = rng.integers(0, classes, count)
    x = centres[labels] + rng.normal(size=(count, width)) * spread
    return (x * rng.uniform(0.1, 10, width) + 5).astype(np.float32), labels


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exp = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("strength", [0.1, 0.003])
def test_the_logistic_regression_is_the_one_scikit_learn_finds(
    classes: int, strength: float
) -> None:
    from sklearn.linear_model import LogisticRegression as Reference

    x, labels = blobs(600, 20, classes)
    scale = Scale.of(x)
    head = LogisticRegression(strengths=(1.0, strength))
    found = list(candidates(head, x, labels, classes, seed=0))[-1].layers
    # With two classes it penalises one vector, the difference of our two, which is twice as long.
    penalty = strength / 2 if classes == 2 else strength
    reference = Reference(C=1 / (penalty * len(x)), tol=1e-8, max_iter=5000)
    expected = reference.fit(scale(x), labels).predict_proba(scale(x))
    assert np.abs(softmax(found(x)) - expected).max() < 0.005


def test_strong_heads_come_first_and_each_strength_once() -> None:
    x, labels = blobs(200, 5, 2)
    strengths = (1.0, 0.1, 0.01)
    found = list(candidates(LogisticRegression(strengths=strengths), x, labels, 2, seed=0))
    assert [one.knob for one in found] == list(strengths)
    norms = [float(np.linalg.norm(Scale.of(x)(x) @ one.layers.dense[0].weight_DK)) for one in found]
    assert norms == sorted(norms)


def test_a_feature_that_never_varies_is_ignored() -> None:
    x, labels = blobs(200, 5, 2)
    x[:, 2] = 3.0
    for head in (LogisticRegression(), Mlp(epochs=2)):
        first = next(iter(candidates(head, x, labels, 2, seed=0))).layers.dense[0]
        assert np.all(first.weight_DK[2] == 0)
        assert np.isfinite(first.bias_K).all()


def test_balanced_weights_give_a_rare_class_its_share() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    weights = class_weights(labels, 2, balanced=True)[labels]
    assert weights[:90].sum() == pytest.approx(weights[90:].sum())
    assert weights.mean() == pytest.approx(1)
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    plain, balanced = (
        next(iter(candidates(LogisticRegression(class_weight=kind), x, labels, 2, seed=0)))
        for kind in ("none", "balanced")
    )
    assert softmax(plain.layers(x))[:, 1].mean() == pytest.approx(0.1, abs=0.02)
    assert softmax(balanced.layers(x))[:, 1].mean() == pytest.approx(0.5, abs=0.05)


def test_an_mlp_learns_what_no_line_can_separate() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2000, 2)).astype(np.float32)
    labels = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(int)
    head = Mlp(hidden=(32, 32), dropout=0.1, l2=0, epochs=40, rate=5e-3)
    *_, last = candidates(head, x, labels, 2, seed=0)
    line = next(iter(candidates(LogisticRegression(), x, labels, 2, seed=0)))
    assert accuracy(last.layers, x, labels) > 0.95
    assert accuracy(line.layers, x, labels) < 0.65


def accuracy(layers: Layers, x: NDArray[np.float32], labels: NDArray[np.integer]) -> float:
    return float((layers(x).argmax(axis=1) == labels).mean())


def test_the_slopes_of_the_mlp_are_those_of_its_loss() -> None:
    from fursure.heads.mlp import _backward

    head = Mlp(hidden=(5, 4), dropout=0.0, l2=0.01)
    rng = np.random.default_rng(1)
    sizes = [3, 5, 4, 2]
    params = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        params += [rng.normal(size=(fan_in, fan_out)), rng.normal(size=fan_out)]
    x, target = rng.normal(size=(6, 3)), np.eye(2)[rng.integers(0, 2, 6)]
    weight = rng.uniform(0.5, 2, 6)

    def loss() -> float:
        out = x
        for w, b in zip(params[:-2:2], params[1:-2:2], strict=True):
            out = np.maximum(out @ w + b, 0)
        logits = out @ params[-2] + params[-1]
        log_sum = np.log(np.exp(logits).sum(axis=1))
        data = weight @ (log_sum - (logits * target).sum(axis=1)) / 6
        return float(data + 0.005 * sum((w**2).sum() for w in params[::2]))

    slopes = _backward(params, head, x, target, weight, rng)  # type: ignore[arg-type]
    for param, slope in zip(params, slopes, strict=True):
        for index in list(np.ndindex(param.shape))[:6]:
            before = param[index]
            param[index] = before + 1e-6
            above = loss()
            param[index] = before - 1e-6
            below = loss()
            param[index] = before
            assert slope[index] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_the_same_seed_trains_the_same_network() -> None:
    x, labels = blobs(200, 5, 3)
    runs = [
        [one.layers.dense[0].weight_DK for one in candidates(Mlp(epochs=3), x, labels, 3, seed=7)]
        for _ in range(2)
    ]
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_a_hundred_classes_are_learned_too() -> None:
    x, labels = blobs(3000, 64, 100, spread=0.5)
    *_, last = candidates(LogisticRegression(strengths=(0.1, 0.01)), x, labels, 100, seed=0)
    assert accuracy(last.layers, x, labels) > 0.95
