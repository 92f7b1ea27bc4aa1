"""Features and labels → a head: logits as a small stack of dense layers.

Each kind is fitted by the module of this room that is called as its flag in `HEADS`.

Dimension key: N photos, D features, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fursure.graphs.layers import Dense, Layers, Matrix
from fursure.heads.examples import HELD_IN_MEMORY, Examples, Scale
from fursure.recipe import HEADS, Head
from fursure.rows.table import FeatureTable

Fitting = Callable[[Any, Examples], Iterator[tuple[float, Sequence[Dense]]]]
# its own knobs, and what to learn from -> a knob and the layers it made, on standardised features


@dataclass(frozen=True, slots=True)
class Candidate:
    """A head on offer, and the knob that made it: a strength, or an epoch."""

    knob: float
    layers: Layers


def candidates(
    head: Head,
    features_ND: Matrix | FeatureTable,
    labels_N: NDArray[np.integer],
    classes: int,
    *,
    seed: int,
) -> Iterator[Candidate]:
    """Yield heads trained on the photos given; the caller keeps the best and stops when it likes.

    A logistic regression yields one candidate a strength, from strong to weak; an `Mlp` one an
    epoch.
    """
    table = FeatureTable.of(features_ND)
    if table.file is not None and table.nbytes > HELD_IN_MEMORY:
        # read again at each step; the sums are the same but for rounding
        order_N = table.in_file_order()
        table, labels_N = table.at(order_N), labels_N[order_N]
    scale = Scale.of(table)
    balanced = head.class_weight == "balanced"
    examples = Examples(
        features_ND=table,
        scale=scale,
        labels_N=labels_N,
        weight_N=class_weights(labels_N, classes, balanced=balanced)[labels_N],
        classes=classes,
        seed=seed,
    )
    for knob, (first, *rest) in _fit_of(head)(head, examples):
        yield Candidate(knob, Layers((scale.folded(first), *rest)))


def _fit_of(head: Head) -> Fitting:
    """Return the function that fits heads of this kind, from the module of the same name."""
    flag = next(flag for flag, cls in HEADS.items() if isinstance(head, cls))
    return cast(Fitting, getattr(import_module(f"{__package__}.{flag}"), f"fit_{flag}"))


def class_weights(labels_N: NDArray[np.integer], classes: int, *, balanced: bool) -> Matrix:
    """Return the weight (K,) of each class, 1 on average over the photos.

    ``balanced``: photos of one class weigh as much together as those of any other.
    """
    if not balanced:
        return np.ones(classes, np.float32)
    count_K = np.bincount(labels_N, minlength=classes)
    weight_K = len(labels_N) / (max(np.count_nonzero(count_K), 1) * np.maximum(count_K, 1))
    return np.asarray(weight_K, np.float32)
