"""``fursure predict``: photos → answers."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import options
from fursure.report.text import printable

if TYPE_CHECKING:
    from fursure.bundle import Bundle
    from fursure.engine.predictor import Prediction
    from fursure.report.table import CsvTable

FLUSH_EVERY = 64  # rows; what an interrupted run may have to compute again


@click.command()
@click.argument("photos", nargs=-1, required=True)
@click.option("-m", "--model", help="A .fursure file. [default: pets, cats and dogs]")
@click.option(
    "--csv", "csv_path", type=click.Path(path_type=Path, dir_okay=False),
    help="Write a table; an interrupted run continues where it stopped.",
)  # fmt: skip
@click.option(
    "--sort-into", type=click.Path(path_type=Path, file_okay=False),
    help="Link the photos into DIR/answer/.", metavar="DIR",
)  # fmt: skip
@options.max_error
@options.engine
@options.threads
@options.overwrite
@options.as_json
@options.quiet
@click.pass_context
def predict(
    ctx: click.Context,
    /,
    photos: tuple[str, ...],
    model: str | None,
    csv_path: Path | None,
    sort_into: Path | None,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Say what is on PHOTOS: files, folders, globs, archives, or - for standard input.

    The answer is a label, "unsure" where the model would be wrong too often, or "stranger" for a
    photo unlike those it was trained on. A photo that cannot be read is a row with its error.
    """
    from fursure.workflows.predict import Photos, Sorter, find_model, predict

    bundle = find_model(model)
    inputs = Photos(photos, sys.stdin.buffer)
    failed = 0
    with ExitStack() as stack:
        table = _table(bundle, csv_path, overwrite, photos, knobs["max_error"], knobs["engine"])
        skip = table.done.__contains__ if table else lambda _name: False
        sort = Sorter(sort_into) if sort_into else None
        predictions: Iterable[Prediction] = predict(
            bundle, inputs, skip=skip, say=(lambda _: None) if quiet else options.say, **knobs
        )
        if table:
            stack.enter_context(table)
            if table.done and not quiet:
                options.say(f"continuing after {len(table.done)} rows")
            if not quiet:
                predictions = _counted(predictions, stack)
        for number, one in enumerate(predictions, 1):
            failed += one.error is not None
            if sort:
                sort(one)
            if table:
                table(one)
                if number % FLUSH_EVERY == 0:
                    table.flush()
            else:
                click.echo(options.to_json(one.to_json()) if as_json else _line(one, bundle))
    if table:
        click.echo(str(csv_path))
        failed += table.failed_before
    if failed:
        ctx.exit(3)


def _table(
    bundle: "Bundle",
    path: Path | None,
    overwrite: bool,
    photos: tuple[str, ...],
    max_error: float | None,
    engine: str,
) -> "CsvTable | None":
    if path is None:
        return None
    from fursure.report.table import CsvTable

    made_by = {
        "model": bundle.digest,
        "photos": list(photos),
        "max_error": max_error,
        "engine": engine,
    }
    return CsvTable(path, bundle.meta.labels, made_by=made_by, overwrite=overwrite)


def _counted(predictions: Iterable["Prediction"], stack: ExitStack) -> Iterator["Prediction"]:
    advance = stack.enter_context(options.bar("predicting", None))
    for one in predictions:
        yield one
        advance(1)


def _line(one: "Prediction", bundle: "Bundle") -> str:
    """Return one row of the table a person reads."""
    width = max(8, *(len(label) for label in bundle.meta.labels))
    path = printable(one.path)
    if one.error is not None:
        return f"{'error':{width}}  {'':12}  {path}: {printable(one.error)}"
    sure = f"{one.confidence:.1%} sure" if one.answer == one.label else ""
    if one.answer == "unsure":
        sure = f"{one.label} {one.confidence:.1%}?"
    return f"{one.answer:{width}}  {sure:{max(12, width + 7)}}  {path}"
