"""``fursure train``: photos → model."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import options, overrides
from fursure.errors import counted, some
from fursure.recipe import Recipe
from fursure.run import Run
from fursure.terminal.text import printable

if TYPE_CHECKING:
    from fursure.dataset.labelled import Dataset
    from fursure.remote.place import AnyPlace
    from fursure.training.plan import TrainingPlan


@click.command("train")
@click.argument("data", type=options.PlaceType())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="The model to write. [default: DATA's name with .fursure]",
)  # fmt: skip
@overrides.flags
@options.corrections
@click.option(
    "--strangers", type=options.PlaceType(),
    help="Photos of none of the classes, to recognise strangers by: a folder or an archive. Half "
    "of them teach, the others measure; it is used where it helps beyond doubt.",
)  # fmt: skip
@click.option(
    "--show-augmented", metavar="FILE.png", type=click.Path(path_type=Path),
    help="Write a sheet of photos as training would vary them, and do not train.",
)  # fmt: skip
@click.option(
    "--find-rate", is_flag=True,
    help="Measure which learning rates help and which harm, and do not train.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True,
    help="Say what would be read and made, and how long that takes; write and encode nothing.",
)  # fmt: skip
@click.option("--no-report", is_flag=True, help="Write no page beside the model.")
@click.option(
    "--log", "trackers", multiple=True, type=click.Choice(["tensorboard", "mlflow", "wandb"]),
    help="Also tell a tracker of experiments: recipe, curves, figures, page. Its run lies beside "
    "the model unless MLFLOW_TRACKING_URI, WANDB_MODE or WANDB_API_KEY is set; repeat.",
)  # fmt: skip
@options.labelled
@options.working
@options.cluster
@options.verbose
def train_command(
    data: "AnyPlace",
    output: Path | None,
    strangers: "AnyPlace | None",
    show_augmented: Path | None,
    find_rate: bool,
    dry_run: bool,
    no_report: bool,
    trackers: tuple[Any, ...],
    as_json: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Train a classifier on the labelled photos in DATA.

    DATA is a folder with one folder of photos per class, train/ val/ test/ folders of those, files
    named like cat.0.jpg, a .csv, .tsv or .jsonl table, or any of these in a .zip or .tar. Its
    photos are never changed. Beside the model lie its manifest, its figures, and a page to look at.
    Photos that cannot be used are left out, and counted even under -q.
    A model made from the same photos and recipe is kept, with --overwrite too.
    """
    from fursure.remote.place import place_name
    from fursure.training.processes import gathered
    from fursure.training.trackers import check_trackers, track
    from fursure.training.train import train_model

    check_trackers(trackers)
    run, dataset = options.run_from(knobs, quiet=quiet), options.dataset_from(data, knobs)
    recipe = overrides.recipe_from(knobs, tell=run.say)
    preview = show_augmented is not None or find_rate or dry_run
    output = output or Path(f"{place_name(data).split('.')[0] or 'model'}.fursure")
    with gathered(dataset, recipe, run, trains=not preview) as first:
        if not first:
            return
        if dry_run:
            _plan(dataset, output, recipe, run, strangers, as_json=as_json)
            return
        if preview:
            _preview(dataset, recipe, run, show_augmented, as_json=as_json, find_rate=find_rate)
            return
        trained = train_model(
            dataset,
            output,
            recipe,
            run,
            strangers=strangers,
            overwrite=knobs["overwrite"],
            report=not no_report,
        )
    for note in trained.notes:
        run.say(note)
    options.say_unusable(trained.unusable, quiet=quiet)
    for tracker in trackers:
        run.say(track(trained, tracker))
    meta = trained.bundle.meta
    if as_json:
        options.receipt(
            options.to_json(
                {
                    "model": str(trained.path),
                    "new": trained.new,
                    "seconds": round(trained.seconds, 2),
                    "figures": meta.figures,
                    "max_error": meta.max_error,
                    "strangers": meta.data.get("strangers"),
                    "notes": trained.notes,
                }
            )
        )
        return
    from fursure.heads.card import explained
    from fursure.metrics.classification import format_table

    evaluation = trained.evaluation
    how = explained(meta.figures["basis"], evaluation.n)
    options.receipt(f"{trained.path}: {some(meta.labels, between=' / ')}, {how}")
    options.receipt(format_table(evaluation))
    if trained.new:
        options.say(f"done in {trained.seconds:.1f} s; next: fursure predict -m {trained.path} …")
    else:
        options.say(f"{trained.path} was made from the same photos and recipe: nothing to do.")


