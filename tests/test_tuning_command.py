"""`fursure tune` on drawings: the model, its recipe, its trials, and what is said of them."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from console import Run
from console import fursure as command
from samples import draw_into

import fursure
from fursure.bundle.bundle import Bundle
from fursure.dataset.manifest import Manifest
from fursure.recipes.toml import open_recipe

BEGIN = 'name = "small"\nimage_size = 96\nhead.strengths = [0.1, 0.01]\n'


@pytest.fixture(scope="module")
def folder(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recipe to begin with, and a search of six trials done in it."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "small.toml").write_text(BEGIN)
    run = tune(drawings, folder, "--trials", 6)
    assert run.returncode == 0, run.stderr
    (folder / "said.txt").write_text(run.stdout)
    return folder


def tune(photos: Path, folder: Path, *more: object) -> Run:
    words = (
        "-o",
        folder / "pets.fursure",
        "--recipe",
        folder / "small.toml",
        "--backbone",
        "lite0",
    )
    return command("tune", photos, *words, *more)


@pytest.mark.long
def test_a_search_ends_in_a_model_and_its_recipe(folder: Path, drawings: Path) -> None:
    bundle = Bundle.read(folder / "pets.fursure")
    recipe = open_recipe(str(folder / "pets.recipe.toml"))
    assert bundle.meta.recipe == recipe.to_json()
    assert (recipe.name, recipe.image_size, recipe.test) == ("pets-tuned", 96, 0.2)
    assert bundle.meta.figures["basis"] == "test photos"
    manifest = Manifest.load(folder / "pets.manifest.jsonl")
    splits = [photo.split for photo in manifest.usable]
    assert splits.count("test") == bundle.meta.figures["accuracy"]["n"] > 0
    assert "val" not in splits  # so few choose in turn


@pytest.mark.long
def test_it_says_what_choosing_was_worth(folder: Path) -> None:
    said = (folder / "said.txt").read_text()
    assert said.splitlines()[0].split() == [
        "trial",
        "validation",
        "log",
        "loss",
        "seconds",
        "recipe",
    ]
    assert "the best of 6 trials" in said
    assert "each by heads that had not seen it" in said
    assert "photos that no trial saw: " in said
    assert "with which the search began" in said


@pytest.mark.long
def test_the_same_search_is_done_and_a_longer_one_goes_on(
    folder: Path, drawings: Path, tmp_path: Path
) -> None:
    there = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = (there / "pets.fursure").read_bytes()
    again = tune(drawings, there, "--trials", 6, "--no-report")
    assert "6 trials were done already: nothing to do." in again.stderr
    assert (there / "pets.fursure").read_bytes() == before
    longer = tune(drawings, there, "--trials", 8, "--json", "-q", "--no-report")
    *trials, found = map(json.loads, longer.stdout.splitlines())
    assert longer.stderr == ""
    assert sum(found["trials"].values()) == 8
    assert found["new"] == 2
    assert found["best"] == trials[0]["number"]
    losses = [trial["validation_log_loss"] for trial in trials]
    assert losses == sorted(losses)
    other = draw_into(tmp_path / "others", count=12, first=500)
    refused = tune(other, there, "--trials", 8)
    assert refused.returncode == 1
    assert "already exists (made by another command, or from other photos)" in refused.stderr


@pytest.mark.long
def test_ten_photos_in_all_are_searched_and_five_a_class_is_what_three_parts_need(
    tmp_path: Path,
) -> None:
    (tmp_path / "small.toml").write_text(BEGIN)
    ten = draw_into(tmp_path / "ten", count=5)
    run = tune(ten, tmp_path, "--minutes", "0.01", "--json", "-q", "--no-report")
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["trials"]["complete"] >= 1
    assert found["test"]["accuracy"]["n"] >= 2
    four = draw_into(tmp_path / "four", count=2)
    refused = tune(four, tmp_path / "four", "--trials", 1)
    assert refused.returncode == 1


@pytest.mark.long
def test_python_searches_as_the_command_does(folder: Path, drawings: Path, tmp_path: Path) -> None:
    recipe = str(folder / "small.toml")
    found = fursure.tune(drawings, tmp_path / "pets.fursure", recipe, trials=6, backbones="lite0")
    shutil.copytree(folder, tmp_path / "copy")
    there = tmp_path / "copy" / "pets.fursure"
    again = fursure.tune(drawings, there, recipe, trials=6, backbones=["lite0"])
    assert (again.new, found.new) == (0, 6)  # the command's own trials
    assert found.best.recipe == again.best.recipe
    assert found.trained.bundle.digest == again.trained.bundle.digest
    assert "trial" in repr(found)
    assert len(repr(found)) < 200
    assert "photos that no trial saw" in found._repr_html_()


@pytest.mark.slow
def test_a_network_is_trained_where_asked_and_its_model_answers_the_test_photos(
    drawings: Path, tmp_path: Path
) -> None:
    pytest.importorskip("timm")
    (tmp_path / "small.toml").write_text(BEGIN)
    run = tune(drawings, tmp_path, "--networks", "--trials", 5, "--json", "-q", "--no-report")
    *trials, found = map(json.loads, run.stdout.splitlines())
    trained = [trial for trial in trials if trial["recipe"]["tune"]]
    assert trained
    assert found["choosing"]["basis"] == "validation photos"
    assert found["test"]["accuracy"]["n"] == found["begun"]["accuracy"]["n"]
    left = list((Path(os.environ["FURSURE_HOME"]) / "training").glob("*"))
    assert not left


def test_a_search_without_end_or_beginning_is_a_usage_error(tmp_path: Path) -> None:
    for words, said in {
        (): "say how long to search: --trials 50, --minutes 5, or both",
        ("--trials", "0"): "0 is not in the range 1<=x",
        ("--minutes", "0"): "0.0 is not in the range",
    }.items():
        run = command("tune", tmp_path, "-o", tmp_path / "m.fursure", *words)
        assert run.returncode == 2
        assert said in run.stderr


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> object:
        return None if name == "optuna" else find_spec(name)

    monkeypatch.setattr("fursure.tuning.study.find_spec", found)
    run = command("tune", tmp_path, "-o", tmp_path / "m.fursure", "--trials", 1)
    assert run.returncode == 1
    assert run.stderr == (
        "fursure: fursure tune needs the extra 'tune'; run: pip install 'fursure[tune]'\n"
    )


def test_a_recipe_that_trains_the_network_is_no_beginning(tmp_path: Path) -> None:
    run = command(
        "tune", tmp_path, "-o", tmp_path / "m.fursure", "--trials", 1, "--recipe", "fine-tune"
    )
    assert run.returncode == 1
    assert "tune begins with one that does not" in run.stderr
