"""Recipes that train their network, on few photos: measured like a frozen one, fold by fold."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from samples import draw_into

pytest.importorskip("torch")

from fursure.backbones.backbone import Backbone
from fursure.bundle.bundle import Bundle, short_digest
from fursure.commands.api import train
from fursure.dataset.manifest import Manifest
from fursure.features.collect import Collected
from fursure.finetuning import tuning
from fursure.finetuning.state import Epoch
from fursure.finetuning.tuning import Tuned
from fursure.graphs.graph import half_precision
from fursure.recipe import FineTune, LogisticRegression, Recipe, Stage
from fursure.training.train import Trained

FROZEN = Recipe(
    head=LogisticRegression(strengths=(0.1, 0.01)),
    folds=3,
    cross_validate_below=10**6,
    image_size=96,
)
TUNED = replace(FROZEN, tune=FineTune(minutes=8))
COUNT = 15  # photos of each class


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_into(tmp_path_factory.mktemp("photos"), count=COUNT)


@dataclass
class Calls:
    """What the trainings were given, in place of which the head that they begin with is kept."""

    collected: list[Collected]
    minutes: list[float | None]
    halved: list[bool]
    runs: list[int]
    trained: Callable[[Backbone, int], Backbone] = lambda origin, _run: origin
    epochs: tuple[Epoch, ...] = ()

    def __call__(
        self, source: Any, collected: Collected, recipe: Recipe, origin: Any, start: Any, **how: Any
    ) -> Tuned:
        self.collected.append(collected)
        self.minutes.append(recipe.tune.minutes if recipe.tune else None)
        self.halved.append(how["halved"])
        self.runs.append(how["run"])
        return Tuned(
            backbone=self.trained(origin, how["run"]),
            head=start,
            epochs=self.epochs,
            notes=(),
        )

    def digests(self, number: int, *splits: str) -> set[str]:
        return {one.sha256 for one in self.collected[number].usable if one.split in splits}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls([], [], [], [])
    monkeypatch.setattr(tuning, "train_network", calls)
    return calls


def everything(made: Trained) -> set[str]:
    manifest = Manifest.load(made.path.with_name(f"{made.path.stem}.manifest.jsonl"))
    return {one.sha256 for one in manifest.usable}


def test_a_network_is_trained_once_a_fold_on_the_others_and_once_on_all(
    folder: Path, tmp_path: Path, calls: Calls
) -> None:
    said: list[str] = []
    made = train(folder, tmp_path / "tuned.fursure", TUNED, say=said.append)
    photos = everything(made)
    held = [photos - calls.digests(fold, "train", "val") for fold in range(3)]
    assert set.union(*held) == photos
    assert sum(map(len, held)) == len(photos) == 2 * COUNT  # each photo in one fold
    assert calls.digests(3, "train", "val") == photos
    for number in range(4):
        assert calls.digests(number, "val")
        assert not calls.digests(number, "test")
    assert calls.halved == [False] * 4  # what certifies nothing chooses
    assert said == [
        *(f"training, fold {fold} of 3" for fold in (1, 2, 3)),
        "training on all photos",
    ]


@pytest.mark.long
def test_a_frozen_recipe_and_a_tuned_one_are_measured_on_the_same_photos(
    folder: Path, tmp_path: Path, calls: Calls
) -> None:
    frozen = train(folder, tmp_path / "frozen.fursure", FROZEN).bundle.meta.figures
    tuned = train(folder, tmp_path / "tuned.fursure", TUNED).bundle.meta.figures
    assert (tuned["basis"], tuned["n"]) == ("cross-validation", 2 * COUNT)
    assert (frozen["basis"], frozen["n"]) == ("cross-validation", 2 * COUNT)


def test_the_budget_of_minutes_is_for_all_trainings_together(
    folder: Path, tmp_path: Path, calls: Calls
) -> None:
    made = train(folder, tmp_path / "tuned.fursure", TUNED)
    assert calls.minutes == [2.0] * 4
    assert made.bundle.meta.recipe["tune"]["minutes"] == 8
    assert not train(folder, tmp_path / "tuned.fursure", TUNED).new


def test_a_tuned_encoder_says_what_it_has_seen(folder: Path, tmp_path: Path, calls: Calls) -> None:
    made = train(folder, tmp_path / "tuned.fursure", TUNED)
    assert Bundle.read(made.path).encoder_seen == set(map(short_digest, everything(made)))


def test_photos_enough_are_divided_as_ever(folder: Path, tmp_path: Path, calls: Calls) -> None:
    recipe = replace(TUNED, cross_validate_below=0, validation=0.3, test=0.3)
    made = train(folder, tmp_path / "tuned.fursure", recipe)
    assert made.bundle.meta.figures["basis"] == "test photos"
    assert (calls.halved, calls.minutes) == ([True], [8])
    seen = calls.digests(0, "train", "val")
    assert Bundle.read(made.path).encoder_seen == set(map(short_digest, seen))


def divided(**tune: Any) -> Recipe:
    shares: dict[str, Any] = {"cross_validate_below": 0, "validation": 0.3, "test": 0.3}
    return replace(TUNED, **shares, tune=FineTune(**tune))


def epoch(*, number: int, best: bool, minutes: float = 1.0) -> Epoch:
    return Epoch(
        stage=1,
        number=number,
        train_loss=0.1,
        val_loss=0.1,
        val_accuracy=0.9,
        best=best,
        seconds=60 * minutes,
    )


@pytest.mark.long
def test_runs_and_a_frozen_network_beside_become_one_model(
    folder: Path, tmp_path: Path, calls: Calls
) -> None:
    def trained(origin: Backbone, run: int) -> Backbone:
        return replace(origin, onnx=half_precision(origin.onnx)) if run else origin

    calls.trained, calls.epochs = trained, (epoch(number=0, best=True), epoch(number=1, best=True))
    recipe = divided(runs=2, beside="lite0")
    made = train(folder, tmp_path / "both.fursure", replace(recipe, backbone="lite1"))
    alone = train(folder, tmp_path / "alone.fursure", replace(FROZEN, backbone="lite0"))
    assert calls.runs == [0, 1]
    assert made.bundle.meta.backbone == "lite1 + lite1 + lite0"
    assert made.bundle.meta.features == 3 * alone.bundle.meta.features
    assert "lite1 + lite1 + lite0, trained on these photos, lite0 beside" in made.bundle.card
    assert "lite0, frozen, " in alone.bundle.card
    assert made.bundle.familiar.first == 2 * alone.bundle.meta.features
    assert not any("did not help" in note for note in made.notes)


def test_a_training_that_did_not_help_says_so(folder: Path, tmp_path: Path, calls: Calls) -> None:
    calls.epochs = (epoch(number=0, best=True), epoch(number=1, best=False))
    made = train(folder, tmp_path / "vain.fursure", divided(runs=2))
    assert sum("did not help" in note for note in made.notes) == 1
    assert not any("tune.beside" in note for note in made.notes)
    assert made.bundle.meta.backbone == "lite0"  # both runs are the frozen network: once


@pytest.mark.long
def test_trained_features_alone_are_said_to_know_strangers_worse(
    folder: Path, tmp_path: Path, calls: Calls
) -> None:
    calls.epochs = (epoch(number=1, best=True),)
    calls.trained = lambda origin, _run: replace(origin, onnx=half_precision(origin.onnx))
    alone = train(folder, tmp_path / "alone.fursure", divided())
    beside = train(folder, tmp_path / "beside.fursure", divided(beside="lite0"))
    assert [any("tune.beside" in note for note in made.notes) for made in (alone, beside)] == [
        True,
        False,
    ]
    assert any("features of lite0, which was not trained" in note for note in beside.notes)


@pytest.mark.parametrize(("minutes", "took", "runs"), [(10, 6, [10, 4]), (10, 7.5, [10])])
def test_another_run_begins_where_time_is_left_for_half_of_one(
    folder: Path, tmp_path: Path, calls: Calls, minutes: float, took: float, runs: list[float]
) -> None:
    calls.epochs = (epoch(number=1, best=True, minutes=took),)
    train(folder, tmp_path / "timed.fursure", divided(runs=2, minutes=minutes))
    assert calls.minutes == runs


@pytest.mark.slow
def test_a_training_killed_in_its_second_fold_goes_on_to_the_same_bits(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(epochs=1, rate=1e-3)
    recipe = replace(
        TUNED,
        backbone="scratch:cnn",
        image_size=64,
        folds=2,
        tune=FineTune(stages=(stage,), start="random", batch=8, ema=0.0),
    )
    real, begun = tuning._train, []

    def counted(*args: Any) -> Any:
        begun.append(args)
        if len(begun) == 2 and interrupted:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(tuning, "_train", counted)
    whole = []
    for interrupted in (False, True):
        monkeypatch.setenv("FURSURE_HOME", str(tmp_path / f"home {interrupted}"))
        begun.clear()
        path = tmp_path / f"{interrupted}" / "tuned.fursure"
        path.parent.mkdir()
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                train(folder, path, recipe)
        train(folder, path, recipe)
        assert len(begun) == (4 if interrupted else 3)  # the first fold is not trained again
        assert not list((tmp_path / f"home {interrupted}" / "training").iterdir())
        whole.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert whole[0] == whole[1]
