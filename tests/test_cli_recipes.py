"""`fursure recipes`, and the recipe that `fursure train` makes of its flags."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fursure.cli import cli
from fursure.errors import BadRecipe, UnknownRecipe
from fursure.recipe import LogisticRegression, Mlp, Recipe
from fursure.recipes.catalogue import LINEAR_PROBE, MLP_PROBE, RECIPES, find
from fursure.recipes.toml import from_toml


class Asked(Exception):
    """What the command line would have trained."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe


Train = Callable[..., Result]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Train:
    """Return `fursure train`, which stops where training would begin."""

    def stop(data: Path, output: Path, recipe: Recipe, *_: Any, **__: Any) -> None:
        raise Asked(recipe)

    monkeypatch.setattr("fursure.training.train.train_model", stop)
    return lambda *args: CliRunner().invoke(cli, ["train", "photos", *map(str, args)])


def asked(result: Result) -> Recipe:
    assert isinstance(result.exception, Asked), result.output
    return result.exception.recipe


def listed(*args: str) -> str:
    result = CliRunner().invoke(cli, ["recipes", *args])
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_recipes_are_listed_with_a_line_each() -> None:
    lines = listed().splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert all(len(line) <= 100 for line in lines)


def test_recipes_are_listed_as_json_too() -> None:
    rows = [json.loads(line) for line in listed("--json").splitlines()]
    assert [row["name"] for row in rows] == list(RECIPES)
    assert rows[0].keys() == {"name", "about", "recipe"}
    assert json.loads(listed("best", "--json"))["recipe"] == find("best").to_json()


@pytest.mark.parametrize("name", RECIPES)
def test_a_printed_recipe_is_a_file_that_gives_it_again(name: str) -> None:
    text = listed(name)
    assert text.startswith("# ")
    assert from_toml(text, "mine.toml") == RECIPES[name]


def test_a_file_of_ones_own_is_printed_with_every_knob(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "best"\nseed = 3')
    text = listed(str(path))
    assert from_toml(text, "other.toml") == replace(find("best"), name="mine", seed=3)


def test_without_flags_the_linear_probe_is_trained(train: Train) -> None:
    assert asked(train()) == LINEAR_PROBE
    assert asked(train("--head", "logistic")) == LINEAR_PROBE
    assert asked(train("--head", "mlp")) == MLP_PROBE


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_trained_as_it_is_named(name: str, train: Train) -> None:
    assert asked(train("--recipe", name)) == find(name)


def test_a_file_is_trained_and_flags_lie_over_it(train: Train, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\nphotos = 100\ntest = 0.2")
    made = asked(train("--recipe", path, "--seed", 5))
    assert made == Recipe(name="mine", seed=5, photos=100, test=0.2)


@pytest.mark.parametrize(
    ("args", "change"),
    [
        (["--seed", "0", "--photos", "50"], {"seed": 0, "photos": 50}),
        (["--backbone", "a"], {"backbone": "a"}),
        (["--backbone", "a", "--backbone", "b"], {"backbone": ("a", "b")}),
        (["--validation", "0.2", "--test", "0.3"], {"validation": 0.2, "test": 0.3}),
        (["--known-lost", "0", "--image-size", "96"], {"known_lost": 0.0, "image_size": 96}),
        (["--resize", "pad", "--precision", "fp16"], {"resize": "pad", "precision": "fp16"}),
        (["--no-flips"], {"flips": False}),
        (["--head", "mlp"], {"head": Mlp()}),
    ],
)
def test_a_flag_changes_its_knob_and_no_other(
    args: list[str], change: dict[str, Any], train: Train
) -> None:
    assert asked(train("--recipe", "best", *args)) == replace(find("best"), **change)


def test_a_head_keeps_its_knobs_unless_its_kind_changes(train: Train) -> None:
    kept = find("vgg16-bottleneck").head
    assert asked(train("--recipe", "vgg16-bottleneck", "--head", "mlp")).head == kept
    changed = asked(train("--recipe", "vgg16-bottleneck", "--head", "logistic"))
    assert changed.head == LogisticRegression()


def test_class_weights_are_those_of_the_head_and_of_the_network(train: Train) -> None:
    made = asked(train("--recipe", "fine-tune", "--class-weight", "balanced"))
    assert made.tune is not None
    assert made.head.class_weight == made.tune.class_weight == "balanced"
    assert asked(train("--class-weight", "balanced")).head.class_weight == "balanced"


def test_flags_of_tuning_change_the_tuning(train: Train) -> None:
    made = asked(train("--recipe", "fine-tune", "--minutes", 2.5, "--augment", "none"))
    base = find("fine-tune").tune
    assert base is not None
    assert made.tune == replace(base, minutes=2.5, augment="none")


def test_epochs_and_rate_are_those_of_the_last_stage_and_say_so(train: Train) -> None:
    result = train("--recipe", "vgg16-small", "--epochs", 3, "--rate", "2e-5")
    tune, base = asked(result).tune, find("vgg16-small").tune
    assert tune is not None
    assert base is not None
    assert tune.stages == (base.stages[0], replace(base.stages[1], epochs=3, rate=2e-5))
    assert (
        "--epochs and --rate: of the last stage, last-block; "
        "before it, as in the recipe: head (10 epochs)"
    ) in result.stderr
    assert train("--recipe", "vgg16-small", "--epochs", 3, "-q").stderr == ""
    assert train("--recipe", "scratch-cnn", "--epochs", 3).stderr == ""


def test_flags_of_tuning_need_a_recipe_that_tunes(train: Train) -> None:
    result = train("--epochs", 3, "--minutes", 2)
    assert result.exit_code == 2
    assert "--minutes and --epochs: linear-probe leaves the network itself as it is" in (
        " ".join(result.stderr.split())
    )
    assert "--recipe fine-tune" in result.stderr


@pytest.mark.parametrize(
    "args", [["--seed", "-1"], ["--photos", "1"], ["--test", "0.6"], ["--rate", "0"]]
)
def test_a_flag_out_of_range_is_wrong_usage(args: list[str], train: Train) -> None:
    result = train("--recipe", "fine-tune", *args)
    assert result.exit_code == 2
    assert args[0] in result.stderr


def test_flags_that_do_not_go_together_are_refused(train: Train) -> None:
    result = train("--validation", "0.5", "--test", "0.5")
    assert isinstance(result.exception, BadRecipe)
    assert "linear-probe with these flags is no usable recipe" in str(result.exception)
    assert isinstance(train("--test", "nan").exception, BadRecipe)
    assert isinstance(train("--backbone", "scratch:cnn").exception, BadRecipe)


def test_a_recipe_that_is_not_there_is_a_sentence(train: Train) -> None:
    assert isinstance(train("--recipe", "fine-tun").exception, UnknownRecipe)
    run = subprocess.run(
        [sys.executable, "-m", "fursure", "train", "photos", "--recipe", "nowhere.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr == (
        "fursure: nowhere.toml is no usable recipe: there is no such file; "
        "`fursure recipes fine-tune > mine.toml` writes one to change.\n"
    )
