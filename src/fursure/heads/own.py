"""A head of the user's own → dense layers with a ReLU between them, proven to answer like it.

Either an object with ``fit(features_ND, labels_N, weights_N)``, ``logits(features_ND)`` and
``layers()``, or a classifier of scikit-learn that is linear or a perceptron, alone or behind any
row of `StandardScaler` and `PCA`. It is copied and fitted anew wherever photos are held out: what
it may have learned before counts for nothing, so that no figure is measured on photos it has seen.

Dimension key: N photos, D features, C components, K classes.
"""

import inspect
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadHead
from fursure.graphs.layers import Dense, Layers, Matrix
from fursure.recipe import Recipe
from fursure.sureness.calibration import softmax

PROOF_ROWS = 256  # photos on which the layers have to answer like the head
_TOLERANCE = 1e-4  # of the largest logit, or of 1


class OwnHead(Protocol):
    """What learns from features, and can be written as dense layers with a ReLU between them."""

    def fit(
        self, features_ND: Matrix, labels_N: NDArray[np.integer], weights_N: Matrix, /
    ) -> object:
        """Learn from rows with labels 0 … K-1, each of them weighted, 1 on average."""

    def logits(self, features_ND: Matrix, /) -> NDArray[np.floating]:
        """Return a number (N, K) for each class; softmax makes probabilities of them."""
        ...

    def layers(self) -> Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]]:
        """Return the weights (D, K) and the biases (K) of each layer, the first one first."""
        ...


def head_kind(head: Any) -> str:
    """Return how a bundle calls a head: by the class, and of scikit-learn's by their place."""
    cls = type(_last(head))
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def check_own(head: Any, recipe: Recipe) -> None:
    """Refuse early what cannot be a head, or not with that recipe.

    Raises:
        BadHead: it is of no kind that a bundle can hold, or the recipe trains its network.
    """
    ours = all(callable(getattr(head, name, None)) for name in ("fit", "logits", "layers"))
    theirs = hasattr(head, "get_params") and hasattr(head, "fit")
    if isinstance(head, type) or not (ours or theirs):
        raise BadHead(
            getattr(head, "__name__", head_kind(head)),
            "it needs fit(features, labels, weights), logits(features) and layers(); or give a "
            "classifier of scikit-learn, linear or an MLPClassifier, as an object",
        )
    if recipe.tune is not None:
        reason = f"the recipe {recipe.name!r} trains the network with a head of its own"
        raise BadHead(head_kind(head), f"{reason}; take one that leaves it frozen")


def fitted_layers(
    head: Any, features_ND: Matrix, labels_N: NDArray[np.integer], weights_N: Matrix, classes: int
) -> Layers:
    """Return what a copy of ``head`` learned, as layers that answer like it.

    Raises:
        BadHead: it cannot be written so, or its layers answer otherwise than it does.
    """
    copy = deepcopy(head)
    if hasattr(copy, "logits"):
        copy.fit(features_ND, labels_N, weights_N)
        pairs = list(copy.layers())
        layers = Layers(tuple(Dense(_float(weight), _float(bias)) for weight, bias in pairs))
    else:
        _fit(copy, features_ND, labels_N, weights_N)
        layers = Layers(tuple(_of_sklearn(copy, classes)))
    _check_shapes(head, layers, features_ND.shape[1], classes)
    _check_alike(head, copy, layers, features_ND[:PROOF_ROWS])
    return layers


def _fit(
    estimator: Any, features_ND: Matrix, labels_N: NDArray[np.integer], weights_N: Matrix
) -> None:
    if (weights_N == weights_N[0]).all():
        estimator.fit(features_ND, labels_N)
        return
    takes = inspect.signature(_last(estimator).fit).parameters
    if "sample_weight" not in takes:
        raise BadHead(head_kind(estimator), "it takes no weights, which balanced classes need")
    step = f"{estimator.steps[-1][0]}__" if hasattr(estimator, "steps") else ""
    estimator.fit(features_ND, labels_N, **{f"{step}sample_weight": weights_N})


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _of_sklearn(estimator: Any, classes: int) -> Iterator[Dense]:
    """Yield the layers of a fitted classifier; of two classes the first one's logit is 0."""
    last = _last(estimator)
    if not hasattr(last, "classes_"):
        raise BadHead(head_kind(last), "it is no classifier; give one, of whatever kind of layers")
    if len(last.classes_) != classes:
        raise BadHead(head_kind(last), f"it knows {len(last.classes_)} of {classes} classes")
    if hasattr(last, "coef_"):
        weight_DK = np.atleast_2d(last.coef_).T
        dense = [
            Dense(_float(weight_DK), _float(np.broadcast_to(last.intercept_, weight_DK.shape[1])))
        ]
    elif hasattr(last, "coefs_") and last.activation == "relu":
        dense = [
            Dense(_float(w), _float(b)) for w, b in zip(last.coefs_, last.intercepts_, strict=True)
        ]
    else:
        raise BadHead(
            head_kind(last),
            "a bundle holds dense layers with a ReLU between them; give a linear classifier, or an "
            "MLPClassifier with activation='relu'",
        )
    dense[0] = _on_raw(estimator, dense[0])
    if dense[-1].weight_DK.shape[1] == 1 and classes == 2:
        dense[-1] = _of_two(dense[-1])
    yield from dense


