"""Photos and recipes → a ladder: one split, one clock, and which recipe is worth its time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from fursure.compare.ladder_folder import (
    LADDER_NOTE,
    Knobs,
    check_ladder_folder,
    claim_ladder_folder,
    write_note,
)
from fursure.compare.other_origin import Abroad
from fursure.compare.run_recipe import Ground, rung
from fursure.dataset.labelled import Data, dataset_of
from fursure.dataset.manifest import Manifest
from fursure.errors import BadRecipe, FursureError, counted
from fursure.features.division import Shares
from fursure.features.remarks import about_photos, warn_of_copies
from fursure.files import replacing
from fursure.metrics.ladder import Failed, Rung, Verdict, difference, verdict
from fursure.recipe import Recipe
from fursure.recipes.catalogue import LINEAR_PROBE, MLP_PROBE
from fursure.recipes.parse import overlaid
from fursure.report.ladder import ladder_table, picture
from fursure.report.notebook import lines_html
from fursure.rows.photo import SPLITS
from fursure.run import Run, Say
from fursure.splitting.destinations import safe_name
from fursure.splitting.split import few
from fursure.training.output_lock import held
from fursure.training.parts import SHARES_TO_CHOOSE, divided_in_three, encoders_of, unseen_by_all

WITHOUT_TORCH = (LINEAR_PROBE, MLP_PROBE)
PICTURE = "ladder.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The recipes in the order they were named, and what follows."""

    folder: Path
    division: Manifest
    rungs: tuple[Rung | Failed, ...]
    verdict: Verdict | None  # None: no recipe gave a model

    def __repr__(self) -> str:
        """Return the recipes and the one to keep, on one line."""
        kept = self.verdict.kept.name if self.verdict else None
        names = ", ".join(rung.name for rung in self.rungs)
        return f"Ladder({str(self.folder)!r}: {names}; kept: {kept})"

    def _repr_html_(self) -> str:
        """Return the table and the verdict, as a notebook shows them."""
        said = self.verdict.sentences if self.verdict else ()
        return lines_html([self.title, *ladder_table(self.rungs), *said])

    @property
    def title(self) -> str:
        """How much data is behind the figures."""
        test = sum(photo.split == "test" for photo in self.division.usable)
        classes = len(self.division.labels)
        return (
            f"{len(self.division.usable):,} photos of {classes} classes, {test:,} of them for test"
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of plain values for each recipe, in order."""
        rows: list[dict[str, Any]] = []
        below: Rung | None = None
        for step in self.rungs:
            if isinstance(step, Failed):
                rows.append({"recipe": step.name, "error": step.reason})
                continue
            gain = None if below is None else difference(below.answers, step.answers).to_json()
            rows.append(_row(step) | {"against": below and below.name, "difference": gain})
            below = step
        return rows

    def conclusion(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        verdict = self.verdict
        return {
            "kept": verdict and verdict.kept.name,
            "pairs": verdict.pairs if verdict else 0,
            "steps": [
                {
                    "recipe": step.rung.name,
                    "against": step.kept.name,
                    **step.difference.to_json(),
                    "p_value_holm": step.p_value,
                    "times": step.rung.seconds / step.kept.seconds,
                    "better": step.better,
                    "tie": step.tie,
                }
                for step in (verdict.steps if verdict else ())
            ],
            "verdict": list(verdict.sentences if verdict else ()),
        }


def compare_recipes(
    data: Data,
    folder: str | PathLike[str],
    recipes: Sequence[Recipe] = WITHOUT_TORCH,
    run: Run = Run(),
    *,
    shares: Shares = SHARES_TO_CHOOSE,
    curve: bool = True,
    elsewhere: str | PathLike[str] | None = None,
    strangers: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Ladder:
    """Train every recipe on one split of the photos in ``data``, and compare what they ship.

    ``folder`` gets a bundle for each, the split, the ladder as JSON and as a picture. A recipe
    that fails is a rung with its reason. The same command continues what was interrupted, and
    with other recipes it adds to the ladder. Labelled photos ``elsewhere``, of another origin, and
    photos of ``strangers`` are asked about too: a recipe that is worse of them than a quicker one
    is not worth its time. ``run`` hears what is worth telling, once.

    Raises:
        FursureError: the photos, the folder or the list of recipes cannot be used.
    """
    place, dataset = Path(folder), dataset_of(data).pinned()
    run = replace(run, say=_once(run.say))
    knobs = {"test": shares.test, "validation": shares.validation, "seed": shares.seed}
    asked = [overlaid(recipe, knobs, recipe.name) for recipe in recipes]
    check_names(asked)
    check_ladder_folder(place, dataset.place, knobs, overwrite=overwrite)
    division = unseen_by_all(divided_in_three(dataset, shares, run), encoders_of(asked))
    for sentence in (*_about(division, knobs, recipes), *warn_of_copies(division.usable)):
        run.say(sentence)
    claim_ladder_folder(place, division, knobs, overwrite=overwrite)
    abroad = Abroad.of(elsewhere, strangers, division)
    for sentence in abroad.strangers.notes if abroad.strangers else ():
        run.say(sentence)
    ground = Ground(
        dataset=dataset,
        folder=place,
        division=division,
        abroad=abroad,
        curve=curve,
        overwrite=overwrite,
        run=run,
    )
    with held(place, place / LADDER_NOTE):
        ladder = _ladder(asked, ground)
        _write(ladder, knobs)
    return ladder


def _ladder(recipes: Sequence[Recipe], ground: Ground) -> Ladder:
    rungs: list[Rung | Failed] = []
    for recipe in recipes:
        ground.run.say(f"{recipe.name} …")
        try:
            rungs.append(rung(recipe, ground))
        except FursureError as error:
            rungs.append(Failed(recipe.name, str(error)))
    made = [step for step in rungs if isinstance(step, Rung)]
    return Ladder(
        folder=ground.folder,
        division=ground.division,
        rungs=tuple(rungs),
        verdict=verdict(made) if made else None,
    )


def on_ground(
    recipe: Recipe, *, backbone: str | None = None, minutes: float | None = None
) -> Recipe:
    """Return the recipe on another backbone or with a budget, where it has what that changes.

    A network that begins from random weights has no other backbone, and a frozen one no budget.
    """
    if backbone is not None and not recipe.from_scratch:
        recipe = overlaid(recipe, {"backbone": backbone}, recipe.name)
    if minutes is not None and recipe.tune is not None:
        recipe = overlaid(recipe, {"tune": {"minutes": minutes}}, recipe.name)
    return recipe


def check_names(recipes: Sequence[Recipe]) -> None:
    """Refuse a list of recipes of which two would be one rung.

    Raises:
        BadRecipe: two are the same, or have names that a folder cannot tell apart.
    """
    if not recipes:
        raise BadRecipe("the ladder", "it has no recipe; name two or more, as in linear-probe")
    for number, recipe in enumerate(recipes):
        for other in recipes[:number]:
            if recipe == other:
                raise BadRecipe(recipe.name, "it is named twice; a ladder compares different ones")
            if replace(recipe, name="", note="") == replace(other, name="", note=""):
                reason = f"it is {other.name} under another name, on this split and backbone"
                raise BadRecipe(recipe.name, f"{reason}; leave one of them out")
            if safe_name(recipe.name).casefold() == safe_name(other.name).casefold():
                raise BadRecipe(
                    recipe.name,
                    f"another recipe is called {other.name!r} too, and they differ; give one of "
                    'them a name of its own: name = "…" in its file',
                )


def _about(division: Manifest, knobs: Knobs, recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield how the photos are divided, and what that overrides."""
    yield from about_photos(division, "the manifest beside the model")
    parts = {split: sum(photo.split == split for photo in division.usable) for split in SPLITS}
    yield (
        f"one split for all: {counted(parts['train'], 'photo')} to train on, {parts['val']:,} for "
        f"validation, {parts['test']:,} for test{_unlike_train(knobs)}"
    )
    for recipe in recipes:
        own = {knob: getattr(recipe, knob) for knob in knobs}
        if any(
            value not in {knobs[knob], getattr(LINEAR_PROBE, knob)} for knob, value in own.items()
        ):
            shares = ", ".join(f"{knob} {value:.2g}" for knob, value in own.items())
            yield f"{recipe.name} asks for {shares}; here it follows the split of all"
    if few([replace(photo, split=None) for photo in division.usable], LINEAR_PROBE):
        yield (
            "with so few photos `fursure train` would cross-validate; here all recipes share "
            f"{counted(parts['test'], 'test photo, which tells', 'test photos, which tell')} "
            "large differences only"
        )


def _unlike_train(knobs: Knobs) -> str:
    """Say which shares these are where `train` by itself would take others."""
    test, validation = LINEAR_PROBE.test, LINEAR_PROBE.validation
    if (knobs["test"], knobs["validation"]) == (test, validation):
        return ""
    return (
        f"; shares are {knobs['test']:g} for test and {knobs['validation']:g} for validation, "
        f"where train and split take {test:g} and {validation:g}"
    )


def _write(ladder: Ladder, knobs: Knobs) -> None:
    figures = {"rungs": ladder.rows(), **ladder.conclusion()}
    write_note(ladder.folder, ladder.division, knobs, figures)
    made = [step for step in ladder.rungs if isinstance(step, Rung)]
    if made:
        with replacing(ladder.folder / PICTURE) as file:
            file.write(picture(made, ladder.title).encode())


def _row(rung: Rung) -> dict[str, Any]:
    return {
        "recipe": rung.name,
        "backbone": rung.backbone,
        "accuracy": rung.answers.accuracy.to_json(),
        "log_loss": rung.answers.log_loss.to_json(),
        "photos": rung.photos,
        "minutes": rung.seconds / 60,
        "megabytes": rung.megabytes,
        "milliseconds_per_photo": rung.milliseconds,
        "engine": rung.engine,
        **_abroad(rung),
        "curve": [
            {
                "photos": point.photos,
                "accuracy": point.answers.accuracy.to_json(),
                "log_loss": point.answers.log_loss.to_json(),
            }
            for point in rung.points
        ],
    }


def _abroad(rung: Rung) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if (away := rung.elsewhere) is not None:
        values["elsewhere"] = {
            "accuracy": away.accuracy.to_json(),
            "log_loss": away.log_loss.to_json(),
        }
    if (others := rung.strangers) is not None:
        values["strangers"] = {
            "labelled": others.labelled.to_json(),
            "called": others.called.to_json(),
        }
    return values


def _once(say: Say) -> Say:
    """Return a ``say`` that repeats nothing: every recipe finds the same photos unusable."""
    said: set[str] = set()

    def once(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            say(sentence)

    return once
