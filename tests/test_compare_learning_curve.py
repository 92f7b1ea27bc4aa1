"""What a head learns from fewer photos, on features made by hand."""

from hashlib import sha256

import numpy as np

from fursure.compare.learning_curve import learning_curve
from fursure.dataset.manifest import Manifest
from fursure.features.collect import Collected
from fursure.metrics.ladder import CurvePoint
from fursure.recipe import LogisticRegression, Recipe
from fursure.rows.photo import Photo, Split
from fursure.rows.table import FeatureTable
from fursure.training.parts import for_test

RECIPE = Recipe(head=LogisticRegression(strengths=(0.1, 0.01)), cross_validate_below=120)
SPLITS: tuple[Split, ...] = ("train", "train", "train", "val", "test")


def collected(count: int, *, rare: int = 0) -> Collected:
    """Return ``count`` photos of two classes that overlap a little, and a few of a third."""
    rng = np.random.default_rng(0)
    labels = ["cat", "dog"] * (count // 2) + ["emu"] * rare
    photos = []
    for number, label in enumerate(labels):
        digest = sha256(str(number).encode()).hexdigest()
        photos.append(
            Photo(
                path=f"{number:05}.jpg",
                sha256=digest,
                label=label,
                group=digest,
                split=SPLITS[number // 2 % 5],
            )
        )
    centre = {"cat": -1.0, "dog": 1.0, "emu": 4.0}
    features_ND = rng.normal([[centre[label]] * 4 for label in labels], 2.0).astype(np.float32)
    return Collected(
        manifest=Manifest(root=".", photos=tuple(photos), skipped={}),
        usable=tuple(photos),
        features_ND=FeatureTable(features_ND),
        engine="onnxruntime 1 fp32",
        caches=(),
    )


def test_every_point_answers_all_test_photos() -> None:
    points = list(learning_curve(collected(600), RECIPE))
    assert [one.photos for one in points] == [50, 100, 200]  # of 480; 500 are not there
    assert {len(one.answers.correct_N) for one in points} == {120}
    assert points[0].answers.accuracy.value > 0.7


def test_a_size_close_to_all_of_them_is_left_to_all() -> None:
    assert [one.photos for one in learning_curve(collected(270), RECIPE)] == [50, 100]  # of 216


def test_sizes_that_leave_a_class_too_few_are_skipped() -> None:
    points = list(learning_curve(collected(600, rare=10), RECIPE))
    assert all(isinstance(one, CurvePoint) for one in points)
    assert [one.photos for one in points][:1] == [50]
    assert not list(learning_curve(collected(60), RECIPE))


def test_the_order_of_answers_does_not_depend_on_the_order_of_photos() -> None:
    photos = collected(40).usable
    assert for_test(photos) == for_test(photos[::-1])
    assert {one.split for one in for_test(photos)} == {"test"}


def test_more_photos_do_not_change_what_fewer_learn() -> None:
    once, again = (list(learning_curve(collected(600), RECIPE)) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert one.answers.to_json() == other.answers.to_json()
