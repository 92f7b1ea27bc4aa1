"""``fursure predict``: photos → answers."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import complete, options
from fursure.errors import OutputExists, counted
from fursure.stages import stage
from fursure.terminal.colour import Tone
from fursure.terminal.live import Live
from fursure.terminal.text import percent, printable

if TYPE_CHECKING:
    from fursure.bundle.bundle import Bundle
    from fursure.commands.inputs import Photos
    from fursure.commands.predict import PredictedRow
    from fursure.commands.sorter import Sorter
    from fursure.commands.submission import Submission
    from fursure.prediction import Prediction
    from fursure.remote.outbox import Outbox
    from fursure.remote.place import AnyPlace
    from fursure.report.parquet import ParquetTable
    from fursure.report.table import CsvTable


@click.command("predict")
@click.argument("photos", nargs=-1)
@click.option(
    "--files-from", multiple=True, metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
    help="Also what FILE lists: a name a line, as it is (no globs); - for stdin. Repeat.",
)  # fmt: skip
@click.option(
    "-0", "--null", is_flag=True,
    help="Names in --files-from end with NUL, as `find -print0` writes them.",
)  # fmt: skip
@click.option(
    "-m", "--model", metavar="MODEL", shell_complete=complete.models,
    help="A .fursure file, or hub:ORG/NAME[@REVISION]. [default: pets, cats and dogs]",
)  # fmt: skip
@click.option(
    "--csv", "csv_path", type=options.PlaceType(dir_okay=False),
    help="Write a table; an interrupted run continues where it stopped.",
)  # fmt: skip
@click.option(
    "--parquet", "parquet_path", type=options.PlaceType(dir_okay=False),
    help="The same as a Parquet file; needs the extra tables.",
)  # fmt: skip
@click.option(
    "--features", is_flag=True, help="Also what the encoder sees in each photo, with --parquet."
)
@click.option(
    "--submission", type=click.Path(path_type=Path, dir_okay=False), metavar="SAMPLE.csv",
    help="Write --csv as a competition asks, e.g. id,label: each id's clipped probability.",
)  # fmt: skip
@click.option(
    "--of", metavar="CLASS",
    help="The class whose probability --submission wants. [default: the column's; of two the last]",
)  # fmt: skip
@click.option(
    "--sort-into", type=click.Path(path_type=Path, file_okay=False),
    help="Link the photos into DIR/answer/; copies where there can be no links.", metavar="DIR",
)  # fmt: skip
@options.zip_encoding
@options.max_error
@options.working
@options.cluster
@options.verbose
@click.pass_context
def predict_command(
    ctx: click.Context,
    /,
    photos: tuple[str, ...],
    files_from: tuple[str, ...],
    null: bool,
    model: str | None,
    csv_path: "AnyPlace | None",
    parquet_path: "AnyPlace | None",
    features: bool,
    submission: Path | None,
    of: str | None,
    sort_into: Path | None,
    as_json: bool,
    overwrite: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Say what is on PHOTOS: files, folders, globs, archives, URLs, or - for stdin.

    The answer is a label, "unsure" where the model would be wrong too often, or "stranger" for a
    photo unlike those it was trained on. A photo that cannot be read is a row with its error.
    """
    from fursure.bundle.named import find_model
    from fursure.cli.tally import Tally, about_inputs
    from fursure.commands.predict import predict

    inputs = _inputs(photos, files_from, null=null)
    form = _form(csv_path, parquet_path, submission, {"features": features, "of": of})
    path, outbox = _table_place(csv_path or parquet_path)
    bundle = find_model(model)
    made_by = _made_by(bundle, inputs, sort_into, knobs) | form if path else {}
    if path and not overwrite and (code := _done(path, made_by, inputs, outbox)) is not None:
        ctx.exit(code)
    tally = Tally(_sorter(sort_into))
    with ExitStack() as stack:
        table = _table(path, bundle, made_by, overwrite or outbox is not None)
        skip = table.has if table else lambda _name: False
        rows: Iterable[PredictedRow] = predict(
            bundle,
            inputs,
            options.run_from(knobs, quiet=quiet),
            max_error=knobs["max_error"],
            skip=skip,
            features=features,
        )
        if table:
            stack.enter_context(table)
            if table.rows_before and not quiet:
                options.say(f"continuing after {counted(table.rows_before, 'row')}")
            if not quiet:
                rows = _counted(rows, stack)
        width = max(8, *(len(label) for label in bundle.meta.labels))
        with stage("photos"):
            for prediction, features_D in rows:
                tally(prediction)
                if table is None:
                    if as_json:
                        click.echo(options.to_json(prediction.to_json()))
                    else:
                        _show(prediction, width)
                else:
                    table(prediction, features_D)
    if table:
        tally.failed_before = table.failed_before
        _deliver(table, outbox, 0 if tally.all_good and inputs.all_good else 3)
    notes = table.sentences() if table else ()
    for sentence in [] if quiet else [*tally.sentences(), *notes, *about_inputs(inputs)]:
        options.say(sentence)
    ctx.exit(0 if tally.all_good and inputs.all_good else 3)


def _inputs(photos: tuple[str, ...], lists: tuple[str, ...], *, null: bool) -> "Photos":
    """Return the photos that are meant; none, or two on standard input, are a mistake."""
    from fursure.commands.inputs import Photos
    from fursure.commands.name_list import NameList

    if not (photos or lists):
        raise click.UsageError("Missing argument 'PHOTOS': name some, or a list with --files-from.")
    if null and not lists:
        raise click.UsageError("-0 says how --files-from is written, which is not there.")
    if [*photos, *lists].count("-") > 1 and "-" in lists:
        raise click.UsageError("standard input can be one thing: a list of names, or a photo.")
    stdin = sys.stdin.buffer if sys.stdin else None
    return Photos(photos, stdin, [NameList(place, null) for place in lists])


