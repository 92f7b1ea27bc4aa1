"""The ladder: several recipes on one split of the drawings."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from samples import draw_into

from fursure import compare, load
from fursure.bundle.bundle import Bundle
from fursure.cli import cli
from fursure.commands.api import train
from fursure.compare.compare import Ladder, compare_recipes, on_ground
from fursure.dataset.manifest import Manifest
from fursure.engine.predictor import Predictor
from fursure.errors import BadData, BadRecipe, OutputBusy, OutputExists, UnknownRecipe
from fursure.evaluation.evaluate import evaluate_model
from fursure.features.division import Shares
from fursure.files import alone
from fursure.metrics.classification import Evaluation
from fursure.metrics.ladder import Failed, Rung
from fursure.recipe import LogisticRegression, Mlp, Recipe
from fursure.recipes.catalogue import FINE_TUNE, LINEAR_PROBE, RECIPES
from fursure.run import Run

LIGHT = Recipe(
    name="light", head=LogisticRegression(strengths=(0.3, 0.1)), test=0.45, image_size=96
)
SMALL = Recipe(name="small", head=Mlp(hidden=(8,), epochs=3), photos=20, image_size=96)
BROKEN = Recipe(name="broken", backbone="nothing-here")


@pytest.fixture(scope="module")
def told() -> list[str]:
    """Return the list that `ladder` fills with what it said."""
    return []


@pytest.fixture(scope="module")
def ladder(drawings: Path, told: list[str], tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    folder = tmp_path_factory.mktemp("compared") / "ladder"
    return compare_recipes(drawings, folder, [LIGHT, BROKEN, SMALL], Run(say=told.append))


@pytest.fixture
def copied(ladder: Ladder, tmp_path: Path) -> Path:
    """Return a copy of the finished ladder, to spoil."""
    return Path(shutil.copytree(ladder.folder, tmp_path / "ladder"))


def rungs(ladder: Ladder) -> Iterator[Rung]:
    yield from (one for one in ladder.rungs if isinstance(one, Rung))


def splits(path: Path) -> dict[str, str | None]:
    return {one.path: one.split for one in Manifest.load(path).photos}


def test_a_second_run_with_the_same_folder_is_told(drawings: Path, copied: Path) -> None:
    with (
        alone(copied / "ladder.json"),
        pytest.raises(OutputBusy, match=r"another run, process \d+; wait"),
    ):
        compare_recipes(drawings, copied, [LIGHT])


def test_every_recipe_answers_the_same_photos(ladder: Ladder) -> None:
    common = splits(ladder.folder / "split.jsonl")
    assert splits(ladder.folder / "light.manifest.jsonl") == common
    assert splits(ladder.folder / "small.manifest.jsonl") == common
    light, small = rungs(ladder)
    assert light.photos + len(light.answers.correct_N) == 80
    assert light.answers.correct_N.shape == small.answers.correct_N.shape


def test_a_recipes_own_shares_give_way_and_its_limit_holds(ladder: Ladder, told: list[str]) -> None:
    recipe = Bundle.read(ladder.folder / "light.fursure").meta.recipe
    assert (recipe["test"], recipe["validation"], recipe["seed"]) == (0.2, 0.1, 0)
    assert "light asks for test 0.45, validation 0.1, seed 0; here it follows the split of all" in (
        told
    )
    small = Bundle.read(ladder.folder / "small.fursure").meta.data["photos"]
    assert sum(counts["train"] for counts in small.values()) == 20


def test_few_photos_are_divided_all_the_same_and_it_is_said(
    ladder: Ladder, told: list[str]
) -> None:
    n = len(next(rungs(ladder)).answers.correct_N)
    assert any(f"here all recipes share {n} test photos" in one for one in told)
    assert len(told) == len(set(told))


def test_the_figures_are_those_of_the_models_that_lie_there(ladder: Ladder, drawings: Path) -> None:
    light = next(rungs(ladder))
    bundle = Bundle.read(ladder.folder / "light.fursure")
    found = evaluate_model(bundle, drawings).evaluation
    assert found.n == light.answers.accuracy.n
    assert found.accuracy == light.answers.accuracy
    assert found.log_loss.value == pytest.approx(light.answers.log_loss.value, abs=1e-4)
    figures = {name: value for name, value in bundle.meta.figures.items() if name != "basis"}
    assert Evaluation.from_json(figures).accuracy == light.answers.accuracy


def test_a_recipe_that_fails_is_a_rung_with_its_reason(ladder: Ladder) -> None:
    light, broken, small = ladder.rungs
    assert isinstance(broken, Failed)
    assert "no backbone 'nothing-here'" in broken.reason
    assert isinstance(light, Rung)
    assert isinstance(small, Rung)
    rows = ladder.rows()
    assert rows[1] == {"recipe": "broken", "error": broken.reason}
    assert (rows[0]["against"], rows[2]["against"]) == (None, "light")


def test_time_is_charged_for_every_photo_whatever_the_caches_hold(ladder: Ladder) -> None:
    for one in rungs(ladder):
        assert one.seconds > one.photos * one.milliseconds / 1000
    kept = ladder.verdict
    assert kept is not None
    assert kept.kept.name in {"light", "small"}


def test_the_folder_tells_all_of_it(ladder: Ladder) -> None:
    values = json.loads((ladder.folder / "ladder.json").read_text())
    assert values["split"] == {"test": 0.2, "validation": 0.1, "seed": 0}
    assert values["photos"] == ladder.division.digest
    assert values["rungs"] == json.loads(json.dumps(ladder.rows()))
    assert values["kept"] == ladder.conclusion()["kept"]
    assert values["verdict"] == list(ladder.verdict.sentences if ladder.verdict else ())
    assert "light" in (ladder.folder / "ladder.svg").read_text("utf-8")


def test_a_finished_ladder_is_not_made_again(
    copied: Path, ladder: Ladder, drawings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished rung was made again")

    monkeypatch.setattr("fursure.training.learn.fit", never)
    monkeypatch.setattr(Predictor, "open", never)
    picture = (copied / "ladder.svg").read_bytes()
    again = compare_recipes(drawings, copied, [LIGHT, BROKEN, SMALL])
    assert again.rows() == ladder.rows()
    assert (copied / "ladder.svg").read_bytes() == picture
    assert [one["recipe"] for one in compare_recipes(drawings, copied, [SMALL]).rows()] == ["small"]


@pytest.mark.long
def test_an_interrupted_training_keeps_its_time(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, note = tmp_path / "ladder", tmp_path / "ladder" / "light.rung.json"

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fursure.training.train.assemble", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compare_recipes(drawings, folder, [LIGHT], curve=False)
    before = json.loads(note.read_text())
    assert before["seconds"] > 0
    assert not before["trained"]
    note.write_text(json.dumps(before | {"seconds": 1_000.0}))
    (one,) = rungs(compare_recipes(drawings, folder, [LIGHT], curve=False))
    assert 1_000 < one.seconds < 1_060

    note.write_text("{")  # nobody knows how long it took, so it is trained once more
    (one,) = rungs(compare_recipes(drawings, folder, [LIGHT], curve=False))
    assert 0 < one.seconds < 60


@pytest.mark.long
def test_a_changed_recipe_is_not_taken_for_the_old_one(
    copied: Path, drawings: Path, ladder: Ladder
) -> None:
    changed = replace(LIGHT, head=LogisticRegression(strengths=(1.0,)))
    (refused,) = compare_recipes(drawings, copied, [changed]).rungs
    assert isinstance(refused, Failed)
    assert "already exists (made from another recipe or other photos)" in refused.reason
    assert compare_recipes(drawings, copied, [LIGHT]).rows() == ladder.rows()[:1]
    (made,) = compare_recipes(drawings, copied, [changed], curve=False, overwrite=True).rungs
    assert isinstance(made, Rung)


def test_another_split_or_other_photos_are_another_ladder(
    copied: Path, drawings: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputExists, match=r"another split: test 0\.2, validation 0\.1, seed 0"):
        compare_recipes(drawings, copied, [LIGHT], shares=Shares(validation=0.1, test=0.2, seed=1))
    fewer = Path(shutil.copytree(drawings, tmp_path / "fewer"))
    (fewer / "cat" / "cat.0.jpg").unlink()
    with pytest.raises(OutputExists, match="a ladder of other photos"):
        compare_recipes(fewer, copied, [LIGHT])


def test_a_folder_with_something_else_is_left_alone(drawings: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BadData, match=r"holds 'thesis\.txt' and no ladder"):
        compare_recipes(drawings, tmp_path, [LIGHT], overwrite=True)
    with pytest.raises(BadData, match="lies inside"):
        compare_recipes(drawings, drawings / "ladder", [LIGHT])
    with pytest.raises(BadData, match="no folder that can be written"):
        compare_recipes(drawings, tmp_path / "thesis.txt", [LIGHT])
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("recipes", "words"),
    [
        ([], "no recipe"),
        ([LIGHT, SMALL, LIGHT], "light is no usable recipe: it is named twice"),
        ([LIGHT, replace(LIGHT, name="copy", test=0.3)], "it is light under another name"),
        ([LIGHT, replace(LIGHT, name="Light", photos=9)], "another recipe is called 'light' too"),
    ],
)
def test_two_recipes_are_two_rungs(
    recipes: list[Recipe], words: str, drawings: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadRecipe, match=words):
        compare_recipes(drawings, tmp_path / "ladder", recipes)
    assert not list(tmp_path.iterdir())


def test_a_name_alone_is_one_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    module = import_module("fursure.compare.compare")
    monkeypatch.setattr(module, "compare_recipes", lambda *args, **_: asked.append(args[2]))
    for recipes in ("linear-probe", LINEAR_PROBE, [LINEAR_PROBE]):
        compare(tmp_path, tmp_path / "ladder", recipes)
    assert asked == [[LINEAR_PROBE]] * 3


def test_a_class_of_two_photos_cannot_be_compared_on(tmp_path: Path) -> None:
    folder = draw_into(tmp_path / "photos", count=2)
    with pytest.raises(BadData, match=r"'cat' has 2 photos .* comparison needs 3"):
        compare_recipes(folder, tmp_path / "ladder", [LIGHT])
    assert not (tmp_path / "ladder").exists()


def test_photos_that_changed_since_they_were_divided_are_refused(
    drawings: Path, ladder: Ladder, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(drawings, tmp_path / "photos"))
    shutil.copyfile(folder / "cat" / "cat.1.jpg", folder / "cat" / "cat.0.jpg")
    with pytest.raises(BadData, match=r"cat\.0\.jpg is not what it was"):
        train(folder, tmp_path / "m.fursure", LIGHT, division=ladder.division)


def test_a_backbone_and_a_budget_reach_only_who_has_them() -> None:
    tuned = on_ground(FINE_TUNE, backbone="lite0", minutes=5)
    assert tuned.backbone == "lite0"
    assert tuned.tune is not None
    assert tuned.tune.minutes == 5
    assert tuned.tune.stages == (FINE_TUNE.tune.stages if FINE_TUNE.tune else ())
    assert on_ground(LIGHT, minutes=5) == LIGHT
    scratch = RECIPES["scratch-cnn"]
    assert on_ground(scratch, backbone="lite0") == scratch


@pytest.mark.long
def test_the_command_prints_a_table_and_the_verdict(copied: Path, drawings: Path) -> None:
    mine = copied.parent / "broken.toml"
    mine.write_text('backbone = "nothing-here"')
    args = ["compare", str(drawings), "linear-probe", str(mine), "-o", str(copied), "--no-curve"]
    run = CliRunner().invoke(cli, [*args, "-q"])
    assert run.exit_code == 3
    lines = run.stdout.splitlines()
    assert lines[0].startswith("80 photos of 2 classes, ")
    assert [line.split()[0] for line in lines[1:4]] == ["recipe", "linear-probe", "broken"]
    assert run.stderr == ""

    run = CliRunner().invoke(cli, [*args, "--json", "-q"])
    probe, broken, conclusion = map(json.loads, run.stdout.splitlines())
    assert probe["recipe"] == "linear-probe"
    assert probe["minutes"] > 0
    assert broken["error"].startswith("no backbone 'nothing-here'")
    assert conclusion["kept"] == "linear-probe"


@pytest.mark.long
def test_a_class_called_like_an_answer_is_compared_under_another_name(tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=12)
    (photos / "cat").rename(photos / "unsure")
    args = ["compare", str(photos), "linear-probe", "-o", str(tmp_path / "ladder"), "-q"]
    refused = CliRunner().invoke(cli, args)
    assert "--rename 'unsure=" in str(refused.exception)
    assert CliRunner().invoke(cli, [*args, "--rename", "unsure=doubtful"]).exit_code == 0
    assert Bundle.read(tmp_path / "ladder" / "linear-probe.fursure").meta.labels == (
        "dog",
        "doubtful",
    )


def test_an_unknown_recipe_is_refused_with_the_nearest(drawings: Path, tmp_path: Path) -> None:
    args = ["compare", str(drawings), "liner-probe", "-o", str(tmp_path / "ladder")]
    run = CliRunner().invoke(cli, args)
    assert isinstance(run.exception, UnknownRecipe)
    assert "Did you mean 'linear-probe'?" in str(run.exception)


def test_a_ladder_of_failures_alone_is_a_failure(drawings: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('backbone = "nothing-here"')
    args = ["compare", str(drawings), str(tmp_path / "broken.toml"), "-o", str(tmp_path / "ladder")]
    run = CliRunner().invoke(cli, [*args, "-q"])
    assert run.exit_code == 1
    assert run.stdout.splitlines()[1].startswith("broken  failed: no backbone")


@pytest.mark.long
def test_recipes_are_asked_about_photos_elsewhere_and_strangers_too(
    copied: Path, drawings: Path, tmp_path: Path
) -> None:
    away = draw_into(tmp_path / "away", count=12, first=900)
    others = draw_into(tmp_path / "others", count=24, kinds=("stranger",))
    again = compare_recipes(drawings, copied, [LIGHT, SMALL], elsewhere=away, strangers=others)
    for row, one in zip(again.rows(), rungs(again), strict=True):
        assert row["elsewhere"]["accuracy"]["n"] == 24
        assert one.strangers is not None
        model = load(copied / f"{one.name}.fursure")
        photos = sorted((others / "stranger").iterdir())
        said = [found.answer for found in model.predict(photos)]
        assert one.strangers.called.value == said.count("stranger") / 24
        assert one.strangers.labelled.value == sum(word in {"cat", "dog"} for word in said) / 24
        assert row["strangers"]["labelled"]["n"] == len(one.strangers.called_S) == 24
    (away / "fox").mkdir()
    shutil.copy(next((away / "cat").iterdir()), away / "fox" / "a.png")
    with pytest.raises(BadData, match="label 'fox', which the photos to train on do not have"):
        compare_recipes(drawings, copied, [LIGHT, SMALL], elsewhere=away)