def _on_raw(estimator: Any, first: Dense) -> Dense:
    """Return the first layer as one on raw features, whatever scales or turns them before it.

    Each step in front is (x - centre) @ turn, which a dense layer takes in; in double precision,
    for one step may stretch what the next one shrinks again.
    """
    weight_DK = first.weight_DK.astype(np.float64)
    bias_K = first.bias_K.astype(np.float64)
    for _, step in reversed(getattr(estimator, "steps", [])[:-1]):
        weight_DK, centre_D = _before(step, weight_DK)
        bias_K = bias_K - centre_D @ weight_DK
    return Dense(_float(weight_DK), _float(bias_K))


def _before(
    step: Any, weight_DK: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights on what comes into a fitted step, and what it takes off that first."""
    match type(step).__name__:
        case "StandardScaler":
            scale_D = np.ones(len(weight_DK)) if step.scale_ is None else step.scale_
            centre_D = np.zeros(len(weight_DK)) if step.mean_ is None else step.mean_
            return weight_DK / scale_D[:, None], np.asarray(centre_D, np.float64)
        case "PCA":
            if step.whiten:
                scale_C = np.sqrt(step.explained_variance_)
                weight_DK = weight_DK / np.maximum(scale_C, np.finfo(scale_C.dtype).eps)[:, None]
            turn_DC = np.asarray(step.components_, np.float64).T
            return turn_DC @ weight_DK, np.asarray(step.mean_, np.float64)
    raise BadHead(
        head_kind(step), "in front of a head there may be a StandardScaler or a PCA, nothing else"
    )


def _of_two(last: Dense) -> Dense:
    zero_D1, zero_1 = np.zeros_like(last.weight_DK), np.zeros_like(last.bias_K)
    return Dense(np.hstack([zero_D1, last.weight_DK]), np.concatenate([zero_1, last.bias_K]))


def _check_shapes(head: Any, layers: Layers, width: int, classes: int) -> None:
    """Refuse layers that do not lead from the features to the classes."""
    below = width
    for layer in layers.dense:
        if layer.weight_DK.ndim != 2 or layer.weight_DK.shape[0] != below:
            found = f"a layer of {layer.weight_DK.shape} on {below} inputs"
            raise BadHead(head_kind(head), f"{found}; weights are (inputs, outputs)")
        below = layer.weight_DK.shape[1]
        if layer.bias_K.shape != (below,):
            raise BadHead(head_kind(head), f"biases {layer.bias_K.shape} for {below} outputs")
    if not layers.dense or below != classes:
        raise BadHead(head_kind(head), f"its layers end in {below}; there are {classes} classes")


def _check_alike(head: Any, fitted: Any, layers: Layers, features_ND: Matrix) -> None:
    """Refuse layers that answer otherwise than the head they are of."""
    ours_NK, theirs_NK = np.asarray(layers(features_ND), np.float64), _own(fitted, features_ND)
    if not hasattr(fitted, "logits") and not hasattr(fitted, "decision_function"):
        ours_NK = softmax(ours_NK)
    if ours_NK.shape != theirs_NK.shape:
        raise BadHead(
            head_kind(head), f"its logits are {theirs_NK.shape}; needed are {ours_NK.shape}"
        )
    gap = float(np.abs(ours_NK - theirs_NK).max(initial=0.0))
    if not gap <= _TOLERANCE * max(1.0, float(np.abs(theirs_NK).max(initial=0.0))):
        raise BadHead(
            head_kind(head),
            f"as dense layers with a ReLU between them it answers otherwise, by {gap:.3g}; its "
            "layers() have to give what its logits() give",
        )


def _own(fitted: Any, features_ND: Matrix) -> NDArray[np.float64]:
    """Return the head's own logits, or probabilities where it has no others."""
    if hasattr(fitted, "logits"):
        return np.asarray(fitted.logits(features_ND), np.float64)
    if not hasattr(fitted, "decision_function"):
        return np.asarray(fitted.predict_proba(features_ND), np.float64)
    logits_NK = np.asarray(fitted.decision_function(features_ND), np.float64)
    if logits_NK.ndim == 1:  # of two classes
        return np.column_stack([np.zeros_like(logits_NK), logits_NK])
    return logits_NK


def _float(array: Any) -> Matrix:
    return np.ascontiguousarray(array, np.float32)
