"""``fursure backbones``, ``cache`` and ``doctor``: what is at hand; ``push``: what leaves it."""

from pathlib import Path

import click

from fursure.cli import complete, options
from fursure.recipe import BACKBONE_KINDS
from fursure.terminal.text import printable


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
@click.option("--models", is_flag=True, help="Clear models fetched from the hub too.")
@options.as_json
def cache_command(action: str, backbones: bool, models: bool, as_json: bool) -> None:
    """List what is cached, or clear it.

    Features, fingerprints and pixels are computed again when they are needed; a converted backbone
    needs torch for that, and a model of the hub a network. A training that was interrupted (its
    checkpoints and pixels) begins anew once it is cleared, a finished table is no longer known to
    be finished, and engines are tried again. FURSURE_HOME says where all of it lies.
    """
    from fursure.commands.caches import cached, clear

    if action == "clear":
        size = clear(include_backbones=backbones, include_models=models)
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


@click.command("push")
@click.argument("model", shell_complete=complete.models)
@click.argument("name", metavar="ORG/NAME")
@click.option("--public", is_flag=True, help="Let everyone see it; else it is yours alone.")
@click.option(
    "--licence", "--license", metavar="ID",
    help="The licence it is published under. [default: that of the encoder's weights]",
)  # fmt: skip
@click.option(
    "--dataset", "datasets", multiple=True, metavar="ORG/DATA",
    help="The data set on the hub that it learned from; repeat.",
)  # fmt: skip
@click.option("--revision", metavar="BRANCH", help="The branch to push to. [default: main]")
@click.option("--message", metavar="TEXT", help="Of the commit. [default: the model's accuracy]")
@click.option("--dry-run", is_flag=True, help="Show what would be pushed; push nothing.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Also write what is pushed into DIR.",
)  # fmt: skip
@options.as_json
def push_command(
    model: str,
    name: str,
    public: bool,
    licence: str | None,
    datasets: tuple[str, ...],
    revision: str | None,
    message: str | None,
    dry_run: bool,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Publish MODEL on the Hugging Face Hub as ORG/NAME.

    That is its card, the .fursure file, its network as ONNX, its head as safetensors and how photos
    are prepared; no photo, and no name of one. It is private unless --public. The token is that of
    HF_TOKEN or of `hf auth login`. `fursure predict -m hub:ORG/NAME` then answers anywhere.
    """
    from fursure.bundle.named import find_model
    from fursure.hub.upload import Destination
    from fursure.push.push import hub_files, push, write_into

    bundle = find_model(model)
    to = Destination(
        name=name,
        public=public,
        revision=revision,
        message=message or f"{bundle.meta.name}, measured on {bundle.meta.figures['basis']}",
    )
    files = hub_files(bundle, to, licence=licence, datasets=datasets)
    if folder is not None:
        write_into(folder, files)
    if dry_run:
        _show(files, as_json=as_json)
        options.say(f"nothing was pushed to {name}, for --dry-run was asked for")
        return
    pushed = push(files, to)
    options.receipt(options.to_json(pushed.to_json()) if as_json else pushed.url)
    if public and pushed.private:
        options.say(f"{name} was private before and stays so; its settings at {pushed.url} say it.")


def _show(files: dict[str, bytes], *, as_json: bool) -> None:
    """Print each file with its bytes, and the card."""
    for name, data in files.items():
        row = {"file": name, "bytes": len(data)}
        click.echo(options.to_json(row) if as_json else f"{len(data):>12,}  {name}")
    if not as_json:
        click.echo(f"\n{files['README.md'].decode()}", nl=False)
