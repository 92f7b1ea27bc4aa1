"""``fursure check``: photos → what is wrong with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fursure.cli import complete, options
from fursure.errors import counted, some
from fursure.terminal.text import printable

if TYPE_CHECKING:
    from fursure.check.check import Checked
    from fursure.remote.place import AnyPlace

LINES = 5  # of a kind in the table
_LONGEST = 40  # characters of a path in the table


@click.command("check")
@click.argument("data", type=options.PlaceType())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html",
    help="Write a page to review what was found: pictures, reasons, and your verdicts.",
)  # fmt: skip
@click.option(
    "--most", type=click.IntRange(1, 2000), default=400, show_default=True,
    help="Findings shown as pictures on the page.",
)  # fmt: skip
@click.option(
    "--backbone", default="lite0", show_default=True, shell_complete=complete.backbones,
    help="Whose features tell what photos show; as for train.",
)  # fmt: skip
@click.option(
    "--label-studio", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json",
    help="Write the findings as tasks for Label Studio, beside them its setup (FILE.setup.xml).",
)  # fmt: skip
@options.corrections
@options.labelled
@options.working
@options.cluster
@options.verbose
@click.pass_context
def check_command(
    ctx: click.Context,
    /,
    data: "AnyPlace",
    output: Path | None,
    label_studio: Path | None,
    most: int,
    backbone: str,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Look for what is wrong with the labelled photos in DATA.

    Unreadable and misnamed files, copies (under several labels, in several splits), labels worth a
    look, photos that may belong to no class, blank, dark, blurred or tiny ones, rare classes, and
    facts that give a class away. DATA is what train takes, and is never changed.

    How many of the doubted labels are expected to be wrong is estimated from all photos together
    and stated with its 95 % interval; each has its own chance (the score under --json).

    The page of --output works offline. It asks for a verdict on each photo and saves them as
    corrections.csv, which train and check take with --corrections. So they do what Label Studio
    exports of the tasks of --label-studio, as JSON.
    """
    from fursure.check.check import check_data

    run = options.run_from(knobs, quiet=quiet)
    checked = check_data(
        options.dataset_from(data, knobs),
        run,
        backbone=backbone,
        output=output,
        label_studio=label_studio,
        most=most,
        overwrite=overwrite,
    )
    if as_json:
        for finding in checked.findings:
            click.echo(options.to_json(finding.to_json()))
    else:
        for line in _table(checked):
            click.echo(line)
    for note in checked.notes:
        run.say(note)
    then = f"; open {output} in a browser" if output else "; to review: -o review.html"
    run.say(f"done in {checked.seconds:.1f} s{then if checked.findings else ''}")
    if checked.unreadable:
        ctx.exit(3)


def _table(checked: "Checked") -> list[str]:
    """Return the lines a person reads: a few of each kind, the worst first."""
    from fursure.check.findings import FINDING_KINDS

    counts = checked.counts()
    photos, findings = len(checked.manifest.photos), sum(counts.values())
    lines = [f"{counted(photos, 'photo')}, {counted(findings, 'finding')}"]
    if checked.doubts:
        lines.append(printable(checked.doubts.sentence()))
    for kind, about in FINDING_KINDS.items():
        if kind not in counts:
            continue
        lines.append(f"{counts[kind]:>6,}  {about.title}")
        mine = [finding for finding in checked.findings if finding.kind == kind]
        lines += [f"          {_line(finding.paths, finding.reason)}" for finding in mine[:LINES]]
        if len(mine) > LINES:
            lines.append(f"          and {len(mine) - LINES:,} more")
    if checked.cues and "cue" not in counts:
        lines.append(f"No fact gives a class away. {checked.cues[0].sentence()}.")
    return lines


def _line(paths: tuple[str, ...], reason: str) -> str:
    named = some(map(_short, paths), most=3)
    return printable(f"{named}: {reason}" if named else reason)


def _short(path: str) -> str:
    inside = path.rpartition("!")[2]
    return inside if len(inside) <= _LONGEST else f"…{inside[-_LONGEST:]}"
