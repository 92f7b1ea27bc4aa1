"""``fursure compare``: recipes on one split of one's own photos, and which is worth its time."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import complete, options
from fursure.cli.overrides import typed
from fursure.recipe import FineTune, Recipe
from fursure.report.text import printable
from fursure.run import Say

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
