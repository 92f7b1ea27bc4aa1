"""``fursure train``: photos → model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import options, overrides
from fursure.recipe import Recipe
from fursure.run import Run

if TYPE_CHECKING:
    from fursure.dataset.labelled import Dataset
    from fursure.remote.place import AnyPlace


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
    preview = show_augmented is not None or find_rate
    output = output or Path(f"{place_name(data).split('.')[0] or 'model'}.fursure")
    with gathered(dataset, recipe, run, trains=not preview) as first:
        if not first:
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
    from fursure.errors import some
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
