"""Options that several commands share, and what they print."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.run import Run
from fursure.stages import recorded
from fursure.terminal.colour import Tone, coloured, has_colour
from fursure.terminal.live import Live
from fursure.terminal.text import printable

if TYPE_CHECKING:
    from fursure.dataset.labelled import Dataset
    from fursure.remote.place import AnyPlace


class PlaceType(click.Path):
    """A path here, or a URL of what lies elsewhere."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "AnyPlace":
        """Return the place; a URL is looked up only when it is read."""
        from fursure.remote.place import remote_place

        place = remote_place(value)
        return Path(os.fsdecode(super().convert(value, param, ctx))) if place is None else place


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

ZIP_ENCODING = "FURSURE_ZIP_ENCODING"  # what `fursure.dataset.zips` reads

engine: Decorator = click.option(
    "--engine",
    type=click.Choice(["auto", "onnxruntime", "openvino", "cuda", "openvino-gpu"]),
    default="auto",
    show_default=True,
    help="What runs the network; auto takes OpenVINO, where it works, for 200 photos and more, and "
    "to serve. cuda (onnxruntime-gpu) and openvino-gpu are graphics processors; auto takes one for "
    "as many photos as its start pays for.",
)
threads: Decorator = click.option(
    "--threads", type=click.IntRange(1, 1024), help="Cores to use. [default: all allowed]"
)
as_json: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
label_regex: Decorator = click.option(
    "--label-regex",
    metavar="REGEX",
    help="Finds the label in a file name, e.g. '^(?P<label>[a-z]+)_'.",
)
label_column: Decorator = click.option(
    "--label-column",
    metavar="NAME",
    help="Column of a table, or question of an export, that holds the labels.",
)
max_error: Decorator = click.option(
    "--max-error",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Wrong answers accepted among those given, e.g. 0.01. [default: the model's]",
)


def _say_zip_encoding(_ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value:
        os.environ[ZIP_ENCODING] = value  # child processes open the same archives


zip_encoding: Decorator = click.option(
    "--zip-encoding",
    metavar="NAME",
    expose_value=False,
    callback=_say_zip_encoding,
    help="How names in a zip are written that does not say so, e.g. gbk, cp932 or cp866.",
)
corrections: Decorator = click.option(
    "--corrections",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Verdicts on photos, as the page of `fursure check` or Label Studio saves them.",
)
overwrite: Decorator = click.option(
    "--overwrite", is_flag=True, help="Replace an output that is already there."
)
quiet: Decorator = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="No progress, no notes; still told: photos left out of training, and train's last line.",
)


def _say_all(lines: list[str]) -> None:
    for line in lines:
        say(line)


def _timed(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    """Print where the time of the command went, once it is done."""
    if value:
        times = ctx.with_resource(recorded())
        ctx.call_on_close(lambda: _say_all(times.table()))


verbose: Decorator = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_timed,
    help="Say at the end where the time went, stage by stage.",
)  # fmt: skip


def _pairs(
    _ctx: click.Context, _option: click.Parameter, written: tuple[str, ...]
) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in written]
    for old, _, new in pairs:
        if not old or not new.strip():
            raise click.BadParameter(f"{old!r} needs a new name, as in 'unsure=doubtful'")
    return {old: new.strip() for old, _, new in pairs}


rename: Decorator = click.option(
    "--rename", metavar="OLD=NEW", multiple=True, callback=_pairs,
    help="Call a class by another name, e.g. one called like the answer 'unsure'.",
)  # fmt: skip


def _together(*decorators: Decorator) -> Decorator:
    """Return what gives a command several options, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


labelled = _together(
    label_regex, label_column, rename, zip_encoding
)  # how labelled photos are read
working = _together(engine, threads, overwrite, as_json, quiet)  # how the work is done, and told


def _cluster(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value and value != "ray" and not value.startswith("ray://"):
        raise click.BadParameter(f"{value!r} is no cluster; write ray, or ray://HOST:PORT")
    return value


cluster: Decorator = click.option(
    "--on", metavar="CLUSTER", callback=_cluster,
    help="Let a cluster of Ray do the work: ray for that of RAY_ADDRESS or else one of this "
    "machine's cores, or ray://HOST:PORT; needs the extra ray.",
)  # fmt: skip


def run_from(options: Mapping[str, Any], *, quiet: bool) -> Run:
    """Return how a command works that has these ``options``."""
    run = Run(
        engine=options.get("engine", "auto"),
        threads=options.get("threads"),
        on=options.get("on"),
    )
    if quiet:
        return run
    live = Live(say)
    return replace(run, progress=live.bar, say=live.say, watch=live.watch)


def dataset_from(path: "AnyPlace", options: Mapping[str, Any]) -> "Dataset":
    """Return the labelled photos that a command with these ``options`` means."""
    from fursure.dataset.labelled import Dataset

    return Dataset(
        path,
        label_regex=options["label_regex"],
        rename=options["rename"],
        corrections=options.get("corrections"),
        label_column=options["label_column"],
    )


def say(text: str) -> None:
    """Print to standard error; on a full disk, say, where it takes nothing, work goes on."""
    with suppress(OSError):
        click.echo(printable(text), err=True)


def say_unusable(sentence: str, *, quiet: bool) -> None:
    """Print how many photos could not be used where no note has said so."""
    if quiet and sentence:
        say(sentence)


def complain(sentence: str) -> None:
    """Print what went wrong to standard error, behind the name of the program."""
    with suppress(OSError):
        name = coloured("fursure:", "bad", sys.stderr)
        click.echo(f"{name} {printable(sentence)}", err=True, color=has_colour(sys.stderr))


def show(text: str, begin: str = "", tone: Tone | None = None) -> None:
    """Print a result for people to standard output, its first word, ``begin``, in colour."""
    begin = coloured(begin, tone, sys.stdout) if tone else begin
    click.echo(begin + text, color=has_colour(sys.stdout))


def receipt(line: str) -> None:
    """Print what was made, and where; unlike a result, it is not lost where nobody can read it."""
    from fursure.terminal.streams import Closed

    if not isinstance(sys.stdout, Closed):
        click.echo(line)


def to_json(value: Any) -> str:
    """Return one line of JSON; bytes of a name that are no UTF-8 come out escaped."""
    import json

    return json.dumps(value, ensure_ascii=True, allow_nan=False)
