"""Figures from few photos: when folds replace a split, and whether what they promise holds."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.heads.fit import fit
from fursure.recipe import FineTune, LogisticRegression, Recipe
from fursure.rows.photo import Photo, Split
from fursure.splitting.split import few
from fursure.sureness.calibration import softmax

RECIPE = Recipe(head=LogisticRegression(strengths=(0.3, 0.03)))
LABELS = ("cat", "dog")


def photos(count: int, split: Split = "train", *, start: int = 0) -> list[Photo]:
    """Return photos of two classes, each a group of its own."""
    names = [f"{number:05}" for number in range(start, start + count)]
    digests = [sha256(name.encode()).hexdigest() for name in names]
    return [
        Photo(path=name, sha256=digest, label=LABELS[int(name) % 2], group=digest, split=split)
        for name, digest in zip(names, digests, strict=True)
    ]


def features(some: list[Photo], seed: int) -> NDArray[np.float32]:
    """Return features of classes that overlap, and of one photo in fifty the other class's."""
    rng = np.random.default_rng(seed)
    sign_N = np.array([1.0 if photo.label == "dog" else -1.0 for photo in some])
    sign_N *= np.where(rng.random(len(some)) < 0.02, -1, 1)
    return (sign_N[:, None] * [2.5, 0, 0, 0] + rng.normal(size=(len(some), 4))).astype(np.float32)


def test_fewer_than_two_thousand_photos_in_all_are_few() -> None:
    assert few(photos(1999), Recipe())
    assert not few(photos(2000), Recipe())
    assert few(photos(100), replace(Recipe(), cross_validate_below=101))


def test_what_teaches_nothing_does_not_count() -> None:
    tested = photos(5000, "test", start=2000)
    assert few([*photos(1999), *tested], Recipe())
    broken = [replace(photo, reason="broken") for photo in photos(5000, start=9000)]
    assert few([*photos(1999), *broken], Recipe())


def test_a_network_that_trains_itself_is_measured_like_a_frozen_one() -> None:
    tuned = replace(Recipe(), tune=FineTune())
    assert few(photos(100), tuned)
    assert not few(photos(2000), tuned)


def test_every_photo_is_judged_out_of_fold_and_the_model_learns_from_all() -> None:
    some = photos(120)
    found = fit(some, features(some, 1), LABELS, RECIPE)
    assert (found.basis, found.evaluation.n) == ("cross-validation", 120)
    assert sorted(found.tested_M.tolist()) == list(range(120))
    assert not found.held_out_N.any()


def test_a_test_split_of_the_users_stays_one() -> None:
    some = [*photos(100), *photos(40, "test", start=100)]
    found = fit(some, features(some, 2), LABELS, RECIPE)
    assert (found.basis, found.evaluation.n) == ("test photos", 40)


def test_folds_share_photos_so_their_intervals_are_wider() -> None:
    some = photos(300)
    x_ND = features(some, 3)
    folded = fit(some, x_ND, LABELS, RECIPE).evaluation.accuracy
    more = photos(300, "test", start=300)
    tested = fit([*some, *more], np.vstack([x_ND, features(more, 4)]), LABELS, RECIPE).evaluation
    wilson = tested.accuracy
    assert folded.high - folded.low > 1.1 * (wilson.high - wilson.low)


@pytest.mark.long
@pytest.mark.parametrize("count", [60, pytest.param(200, marks=pytest.mark.long)])
def test_what_is_promised_of_few_photos_holds_on_others(count: int) -> None:
    others = photos(4000, start=10_000)
    x_ND, truth_N = features(others, 5), np.arange(4000) % 2
    held = np.zeros(2)
    for draw in range(60):
        some = photos(count, start=300 * draw)
        found = fit(some, features(some, 100 + draw), LABELS, RECIPE)
        probs_NK = softmax(found.layers(x_ND), found.temperature)
        right = float((probs_NK.argmax(axis=1) == truth_N).mean())
        loss = float(-np.log(probs_NK[np.arange(4000), truth_N]).mean())
        e = found.evaluation
        held += [
            e.accuracy.low <= right <= e.accuracy.high,
            e.log_loss.low <= loss <= e.log_loss.high,
        ]
    assert (held >= 54).all()  # 57 or more expected, 3 standard deviations are 5 below
