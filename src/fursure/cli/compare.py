"""``fursure compare`` and ``tune``: recipes on one split of one's own photos, given or drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import complete, options
from fursure.cli.overrides import typed
from fursure.recipe import FineTune, Recipe
from fursure.run import Say
from fursure.terminal.text import printable

if TYPE_CHECKING:
    from fursure.compare.compare import Ladder
    from fursure.remote.place import AnyPlace


def _knob(name: str, default: float, text: str) -> options.Decorator:
    """Return the flag of a knob of the recipes, in the range that they know."""
    return click.option(
        f"--{name}", type=typed(Recipe, name), default=default, show_default=True, help=text
    )


@click.command("compare")
@click.argument("data", type=options.PlaceType())
@click.argument("recipes", metavar="[RECIPE]...", nargs=-1, shell_complete=complete.recipes)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
    metavar="DIR", help="The folder to fill; a new or an empty one.",
)  # fmt: skip
@click.option(
    "--backbone", shell_complete=complete.backbones,
    help="Instead of the one that each recipe names, as for train. [default: the recipe's]",
)  # fmt: skip
@click.option(
    "--minutes", type=typed(FineTune, "minutes"),
    help="At most for each recipe that trains the network itself. [default: the recipe's]",
)  # fmt: skip
@_knob("test", 0.2, "Share of the photos for the figures.")
@_knob("validation", 0.1, "Share of the photos for choosing and certifying.")
@_knob("seed", 0, "Of the split and of every training.")
@click.option(
    "--curve/--no-curve", default=True, show_default=True,
    help="Also measure what the heads on frozen backbones learn from fewer photos.",
)  # fmt: skip
@click.option(
    "--elsewhere", type=options.PlaceType(), metavar="DATA",
    help="Labelled photos of another origin, to measure every recipe on as well.",
)  # fmt: skip
@click.option(
    "--strangers", type=options.PlaceType(), metavar="DATA",
    help="Photos of none of the classes, to ask every recipe about; 20 at least.",
)  # fmt: skip
@options.labelled
@options.working
@click.pass_context
def compare_command(
    ctx: click.Context,
    /,
    data: "AnyPlace",
    recipes: tuple[str, ...],
    output: Path,
    as_json: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Train each RECIPE on one split of DATA, and say which is worth its time.

    DATA is what train takes. RECIPE is a name, as `fursure recipes` lists them, or a file that
    ends in .toml; without one, those that need no torch are compared. All learn from the same
    photos and answer the same test photos, and training time is as from an empty cache. DIR gets
    each model, the table as ladder.json, and its picture as ladder.svg. A recipe that is
    worse elsewhere, or labels more strangers, beyond chance, is not worth its time. A recipe that
    fails is a row with its reason, and the exit code is 3.
    """
    from fursure.compare.compare import compare_recipes
    from fursure.features.division import Shares
    from fursure.features.remarks import count_unusable
    from fursure.metrics.ladder import Failed

    run = options.run_from(knobs, quiet=quiet)
    ladder = compare_recipes(
        options.dataset_from(data, knobs),
        output,
        _named(recipes, knobs["backbone"], knobs["minutes"], run.say),
        run,
        shares=Shares(validation=knobs["validation"], test=knobs["test"], seed=knobs["seed"]),
        curve=knobs["curve"],
        elsewhere=knobs["elsewhere"],
        strangers=knobs["strangers"],
        overwrite=knobs["overwrite"],
    )
    options.say_unusable(count_unusable(ladder.division), quiet=quiet)
    rows = map(options.to_json, (*ladder.rows(), ladder.conclusion()))
    for line in rows if as_json else _as_text(ladder, run.cores):
        click.echo(line)
    failed = sum(isinstance(rung, Failed) for rung in ladder.rungs)
    if failed:
        ctx.exit(3 if failed < len(ladder.rungs) else 1)


def _named(
    names: tuple[str, ...],
    backbone: str | None,
    minutes: float | None,
    say: Say,
) -> list[Recipe]:
    """Return the recipes that were named, or those that run anywhere."""
    from fursure.compare.compare import WITHOUT_TORCH, on_ground
    from fursure.recipes.toml import open_recipe

    if not names:
        listed = " and ".join(recipe.name for recipe in WITHOUT_TORCH)
        say(
            f"no recipe named, so {listed}, which need no torch; `fursure recipes` lists the others"
        )
    chosen = [open_recipe(name) for name in names] or list(WITHOUT_TORCH)
    return [on_ground(recipe, backbone=backbone, minutes=minutes) for recipe in chosen]


