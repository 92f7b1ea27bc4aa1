"""``fursure demo``: the main job on drawn pictures."""

from pathlib import Path

import click

from fursure.cli import options


@click.command("demo")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default="fursure-demo",
    show_default=True, help="The folder for drawings, model and picture.",
)  # fmt: skip
@options.quiet
def demo_command(into: Path, quiet: bool) -> None:
    """Train, evaluate and predict on drawn pictures, offline, in seconds.

    They are drawings made by code, not photos: what they show is how the tool works, not how good
    it is on yours.
    """
    from fursure.commands.demo import demo
    from fursure.metrics.classification import format_table

    click.echo("These are drawings made by code, not photos; their figures say nothing of yours.\n")
    made = demo(into, options.run_from({}, quiet=quiet))
    basis = made.trained.bundle.meta.figures["basis"]
    click.echo(f"\n{made.trained.path}: trained in {made.trained.seconds:.1f} s ({basis})")
    click.echo(format_table(made.evaluated.evaluation))
    wrong = made.evaluated.answered_wrong
    click.echo(f"answered           {made.evaluated.answered}, of which wrong {wrong or 'none'}")
    kinds = ", ".join(f"{count} {answer}" for answer, count in made.strangers.most_common())
    click.echo(f"drawn strangers    {kinds}\n")
    for prediction in made.predictions:
        sure = f"{prediction.label} {prediction.confidence:.1%}"
        sure += f", familiarity {prediction.familiarity:.2f}"
        click.echo(f"drawing of {prediction.path:12}  →  {prediction.answer:9} ({sure})")
    click.echo(f"\nLook at {made.picture}. With your own photos, a folder for each class:")
    click.echo("  fursure train PHOTOS -o mine.fursure")
    click.echo("  fursure predict -m mine.fursure ANOTHER.jpg")