def _plan(
    dataset: "Dataset",
    output: Path,
    recipe: Recipe,
    run: Run,
    strangers: "AnyPlace | None",
    *,
    as_json: bool,
) -> None:
    """Show what training would do."""
    from fursure.training.plan import plan_training

    plan = plan_training(dataset, output, recipe, run, strangers=strangers)
    if as_json:
        click.echo(options.to_json(plan.to_json()))
    else:
        for name, value in _planned(plan):
            click.echo(f"{name:9} {printable(value)}")
    run.say("nothing was written or encoded, for --dry-run was asked for")


def _planned(plan: "TrainingPlan") -> Iterator[tuple[str, str]]:
    """Yield what a plan says, each line under its name."""
    total = counted(sum(plan.photos.values()), "photo")
    yield "data", f"{plan.data}: {total}, {counted(len(plan.photos), 'class', 'classes')}"
    yield "classes", some(f"{label} {count:,}" for label, count in plan.photos.items())
    yield from (("", note) for note in plan.notes)
    yield "split", _divided(plan)
    recipe = plan.recipe
    yield "recipe", f"{recipe.name}, seed {recipe.seed}; `fursure recipes {recipe.name}` has it all"
    yield from (("backbone", f"{name}: {where}") for name, where in plan.backbones.items())
    there = "is there: kept if made from the same photos and recipe, else refused (--overwrite)"
    yield "output", f"{plan.output}{f' {there}' if plan.output_exists else ''}"
    yield "time", _took(plan)


def _divided(plan: "TrainingPlan") -> str:
    if plan.folds:
        test = f", and {plan.split['test']:,} given to test" if plan.split["test"] else ""
        return f"too few to hold photos out: {plan.folds} folds, each measured once{test}"
    names = {"train": "to train", "val": "to validate", "test": "to test"}
    parts = some(f"{plan.split[split]:,} {name}" for split, name in names.items())
    return f"about {parts}; copies stay together"


def _took(plan: "TrainingPlan") -> str:
    training = f"; up to {counted(plan.passes, 'pass', 'passes')} of the network come on top"
    more = training if plan.passes else "; the head takes seconds"
    if (reading := plan.reading) is None:
        return f"not known before the backbone is at hand{more}"
    seconds = reading.seconds
    wait = f"{max(1, seconds):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    cached = f"{reading.cached} of {counted(reading.looked_at, 'photo')} looked at are cached"
    return f"up to {wait} to read the photos on this machine ({cached}){more}"


def _preview(
    dataset: "Dataset",
    recipe: Recipe,
    run: Run,
    sheet: Path | None,
    *,
    find_rate: bool,
    as_json: bool,
) -> None:
    """Show what training would see, or at which rates it would learn."""
    from fursure.training import preview

    if sheet is not None:
        preview.show_augmented(dataset, recipe, sheet)
        options.say(f"{sheet}: each row a photo as it is, then as passes of training would see it")
    if find_rate:
        range_ = preview.find_rate(dataset, recipe, run)
        if as_json:
            click.echo(options.to_json(range_.to_json()))
            return
        for rate, loss in range_.curve:
            click.echo(f"{rate:9.1e}  {loss:7.4f} nats")
        click.echo(f"suggested: --rate {range_.suggested:.0e}")