def _as_text(ladder: "Ladder", threads: int) -> list[str]:
    from fursure.metrics.ladder import Rung
    from fursure.report.ladder import ladder_table

    engines = sorted({rung.engine for rung in ladder.rungs if isinstance(rung, Rung)})
    lines = [ladder.title, *ladder_table(ladder.rungs)]
    if ladder.verdict is not None:
        lines += [
            f"training: as from an empty cache; ms/photo: {' and '.join(engines)}, on "
            f"{threads} threads",
            *ladder.verdict.sentences,
        ]
    return [printable(line) for line in lines]


@click.command("tune")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True,
    help="The model to write; its recipe and its trials lie beside it.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1, 100_000), help="Recipes to try in all.")
@click.option(
    "--minutes", type=click.FloatRange(0, 100_000, min_open=True),
    help="Of trying, all runs together; the first recipe is tried however few they are.",
)  # fmt: skip
@click.option(
    "--recipe", "begin", metavar="NAME|FILE.toml", default="linear-probe", show_default=True,
    shell_complete=complete.recipes,
    help="What to begin with, and what a better one is compared with.",
)  # fmt: skip
@click.option(
    "--backbone", "backbones", multiple=True, shell_complete=complete.backbones,
    help="To choose among; repeat. [default: the recipe's, and those of installed packages]",
)  # fmt: skip
@click.option("--together", is_flag=True, help="Also try all backbones side by side.")
@click.option(
    "--flips", is_flag=True,
    help="Also try the mean of a photo and its mirror image, which encodes every photo twice.",
)  # fmt: skip
@click.option(
    "--networks", is_flag=True,
    help="Also try training of the network itself: rates, parts, augmentation; minutes a trial.",
)  # fmt: skip
@_knob("test", 0.2, "Share of the photos that no trial sees.")
@_knob("validation", 0.1, "Share of the photos for choosing and certifying.")
@_knob("seed", 0, "Of the split, of every trial and of what is drawn.")
@options.corrections
@click.option("--no-report", is_flag=True, help="Write no page beside the model.")
@options.labelled
@options.working
def tune_command(
    data: Path,
    output: Path,
    trials: int | None,
    minutes: float | None,
    begin: str,
    as_json: bool,
    quiet: bool,
    no_report: bool,
    **knobs: Any,
) -> None:
    """Search for the recipe that suits the photos in DATA, and train a model by it.

    DATA is what train takes. Each backbone encodes the photos once; a trial then fits a head to
    what it saw, in about a second. Trials learn from the photos of training and choose on those
    of validation, or in turn where photos are few; those of test answer once, at the end. The
    same command goes on where it was interrupted. Beside the model lie its recipe, for `fursure
    train --recipe`, and the trials, a journal of Optuna's.
    """
    if trials is None and minutes is None:
        raise click.UsageError("say how long to search: --trials 50, --minutes 5, or both.")
    from fursure.features.division import Shares
    from fursure.recipes.toml import open_recipe
    from fursure.tuning.study import SearchLimits
    from fursure.tuning.tune import tune_recipe
    from fursure.tuning.verdict import conclusion, trial_table, verdict_sentences

    run = options.run_from(knobs, quiet=quiet)
    tuning = tune_recipe(
        options.dataset_from(data, knobs),
        output,
        open_recipe(begin),
        run,
        limits=SearchLimits(trials=trials, minutes=minutes),
        shares=Shares(validation=knobs["validation"], test=knobs["test"], seed=knobs["seed"]),
        backbones=knobs["backbones"],
        together=knobs["together"],
        flips=knobs["flips"],
        networks=knobs["networks"],
        overwrite=knobs["overwrite"],
        report=not no_report,
    )
    for note in tuning.trained.notes:
        run.say(note)
    options.say_unusable(tuning.trained.unusable, quiet=quiet)
    if as_json:
        for line in (*(trial.to_json() for trial in tuning.ranked()), conclusion(tuning)):
            click.echo(options.to_json(line))
        return
    for text in (*trial_table(tuning), *verdict_sentences(tuning)):
        click.echo(printable(text))
    options.receipt(f"{output}: its recipe is {tuning.recipe_file}")
    if not tuning.new:
        options.say(f"{len(tuning.trials)} trials were done already: nothing to do.")
