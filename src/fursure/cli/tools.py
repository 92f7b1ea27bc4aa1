"""``fursure backbones``, ``cache`` and ``doctor``: what is at hand on this machine."""

import click

from fursure.cli import options
from fursure.recipe import BACKBONE_KINDS
from fursure.report.text import printable


@click.command(
    "backbones",
    help="List the encoders at hand.\n\n"
    "Those whose worth was measured come first. What can be named is "
    f"{'; '.join(BACKBONE_KINDS.values())}. "
    "Weights that are neither in a package nor in an ONNX graph need the extra torch, once.",
)
@options.as_json
def backbones_command(as_json: bool) -> None:
    """List the encoders at hand."""
    from dataclasses import asdict

    from fursure.backbones.kinds import at_hand
    from fursure.backbones.measured import MEASURED, SET

    ready = sorted(at_hand(), key=lambda backbone: backbone.name not in MEASURED)  # stable
    if as_json:
        for backbone in ready:
            figures = MEASURED.get(backbone.name)
            row = asdict(backbone) | {"measured": figures.to_json() if figures else None}
            click.echo(options.to_json(row))
        return
    click.echo(
        f"{'name':28} {'pixels':>6} {'MB':>5}  {'right':>7} {'log loss':>8} {'speed':>6}  licence"
    )
    for backbone in ready:
        figures = MEASURED.get(backbone.name)
        worth = (
            f"{figures.accuracy:7.2%} {figures.log_loss:8.4f} {figures.speed:5.2f}x"
            if figures
            else f"{'not measured':>23}"
        )
        size = f"{backbone.size:6} {backbone.megabytes:5.1f}"
        click.echo(f"{backbone.name:28} {size}  {worth}  {backbone.licence}")
    options.say(
        f"right and log loss: {SET}; speed: photos a second against lite0. None needs torch."
    )


@click.command("cache")
@click.argument("action", type=click.Choice(["list", "clear"]), default="list")
@click.option("--backbones", is_flag=True, help="Clear converted backbones too.")
@options.as_json
def cache_command(action: str, backbones: bool, as_json: bool) -> None:
    """List what is cached, or clear it.

    Features, fingerprints and pixels are computed again when they are needed; a converted backbone
    needs torch for that. A training that was interrupted (its checkpoints and pixels) begins anew
    once it is cleared, a finished table is no longer known to be finished, and engines are tried
    again. FURSURE_HOME says where all of it lies.
    """
    from fursure.commands.caches import cached, clear

    if action == "clear":
        size = clear(include_backbones=backbones)
        options.say(f"removed {size / 1e6:.1f} MB")
        return
    for file in cached():
        if as_json:
            click.echo(options.to_json(file.to_json()))
        else:
            click.echo(f"{file.kind:14} {file.megabytes:9.1f} MB  {file.entries:>9}  {file.path}")


@click.command("doctor")
@options.as_json
@click.pass_context
def doctor_command(ctx: click.Context, as_json: bool) -> None:
    """Check this machine: versions, engines, threads, folders, one test photo."""
    from fursure.commands.doctor import examine

    findings = list(examine())
    for finding in findings:
        mark = "ok" if finding.good else "PROBLEM"
        if as_json:
            click.echo(options.to_json(finding.to_json()))
        else:
            options.show(
                f" {finding.what:16} {printable(finding.found)}",
                f"{mark:8}",
                "good" if finding.good else "bad",
            )
    if not all(finding.good for finding in findings):
        ctx.exit(1)
