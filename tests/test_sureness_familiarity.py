"""Familiarity: what it keeps, what it recognises, and files nobody vouches for."""

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.sureness.familiarity import Familiar, fit_familiar
from fursure.sureness.readout import Readout

Features = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]
FEATURES = 64


def known(n: int, seed: int, classes: int = 2) -> tuple[Features, NDArray[np.int64]]:
    """Return rectified features around one direction per class, and the labels."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(42).normal(size=(classes, FEATURES))
    labels = rng.integers(classes, size=n)
    features = np.maximum(centres[labels] + 0.5 * rng.normal(size=(n, FEATURES)), 0)
    return (5 * features).astype(np.float32), labels


def strangers(n: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    return (5 * np.maximum(rng.normal(size=(n, FEATURES)), 0)).astype(np.float32)


def fitted(train: int = 800, held_out: int = 500, **knobs: Any) -> Familiar:
    features, labels = known(train, seed=1)
    return fit_familiar(features, labels, known(held_out, seed=2)[0], **knobs)


def test_strangers_are_recognised_and_known_photos_kept() -> None:
    familiar = fitted()
    kept = familiar.familiarity(known(4000, seed=3)[0]) >= familiar.threshold
    caught = familiar.familiarity(strangers(500)) < familiar.threshold
    assert 0.975 <= kept.mean() <= 1.0
    assert caught.mean() > 0.95


def test_the_threshold_gives_up_one_known_photo_in_a_hundred_on_average() -> None:
    lost = []
    for seed in range(30):
        features, labels = known(200, seed=10 * seed + 1)
        familiar = fit_familiar(features, labels, known(150, seed=10 * seed + 2)[0])
        lost.append(np.mean(familiar.familiarity(known(500, seed=10 * seed + 3)[0]) < 0.01))
    assert 0.003 < np.mean(lost) < 0.02


@pytest.mark.parametrize("held_out", [1, 5, 20, 60])
def test_few_held_out_photos_give_up_no_more(held_out: int) -> None:
    lost = []
    for seed in range(40):
        features, labels = known(100, seed=10 * seed + 1)
        familiar = fit_familiar(features, labels, known(held_out, seed=10 * seed + 2)[0])
        lost.append(np.mean(familiar.familiarity(known(200, seed=10 * seed + 3)[0]) < 0.01))
    assert np.mean(lost) < 0.015


def test_familiarity_is_a_rank_among_the_held_out_photos() -> None:
    features, labels = known(400, seed=1)
    held_out, _ = known(300, seed=2)
    found = fit_familiar(features, labels, held_out).familiarity(held_out)
    assert found.dtype == np.float32
    # the 20 lowest are too few to rank: an exponential tail smooths them
    assert np.sort(found)[20:-1] == pytest.approx(np.arange(21, 300) / 301, abs=1e-6)
    assert np.sort(found)[:20] == pytest.approx(np.arange(1, 21) / 301, abs=0.01)
    assert found.max() == 1.0


def test_what_points_the_other_way_is_not_familiar_at_all() -> None:
    familiar = fitted()
    assert familiar.familiarity(-known(5, seed=3)[0]).max() == 0.0


def test_size_does_not_matter_only_direction() -> None:
    familiar, features = fitted(), known(50, seed=3)[0]
    expected = familiar.familiarity(features)
    assert familiar.familiarity(features * np.float32(256)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("batch", [1, 7, 128, 300])
def test_familiarity_is_the_same_whatever_the_batch(batch: int) -> None:
    familiar = fitted()
    features = np.concatenate([known(200, seed=3)[0], strangers(100)])
    parts = [familiar.familiarity(features[i : i + batch]) for i in range(0, 300, batch)]
    assert np.concatenate(parts) == pytest.approx(familiar.familiarity(features), abs=1e-6)


def test_no_photos_have_no_familiarity() -> None:
    assert fitted().familiarity(np.zeros((0, FEATURES), np.float32)).shape == (0,)


def test_features_that_are_not_finite_resemble_nothing() -> None:
    features, _ = known(3, seed=3)
    features[1, 5], features[2, 6] = np.nan, np.inf
    found = fitted().familiarity(features)
    assert found[0] > 0
    assert np.array_equal(found[1:], [0, 0])


def test_empty_features_count_like_any_others() -> None:
    [found] = fitted().familiarity(np.zeros((1, FEATURES), np.float32))
    assert 0 <= found <= 1


def burst(copies: int, seed: int) -> tuple[Features, NDArray[np.int64], list[str]]:
    """Return 60 photos, each taken ``copies`` times in a row, and which belong together."""
    features, labels = known(60, seed)
    rng = np.random.default_rng(seed + 1)
    many = features.repeat(copies, axis=0)
    many = many + rng.normal(0, 0.01, many.shape).astype(np.float32)
    return many, labels.repeat(copies), [str(row // copies) for row in range(len(many))]


def test_photos_taken_in_a_row_do_not_vouch_for_each_other() -> None:
    features, labels, groups = burst(copies=20, seed=1)
    others = known(2000, seed=3)[0]
    careless = fit_familiar(features, labels)
    careful = fit_familiar(features, labels, groups=groups)
    assert (careless.familiarity(others) < 0.01).mean() > 0.9
    assert (careful.familiarity(others) < 0.01).mean() < 0.05


def test_photos_that_are_all_near_duplicates_call_nobody_a_stranger() -> None:
    features, labels, _ = burst(copies=2, seed=1)
    familiar = fit_familiar(features, labels, groups=["the same"] * len(features))
    assert (familiar.familiarity(known(200, seed=3)[0]) >= familiar.threshold).all()


@pytest.mark.parametrize(
    "photos", [60, *(pytest.param(count, marks=pytest.mark.long) for count in (200, 600))]
)
def test_few_photos_without_held_out_ones_give_up_one_in_a_hundred(photos: int) -> None:
    lost, taken = [], []
    for seed in range(30):
        features, labels = known(photos, seed=10 * seed + 1)
        familiar = fit_familiar(features, labels)
        lost.append(np.mean(familiar.familiarity(known(500, seed=10 * seed + 3)[0]) < 0.01))
        taken.append(np.mean(familiar.familiarity(strangers(200, seed)) >= 0.01))
    assert 0.002 < np.mean(lost) < 0.015
    assert np.mean(taken) < 0.1


@pytest.mark.long
def test_a_frozen_network_lets_training_photos_sharpen_the_threshold() -> None:
    def spread(frozen: bool) -> float:
        lost = []
        for seed in range(20):
            features, labels = known(600, seed=10 * seed + 1)
            held_out = known(60, seed=10 * seed + 2)[0]
            familiar = fit_familiar(features, labels, held_out, frozen=frozen)
            lost.append(np.mean(familiar.familiarity(known(1000, seed=10 * seed + 3)[0]) < 0.01))
        return float(np.sqrt(np.mean((np.array(lost) - 0.01) ** 2)))

    assert spread(frozen=True) < 0.75 * spread(frozen=False)


def test_without_held_out_photos_the_references_are_compared_with_each_other() -> None:
    features, labels = known(600, seed=1)
    none = np.zeros((0, FEATURES), np.float32)
    for held_out in (None, none):
        familiar = fit_familiar(features, labels, held_out)
        kept = familiar.familiarity(known(3000, seed=3)[0]) >= familiar.threshold
        assert 0.97 <= kept.mean() <= 0.999
        assert (familiar.familiarity(strangers(300)) < familiar.threshold).mean() > 0.9


def test_the_same_seed_chooses_the_same_references() -> None:
    small = {"budget_bytes": 40_000}
    assert np.array_equal(fitted(**small).references, fitted(**small).references)
    assert not np.array_equal(fitted(**small).references, fitted(**small, seed=1).references)


@pytest.mark.parametrize("budget", [40_000, 60_000, 2_000_000])
def test_the_file_keeps_its_budget(budget: int) -> None:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **fitted(budget_bytes=budget).to_arrays())
    assert len(file.getvalue()) <= budget


def test_rare_classes_keep_all_of_their_references() -> None:
    features, _ = known(1000, seed=1)
    labels = (np.arange(1000) < 5).astype(int)  # class 1 has five photos, and a place of its own
    features[:5] = 0
    features[:5, 0] = [3, 4, 5, 6, 7]
    familiar = fit_familiar(features, labels, known(200, seed=2)[0], budget_bytes=40_000, k=3)
    assert len(familiar.references) < 500
    assert familiar.familiarity(features[:1])[0] == 1.0


def test_a_handful_of_photos_is_enough_to_fit() -> None:
    features, labels = known(3, seed=1)
    familiar = fit_familiar(features, labels, known(1, seed=2)[0])
    assert familiar.k == 1
    assert np.isfinite(familiar.familiarity(strangers(3))).all()


def test_identical_photos_make_a_curve_of_one_step() -> None:
    features = np.ones((30, FEATURES), np.float32)
    familiar = fit_familiar(features, np.zeros(30, int), features)
    assert familiar.familiarity(features[:1])[0] == 1.0
    assert familiar.familiarity(strangers(1))[0] == 0.0


def test_what_is_saved_is_loaded_without_a_difference() -> None:
    familiar, file = fitted(), io.BytesIO()
    np.savez(file, allow_pickle=False, **familiar.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        loaded = Familiar.from_arrays(dict(arrays))
    features = strangers(20)
    assert np.array_equal(loaded.familiarity(features), familiar.familiarity(features))
    assert (loaded.k, loaded.threshold) == (familiar.k, familiar.threshold)


def own_readout(classes: int = 2) -> Readout:
    """Return the weights that a classifier of `known` photos would have: its centres."""
    centres = np.random.default_rng(42).normal(size=(classes, FEATURES))
    return Readout.of(centres.T, np.zeros(classes))


def near_strangers(n: int, seed: int = 0) -> Features:
    """Return strangers between the classes, as near to known photos as these are to each other."""
    rng = np.random.default_rng(seed)
    middle = np.random.default_rng(42).normal(size=(2, FEATURES)).mean(axis=0)
    features: Features = (5 * np.maximum(middle + 0.5 * rng.normal(size=(n, FEATURES)), 0)).astype(
        "f4"
    )
    return features


def test_what_the_classifier_doubts_is_less_familiar() -> None:
    plain, doubting = fitted(), fitted(readout=own_readout())
    between, others = near_strangers(300), known(3000, seed=3)[0]

    def auroc(familiar: Familiar) -> float:
        above = familiar.familiarity(others)[:, None] - familiar.familiarity(between)
        return float(((above > 0) + (above == 0) / 2).mean())

    assert auroc(doubting) > auroc(plain)
    assert 0.975 <= (doubting.familiarity(others) >= doubting.threshold).mean() <= 1.0
    assert (doubting.familiarity(strangers(500)) < doubting.threshold).mean() > 0.95


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_with_a_readout_too_the_batch_changes_nothing(batch: int) -> None:
    familiar = fitted(readout=own_readout())
    features = np.concatenate([known(200, seed=3)[0], strangers(100)])
    parts = [familiar.familiarity(features[i : i + batch]) for i in range(0, 300, batch)]
    assert np.concatenate(parts) == pytest.approx(familiar.familiarity(features), abs=1e-6)


def test_with_a_readout_too_the_threshold_gives_up_one_known_photo_in_a_hundred() -> None:
    lost = []
    for seed in range(30):
        features, labels = known(200, seed=10 * seed + 1)
        held_out = known(150, seed=10 * seed + 2)[0]
        familiar = fit_familiar(features, labels, held_out, readout=own_readout())
        lost.append(np.mean(familiar.familiarity(known(500, seed=10 * seed + 3)[0]) < 0.01))
    assert 0.003 < np.mean(lost) < 0.02


def test_features_in_front_of_those_that_count_change_nothing() -> None:
    familiar, later = fitted(), replace(fitted(), first=5)
    features = known(40, seed=3)[0]
    noise = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    found = later.familiarity(np.concatenate([noise, features], axis=1))
    assert np.array_equal(found, familiar.familiarity(features))
    with pytest.raises(ValueError, match=f"{FEATURES + 5}"):
        later.familiarity(features)
    assert Familiar.from_arrays(later.to_arrays()).first == 5
    assert "first" not in familiar.to_arrays()
    with pytest.raises(ValueError, match="impossible"):
        Familiar.from_arrays(later.to_arrays() | {"first": np.array(-1)})


def test_a_readout_is_left_out_where_nothing_gives_it_a_scale_or_room() -> None:
    assert fitted(readout=own_readout()).readout is not None
    assert fitted(held_out=19, readout=own_readout()).readout is None
    features, labels = known(200, seed=1)
    assert fit_familiar(features, labels, readout=own_readout()).readout is None
    assert fitted(readout=own_readout(classes=60), budget_bytes=60_000).readout is None


def test_a_readout_survives_the_file_and_keeps_the_budget() -> None:
    familiar, file = fitted(readout=own_readout(), budget_bytes=60_000), io.BytesIO()
    np.savez(file, allow_pickle=False, **familiar.to_arrays())
    assert len(file.getvalue()) <= 60_000
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        loaded = Familiar.from_arrays(dict(arrays))
    features = strangers(20)
    assert np.array_equal(loaded.familiarity(features), familiar.familiarity(features))


def test_a_file_from_before_there_were_readouts_is_read() -> None:
    arrays = fitted().to_arrays()
    assert not arrays.keys() & {"weights", "bias", "tails"}
    assert Familiar.from_arrays(arrays).readout is None


def test_features_beyond_all_measure_are_not_familiar_and_break_nothing() -> None:
    huge = np.full((1, FEATURES), 3e38, np.float32) * np.where(np.arange(FEATURES) % 2, 1, -1)
    found = fitted(readout=own_readout()).familiarity(huge.astype(np.float32))
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "tails"}, "needed"),
        (lambda a: a | {"weights": a["weights"][:-1]}, "'weights' has shape"),
        (lambda a: a | {"bias": a["bias"][:-1]}, "'bias' has shape"),
        (lambda a: a | {"weights": a["weights"] * np.float32(np.nan)}, "NaN"),
        (lambda a: a | {"tails": np.ones((3, 3))}, "tails must be two"),
        (lambda a: a | {"tails": a["tails"] * 0}, "scale above 0"),
    ],
)
def test_a_damaged_readout_is_refused_in_a_sentence(
    damage: Callable[[Arrays], Arrays], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Familiar.from_arrays(damage(fitted(readout=own_readout()).to_arrays()))


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


def changed(name: str, change: Callable[[NDArray[Any]], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {name: np.asarray(change(arrays[name]))}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("basis"), "needed"),
        (lambda arrays: arrays | {"extra": np.zeros(1)}, "extra"),
        (changed("references", lambda a: a.astype(np.float32)), "'references' is float32"),
        (changed("centre", lambda a: a[None]), "'centre' is float32 with 2 axes"),
        (changed("basis", lambda a: a[:-1]), "'basis' has shape"),
        (changed("scale", lambda a: a[:-1]), "'scale' has shape"),
        (changed("references", lambda a: a[:, :-1]), "'references' has shape"),
        (changed("references", lambda a: a[:0]), "'references' has shape"),
        (changed("share", lambda a: a[:-1]), "'share' has shape"),
        (changed("centre", lambda a: a * np.float32(np.nan)), "NaN"),
        (changed("similarity", lambda a: a[::-1]), "must rise"),
        (changed("share", lambda a: 2 * a), "must rise"),
        (changed("k", lambda a: a * 0), "k = 0 is impossible"),
        (changed("k", lambda a: a + 10_000), "impossible among 800 references"),
        (changed("threshold", lambda a: a + 1), "between 0 and 1"),
        (changed("k", lambda a: a.astype(object)), "'k' is object"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(
    damage: Callable[[Arrays], Arrays], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Familiar.from_arrays(damage(fitted().to_arrays()))


def test_features_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(photos, 64\) needed"):
        fitted().familiarity(np.zeros((2, 63), np.float32))


@pytest.mark.parametrize(
    ("train", "labels", "held_out", "message"),
    [
        (np.ones((3, 4)), np.zeros(2, int), np.ones((1, 4)), "do not fit"),
        (np.ones((1, 4)), np.zeros(1, int), np.ones((1, 4)), "two photos or more"),
        (np.ones((3, 4)), np.zeros(3, int), np.ones((1, 5)), r"\(photos, 4\) needed"),
        (np.full((3, 4), np.nan), np.zeros(3, int), None, "NaN or infinity"),
        (np.ones((3, 4)), np.zeros(3, int), np.full((1, 4), np.inf), "NaN or infinity"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    train: NDArray[np.float64],
    labels: NDArray[np.int64],
    held_out: NDArray[np.float64] | None,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_familiar(train, labels, held_out)


def test_a_budget_too_small_for_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="20000 bytes cannot hold references"):
        fitted(budget_bytes=20_000)


def test_sureness_is_applied_with_numpy_alone() -> None:
    code = (
        "import sys, fursure.sureness.familiarity, fursure.sureness.risk,"
        "fursure.sureness.calibration;"
        "print([m for m in ('scipy', 'sklearn', 'onnx') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
