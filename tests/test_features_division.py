"""One folder is divided in one way, whichever command divides it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fursure.cli import cli
from fursure.commands.api import train
from fursure.commands.split import split_data
from fursure.compare.compare import compare_recipes
from fursure.dataset.manifest import Manifest
from fursure.features.division import Shares
from fursure.recipe import LogisticRegression, Recipe
from fursure.run import Run
from fursure.splitting.split import ticket

QUICK = Recipe(name="quick", head=LogisticRegression(strengths=(1.0,)), image_size=96)


def parts(manifest: Manifest) -> dict[str, str | None]:
    return {one.path: one.split for one in manifest.photos}


@pytest.mark.long
@pytest.mark.parametrize(("validation", "test", "seed"), [(0.1, 0.2, 0), (0.25, 0.15, 3)])
def test_train_split_and_compare_divide_alike_by_the_same_shares_and_seed(
    validation: float, test: float, seed: int, drawings: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    shares = {"train": 1 - validation - test, "val": validation, "test": test}
    by_split = split_data(drawings, tmp_path / "parts", shares, seed=seed)  # type: ignore[arg-type]
    by_compare = compare_recipes(
        drawings,
        tmp_path / "ladder",
        [QUICK],
        Run(say=told.append),
        shares=Shares(validation=validation, test=test, seed=seed),
        curve=False,
    )
    recipe = Recipe(
        head=QUICK.head, validation=validation, test=test, seed=seed, cross_validate_below=0
    )
    train(drawings, tmp_path / "m.fursure", recipe)
    by_train = Manifest.load(tmp_path / "m.manifest.jsonl")
    assert parts(by_split.manifest) == parts(by_compare.division) == parts(by_train)
    assert len(set(parts(by_train).values())) == 3
    assert any(f"shares are {test:g} for test" in sentence for sentence in told)


def test_a_split_without_a_wish_is_what_train_would_hold_out(
    drawings: Path, tmp_path: Path
) -> None:
    made = split_data(drawings, tmp_path / "parts")
    train(
        drawings,
        tmp_path / "m.fursure",
        Recipe(head=QUICK.head, cross_validate_below=0, image_size=96),
    )
    assert parts(made.manifest) == parts(Manifest.load(tmp_path / "m.manifest.jsonl"))
    assert any("drawn by lot, as train draws" in note for note in made.notes)


def test_a_larger_share_for_test_holds_the_photos_of_a_smaller_one(
    drawings: Path, tmp_path: Path
) -> None:
    small = split_data(drawings, tmp_path / "small", {"train": 0.8, "val": 0.1, "test": 0.1})
    large = split_data(drawings, tmp_path / "large", {"train": 0.5, "val": 0.2, "test": 0.3})
    for one in large.manifest.usable:
        assert (one.split == "test") == (ticket(0, one.group) < 0.3)
    tested = {path for path, part in parts(small.manifest).items() if part == "test"}
    assert {parts(large.manifest)[path] for path in tested} == {"test"}


@pytest.mark.long
def test_where_train_cross_validates_the_others_say_so(drawings: Path, tmp_path: Path) -> None:
    args = ["compare", str(drawings), "linear-probe", "-o", str(tmp_path / "ladder"), "--no-curve"]
    run = CliRunner().invoke(cli, args)
    assert "`fursure train` would cross-validate" in run.stderr
    run = CliRunner().invoke(cli, ["train", str(drawings), "-o", str(tmp_path / "m.fursure")])
    assert "measured by cross-validation" in run.stdout
    run = CliRunner().invoke(cli, ["split", str(drawings), "--out", str(tmp_path / "parts")])
    assert "train cross-validates" in run.stderr
