"""``fursure predict``: photos → answers."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import options
from fursure.errors import counted
from fursure.report.text import percent, printable
from fursure.stages import stage

if TYPE_CHECKING:
    from fursure.bundle.bundle import Bundle
    from fursure.engine.predictor import Prediction
    from fursure.report.table import CsvTable

FLUSH_EVERY = 64  # rows; what an interrupted run may have to compute again


@click.command("predict")
@click.argument("photos", nargs=-1, required=True)
@click.option("-m", "--model", help="A .fursure file. [default: pets, cats and dogs]")
@click.option(
    "--csv", "csv_path", type=click.Path(path_type=Path, dir_okay=False),
    help="Write a table; an interrupted run continues where it stopped.",
)  # fmt: skip
@click.option(
    "--sort-into", type=click.Path(path_type=Path, file_okay=False),
    help="Link the photos into DIR/answer/; copies where there can be no links.", metavar="DIR",
)  # fmt: skip
@options.zip_encoding
@options.max_error
@options.working
@options.verbose
@click.pass_context
def predict_command(
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
    from fursure.bundle.named import find_model
    from fursure.cli.tally import Tally, about_inputs
    from fursure.commands.inputs import Photos
    from fursure.commands.predict import predict
    from fursure.commands.sorter import Sorter

    bundle = find_model(model)
    inputs = Photos(photos, sys.stdin.buffer if sys.stdin else None)
    made_by = _made_by(bundle, photos, sort_into, knobs) if csv_path else {}
    if csv_path and not overwrite and (code := _done_before(csv_path, made_by)) is not None:
        ctx.exit(code)
    tally = Tally(Sorter(sort_into) if sort_into else None)
    with ExitStack() as stack:
        table = _table(csv_path, bundle, made_by, overwrite)
        skip = table.has if table else lambda _name: False
        predictions: Iterable[Prediction] = predict(
            bundle,
            inputs,
            options.run_from(knobs, quiet=quiet),
            max_error=knobs["max_error"],
            skip=skip,
        )
        if table:
            stack.enter_context(table)
            if table.rows_before and not quiet:
                options.say(f"continuing after {counted(table.rows_before, 'row')}")
            if not quiet:
                predictions = _counted(predictions, stack)
        width = max(8, *(len(label) for label in bundle.meta.labels))
        with stage("photos"):
            for number, prediction in enumerate(predictions, 1):
                tally(prediction)
                if table is None:
                    as_text = (
                        options.to_json(prediction.to_json())
                        if as_json
                        else _row(prediction, width)
                    )
                    click.echo(as_text)
                else:
                    table(prediction, flush=number % FLUSH_EVERY == 0)
    if table:
        tally.failed_before = table.failed_before
        table.sign(0 if tally.all_good and inputs.all_good else 3)
        options.receipt(str(csv_path))
    for sentence in [] if quiet else [*tally.sentences(), *about_inputs(inputs)]:
        options.say(sentence)
    ctx.exit(0 if tally.all_good and inputs.all_good else 3)


def _made_by(
    bundle: "Bundle", photos: tuple[str, ...], sort_into: Path | None, knobs: dict[str, Any]
) -> dict[str, Any]:
    """Return what a table depends on, and the links that are made along with it."""
    asked = {"max_error": knobs["max_error"], "engine": knobs["engine"]}
    links = str(sort_into) if sort_into else None
    return {"model": bundle.digest, "photos": list(photos), "sort_into": links, **asked}


def _done_before(path: Path, made_by: dict[str, Any]) -> int | None:
    """Return the exit code of an earlier run of the same command, and say so; None: none ended."""
    from fursure.commands.inputs import Photos
    from fursure.report.receipt import ended_with

    if not path.exists() or "-" in made_by["photos"]:  # standard input is another each time
        return None
    with ExitStack() as stack:
        names = (name for name, _ in Photos(made_by["photos"]).opened_on(stack))
        code = ended_with(path, made_by, names)
    if code is not None:
        failed = ", and some inputs still failed; --overwrite tries them again" if code else ""
        options.receipt(str(path))
        options.say(f"{path} was made from the same photos and model: nothing to do{failed}.")
    return code


def _table(
    path: Path | None, bundle: "Bundle", made_by: dict[str, Any], overwrite: bool
) -> "CsvTable | None":
    if path is None:
        return None
    from fursure.report.table import CsvTable

    return CsvTable(path, bundle.meta.labels, made_by=made_by, overwrite=overwrite)


def _counted(predictions: Iterable["Prediction"], stack: ExitStack) -> Iterator["Prediction"]:
    advance = stack.enter_context(options.bar("predicting", None))
    for prediction in predictions:
        yield prediction
        advance(1)


def _row(prediction: "Prediction", width: int) -> str:
    path = printable(prediction.path)
    if prediction.error is not None:
        return f"{'error':{width}}  {'':12}  {path}: {printable(prediction.error)}"
    sure = f"{percent(prediction.confidence)} sure" if prediction.answer == prediction.label else ""
    if prediction.answer == "unsure":
        sure = f"{prediction.label} {percent(prediction.confidence)}?"
    return f"{prediction.answer:{width}}  {sure:{max(12, width + 7)}}  {path}"
