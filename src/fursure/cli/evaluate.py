"""``fursure evaluate`` and ``show``: what a model is worth on labelled photos, and what it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import complete, options
from fursure.terminal.text import printable

if TYPE_CHECKING:
    from fursure.remote.place import AnyPlace


@click.command("evaluate")
@click.argument("model", shell_complete=complete.models)
@click.argument("data", type=options.PlaceType())
@click.option(
    "--include-seen", is_flag=True, help="Also count photos the model or its encoder was made from."
)
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE.html",
    help="Where the page goes. [default: MODEL-DATA.report.html beside a model of yours]",
)  # fmt: skip
@click.option("--no-report", is_flag=True, help="Print the figures only.")
@click.option(
    "--compare", metavar="OTHER", shell_complete=complete.models,
    help="Another model, measured on the same photos and compared.",
)  # fmt: skip
@options.max_error
@options.labelled
@options.working
@options.cluster
@click.pass_context
def evaluate_command(
    ctx: click.Context,
    /,
    model: str,
    data: "AnyPlace",
    include_seen: bool,
    report: Path | None,
    no_report: bool,
    compare: str | None,
    max_error: float | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Measure MODEL on the labelled photos in DATA.

    Photos it was trained or validated on are left out and counted. MODEL is a .fursure file,
    hub:ORG/NAME, or pets, the one in the package. Beside a model of yours, or where --report says,
    comes a page to look at, with the photos it got wrong, and its figures as JSON.
    """
    from fursure.evaluation.assess import assess

    run, page = options.run_from(knobs, quiet=quiet), report or _beside(model, data)
    judged = assess(
        model,
        options.dataset_from(data, knobs),
        run,
        compare=compare,
        include_seen=include_seen,
        max_error=max_error,
        report=None if no_report else page,
        overwrite=overwrite,
    )
    if as_json:
        click.echo(options.to_json(judged.to_json()))
    else:
        for line in judged.lines():
            click.echo(printable(line))
    for note in judged.notes():
        run.say(note)
    if page is None and not no_report:
        run.say("no page: --report FILE.html says where it goes")
    if judged.evaluated.failed:
        ctx.exit(3)


@click.command("show")
@click.argument("model", default="pets", shell_complete=complete.models)
@click.option(
    "--png", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png",
    help="Draw the table of true classes and answers.",
)  # fmt: skip
@options.overwrite
@options.as_json
def show_command(model: str, png: Path | None, overwrite: bool, as_json: bool) -> None:
    """Say what MODEL is: classes, figures, layers, what it was trained on.

    MODEL is a .fursure file, or pets, the one in the package. --json has every layer with the
    shapes of its weights, and all that the model says of itself.
    """
    from fursure.bundle.named import find_model
    from fursure.commands.show import Described, write_confusion

    described = Described.of(find_model(model))
    if png is not None:
        write_confusion(described, png, overwrite=overwrite)
    if as_json:
        click.echo(options.to_json(described.to_json()))
        return
    for line in described.lines():
        click.echo(printable(line))
    if png is not None:
        options.say(f"to look at: {png}")


def _beside(model: str, data: "AnyPlace") -> Path | None:
    """Return where the page goes unasked: beside the model, none for one in the package."""
    from fursure.remote.place import place_name

    path = Path(model)
    return (
        path.with_name(f"{_stem(path)}-{_stem(place_name(data))}.report.html")
        if path.exists()
        else None
    )


def _stem(path: str | Path) -> str:
    return Path(path).resolve().name.split(".")[0] or "photos"
