"""`fursure train --dry-run`: what would be read and made, and nothing of it done."""

import hashlib
import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from console import fursure

from fursure.backbones.combine import encoder_for
from fursure.dataset.labelled import dataset_of
from fursure.errors import BadData, UnknownBackbone
from fursure.features.reader import Reader, features_cache, features_path
from fursure.recipe import FineTune, Recipe
from fursure.recipes.catalogue import LINEAR_PROBE, RECIPES
from fursure.rows.photo import Photo
from fursure.run import Run
from fursure.training.expected_time import reading_time
from fursure.training.plan import plan_training
from fursure.training.train import Trained


def files_below(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*")}


def test_a_dry_run_says_what_would_be_done_and_leaves_no_trace(
    drawings: Path, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "open", None)  # nothing is encoded
    before = files_below(tmp_path, own_home)
    run = fursure("train", drawings, "-o", tmp_path / "m.fursure", "--dry-run")
    lines = dict(line.split(maxsplit=1) for line in run.stdout.splitlines())
    assert lines["data"].endswith("80 photos, 2 classes")
    assert lines["classes"] == "cat 40, dog 40"
    assert lines["split"] == "too few to hold photos out: 5 folds, each measured once"
    assert lines["recipe"].startswith("linear-probe, seed 0")
    assert lines["backbone"] == "lite0: at hand"
    assert "(0 of 24 photos looked at are cached)" in lines["time"]
    assert "nothing was written" in run.stderr
    assert files_below(tmp_path, own_home) == before


def test_photos_of_an_earlier_training_cost_no_time(trained: Trained, drawings: Path) -> None:
    reading = plan_training(drawings, trained.path).reading
    assert reading is not None
    assert (reading.looked_at, reading.cached, reading.seconds) == (24, 24, 0.0)


def test_features_of_a_graphics_processor_cost_no_time_either(
    drawings: Path, own_home: Path
) -> None:
    encoder = encoder_for(Recipe())
    path = next((drawings / "cat").iterdir())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = features_path(encoder.digest, encoder.preprocess, "cuda 1.31.1 fp32")
    with closing(features_cache(name)) as cache:
        cache.update({digest: np.zeros(3, np.float32)})
    with dataset_of(drawings).open() as source:
        photos = [Photo(path=f"cat/{path.name}")]
        assert reading_time(source, photos, encoder, Run()).cached == 1


def test_as_json_it_names_an_output_that_is_there(trained: Trained, drawings: Path) -> None:
    run = fursure("train", drawings, "-o", trained.path, "--dry-run", "--json", "-q")
    plan = json.loads(run.stdout)
    assert plan["photos"] == {"cat": 40, "dog": 40}
    assert plan["output_exists"] is True
    assert plan["recipe"]["name"] == "linear-probe"
    assert not run.stderr


def test_shares_are_expected_and_given_parts_are_kept(drawings: Path, tmp_path: Path) -> None:
    probe = replace(LINEAR_PROBE, cross_validate_below=0, test=0.25)
    assert plan_training(drawings, "m.fursure", probe).split == {
        "train": 52, "val": 8, "test": 20,
    }  # fmt: skip
    shutil.copytree(drawings, tmp_path / "p" / "train")
    shutil.copytree(drawings / "cat", tmp_path / "p" / "test" / "cat")
    assert plan_training(tmp_path / "p", "m.fursure", probe).split == {
        "train": 72, "val": 8, "test": 40,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("recipe", "where"),
    [
        (Recipe(backbone="timm:resnet18"), "to be fetched, unless that was done"),
        (Recipe(backbone="scratch:cnn", tune=FineTune()), "random weights"),
        (Recipe(backbone="lite0"), "at hand"),
    ],
)
def test_it_says_whether_the_backbone_is_at_hand(
    drawings: Path, recipe: Recipe, where: str, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FURSURE_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    plan = plan_training(drawings, "m.fursure", recipe)
    assert where in plan.backbones[str(recipe.backbone)]
    assert (plan.reading is None) == ("fetched" in where)
    monkeypatch.setenv("FURSURE_OFFLINE", "1")
    after = plan_training(drawings, "m.fursure", recipe).backbones[str(recipe.backbone)]
    assert ("forbids" in after) == ("fetched" in where)


@pytest.mark.long
def test_passes_of_a_network_are_told_apart_from_reading(drawings: Path) -> None:
    recipe = RECIPES["fine-tune"]
    assert recipe.tune is not None
    doubled = replace(recipe, tune=replace(recipe.tune, runs=2))
    passes = [plan_training(drawings, "m.fursure", each).passes for each in (recipe, doubled)]
    assert passes == [4, 8]  # one stage of four


def test_what_training_would_refuse_is_refused(drawings: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="does not exist"):
        plan_training(drawings, tmp_path / "gone" / "m.fursure")
    with pytest.raises(UnknownBackbone, match="Did you mean 'lite0'"):
        plan_training(drawings, "m.fursure", Recipe(backbone="lite00"))
    shutil.copytree(drawings / "cat", tmp_path / "one" / "cat")
    with pytest.raises(BadData, match="only one class"):
        plan_training(tmp_path / "one", "m.fursure")