def _sorter(folder: Path | None) -> "Sorter | None":
    if folder is None:
        return None
    from fursure.commands.sorter import Sorter

    return Sorter(folder)


def _form(
    csv_path: "AnyPlace | None",
    parquet_path: "AnyPlace | None",
    submission: Path | None,
    more: dict[str, Any],
) -> dict[str, Any]:
    """Return what the table's form depends on; flags that say nothing together are a mistake."""
    if csv_path and parquet_path:
        raise click.UsageError("--csv and --parquet write a table each; run it twice for both.")
    if more["features"] and not parquet_path:
        raise click.UsageError("--features go into the table of --parquet.")
    if submission and not csv_path:
        raise click.UsageError("--submission is the form; name the file to write: --csv FILE.")
    if more["of"] and not submission:
        raise click.UsageError("--of says nothing without --submission.")
    form = {"parquet": parquet_path is not None, "submission": submission and str(submission)}
    return {name: value for name, value in (form | more).items() if value}


def _table_place(place: "AnyPlace | None") -> "tuple[Path | None, Outbox | None]":
    """Return where the table is made, and from where it is sent if it belongs elsewhere."""
    from fursure.remote.place import RemotePath

    if not isinstance(place, RemotePath):
        if place is not None and not place.name:  # of --csv "", an unset variable of a shell
            raise click.UsageError("the table has no name; write one: --csv answers.csv.")
        return place, None
    from fursure.remote.outbox import Outbox

    outbox = Outbox.of(place)
    return outbox.local, outbox


def _deliver(
    table: "CsvTable | ParquetTable | Submission", outbox: "Outbox | None", code: int
) -> None:
    """Note what made the finished table, and send it where it belongs."""
    table.sign(code)
    if outbox is not None:
        outbox.send()
        table.sign(code)  # of the receipt, which has taken its place here
    options.receipt(str(outbox.place if outbox else table.path))


def _made_by(
    bundle: "Bundle",
    inputs: "Photos",
    sort_into: Path | None,
    knobs: dict[str, Any],
) -> dict[str, Any]:
    """Return what a table depends on, and the links that are made along with it."""
    asked: dict[str, Any] = {"max_error": knobs["max_error"], "engine": knobs["engine"]}
    if inputs.lists:
        asked["files_from"] = [names.place for names in inputs.lists]
    from fursure.remote.place import shown_place

    links = str(sort_into) if sort_into else None
    return {
        "model": bundle.digest,
        "photos": [shown_place(photo) for photo in inputs.inputs],
        "sort_into": links,
        **asked,
    }


def _done(
    path: Path, made_by: dict[str, Any], inputs: "Photos", outbox: "Outbox | None"
) -> int | None:
    """Return the exit code of an earlier run of the same command, and say so; None: none ended."""
    from fursure.commands.inputs import Photos
    from fursure.report.receipt import Names, ended_with, keep

    state = outbox.state() if outbox else ""
    if outbox and state == "taken":
        raise OutputExists(outbox.place, "a finished table")
    if not path.exists() or inputs.read_once:
        return None
    with ExitStack() as stack:
        again = Photos(inputs.inputs, lists=inputs.lists)
        names = [name for name, _ in again.opened_on(stack)]
    code = ended_with(path, made_by, names)
    if outbox and code is None and state == "delivered":
        raise OutputExists(outbox.place, "a finished table")
    if outbox and code is not None and state == "waiting":
        outbox.send()
        keep(path, made_by, Names(names), code)
    place = outbox.place if outbox else path
    if code is not None:
        failed = ", and some inputs still failed; --overwrite tries them again" if code else ""
        options.receipt(str(place))
        options.say(f"{place} was made from the same photos and model: nothing to do{failed}.")
    return code


def _table(
    path: Path | None, bundle: "Bundle", made_by: dict[str, Any], overwrite: bool
) -> "CsvTable | ParquetTable | Submission | None":
    """Return the table that is asked for, with what an interrupted run has left."""
    if path is None:
        return None
    labels = bundle.meta.labels
    if made_by.get("parquet"):
        from fursure.report.parquet import ParquetTable

        features = bundle.meta.features if made_by.get("features") else None
        return ParquetTable(path, labels, made_by=made_by, overwrite=overwrite, features=features)
    if made_by.get("submission"):
        from fursure.commands.submission import Sample, Submission

        sample = Sample.read(Path(made_by["submission"]), labels, made_by.get("of"))
        return Submission(path, sample, bundle, made_by=made_by, overwrite=overwrite)
    from fursure.report.table import CsvTable

    return CsvTable(path, labels, made_by=made_by, overwrite=overwrite)


def _counted(rows: Iterable["PredictedRow"], stack: ExitStack) -> Iterator["PredictedRow"]:
    advance = stack.enter_context(Live(options.say).bar("predicting", None))
    for row in rows:
        yield row
        advance(1)


def _show(prediction: "Prediction", width: int) -> None:
    path = printable(prediction.path)
    if prediction.error is not None:
        rest = f"  {'':12}  {path}: {printable(prediction.error)}"
        options.show(rest, f"{'error':{width}}", "bad")
        return
    sure, tone = _how_sure(prediction)
    rest = f"  {sure:{max(12, width + 7)}}  {path}"
    options.show(rest, f"{prediction.answer:{width}}", tone)


def _how_sure(prediction: "Prediction") -> tuple[str, Tone]:
    """Return what stands behind an answer, and the tone of it."""
    confidence = percent(prediction.confidence)
    match prediction.answer:
        case "unsure":
            return f"{prediction.label} {confidence}?", "doubtful"
        case "stranger":
            return "", "strange"
    return f"{confidence} sure", "good"
