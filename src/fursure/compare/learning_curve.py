"""Collected photos and a recipe → what its head learns from fewer of them.

The features are there already, so a point costs a fit. All points are measured on the same test
photos, and the photos of a smaller one are among those of every larger one.

Dimension key: N photos, D features, K classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from fursure.errors import BadData
from fursure.features.collect import Collected
from fursure.heads.fit import fit
from fursure.metrics.answers import Answers
from fursure.metrics.ladder import CurvePoint
from fursure.recipe import Recipe
from fursure.rows.photo import Photo
from fursure.splitting.split import SMALLEST_CLASS, few, limited
from fursure.sureness.calibration import softmax
from fursure.training.parts import for_test

_SIZES = tuple(step * 10**power for power in range(1, 8) for step in (1, 2, 5))[2:]  # from 50
NEARLY = 0.8  # of all photos; a size above it says what all of them say


def learning_curve(collected: Collected, recipe: Recipe) -> Iterator[CurvePoint]:
    """Yield what the recipe would be worth with 50, 100, 200, 500, … of its photos.

    A point counts what has to be labelled: photos of training and of validation. It does what
    training on so many would do, cross-validation for the head of very few included.
    """
    usable = collected.usable
    row_of = {photo.path: row for row, photo in enumerate(usable)}
    test = [row_of[photo.path] for photo in for_test(usable)]
    learned = [row for row, photo in enumerate(usable) if photo.split != "test"]
    labels = collected.manifest.labels
    labels_N = np.array([labels.index(usable[row].label or "") for row in test])
    for size in _SIZES:
        if size > NEARLY * len(learned):
            return
        kept = _kept([usable[row] for row in learned], size, recipe.seed)
        rows = [row for row, kept_here in zip(learned, kept, strict=True) if kept_here]
        if not rows:
            continue
        photos = _as_alone([usable[row] for row in rows], recipe)
        everyone = [*photos, *(usable[row] for row in test)]
        fitted = fit(everyone, collected.features_ND.at([*rows, *test]), labels, recipe)
        logits_NK = collected.features_ND.at(test).mapped(fitted.layers)
        yield CurvePoint(len(rows), Answers.of(softmax(logits_NK, fitted.temperature), labels_N))


def _kept(learned: Sequence[Photo], size: int, seed: int) -> list[bool]:
    """Return which photos are among ``size``, evenly by class; too few for a class are none."""
    together = [replace(photo, split="train") for photo in learned]
    try:
        chosen = limited(together, size, seed=seed, least=SMALLEST_CLASS)
    except BadData:
        return [False] * len(learned)
    return [photo.reason is None for photo in chosen]


def _as_alone(photos: Sequence[Photo], recipe: Recipe) -> list[Photo]:
    """Return the photos with the splits they would have if there were no others to learn from."""
    if few(photos, recipe):
        return [replace(photo, split="train") for photo in photos]
    return list(photos)
