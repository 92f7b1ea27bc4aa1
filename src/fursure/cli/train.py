"""``fursure train``: photos → model."""

from pathlib import Path
from typing import Any

import click

from fursure.cli import options


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="The model to write. [default: DATA's name with .fursure]",
)  # fmt: skip
@click.option(
    "--backbone", default="tiny", show_default=True,
    help="tiny, timm:NAME, hub:ORG/REPO, or a path: .fursure, .onnx, or a folder of weights.",
)  # fmt: skip
@click.option(
    "--head", type=click.Choice(["logistic", "mlp"]), default="logistic", show_default=True,
    help="What is trained on the features.",
)  # fmt: skip
@click.option(
    "--class-weight", type=click.Choice(["none", "balanced"]), default="none", show_default=True,
    help="balanced: every class weighs the same, however few its photos.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of splits and training.")
@click.option(
    "--validation", type=click.FloatRange(0.01, 0.5), default=0.1, show_default=True,
    help="Share of the photos for choosing and certifying.",
)  # fmt: skip
@click.option(
    "--test", type=click.FloatRange(0.01, 0.5), default=0.1, show_default=True,
    help="Share of the photos for the figures.",
)  # fmt: skip
@click.option(
    "--known-lost", type=click.FloatRange(0, 0.5), default=0.01, show_default=True,
    help="Share of known photos that may be called strangers; more finds more strangers.",
)  # fmt: skip
@click.option(
    "--image-size", type=click.IntRange(32, 1024),
    help="Pixels, side of the network's input. [default: the backbone's]",
)  # fmt: skip
@click.option(
    "--resize", type=click.Choice(["crop", "squash", "pad"]),
    help="How a photo becomes square. [default: the backbone's]",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True,
    help="Storage of a converted backbone's weights.",
)  # fmt: skip
@click.option(
    "--features-output", metavar="TENSOR", help="The tensor to take as features from an .onnx file."
)
@options.label_regex
@options.engine
@options.threads
@options.overwrite
@options.as_json
@options.quiet
def train(data: Path, output: Path | None, as_json: bool, quiet: bool, **knobs: Any) -> None:
    """Train a classifier on the labelled photos in DATA.

    DATA is a folder with one folder of photos per class, train/ val/ test/ folders of those, files
    named like cat.0.jpg, a .csv, .tsv or .jsonl table, or any of these in a .zip or .tar. Its
    photos are never changed. Beside the model lie its manifest and its figures.
    """
    from fursure.workflows.progress import silent
    from fursure.workflows.train import train as work

    output = output or Path(f"{_stem(data)}.fursure")
    trained = work(
        data,
        output,
        _recipe(knobs),
        engine=knobs["engine"],
        threads=knobs["threads"],
        label_regex=knobs["label_regex"],
        features_output=knobs["features_output"],
        overwrite=knobs["overwrite"],
        progress=silent if quiet else options.bar,
    )
    if not quiet:
        for note in trained.notes:
            options.say(note)
    meta = trained.bundle.meta
    if as_json:
        click.echo(
            options.to_json(
                {
                    "model": str(trained.path),
                    "new": trained.new,
                    "seconds": round(trained.seconds, 2),
                    "figures": meta.figures,
                    "max_error": meta.max_error,
                    "notes": trained.notes,
                }
            )
        )
        return
    from fursure.metrics.classification import Evaluation, format_table

    basis = meta.figures["basis"]
    evaluation = Evaluation.from_json({k: v for k, v in meta.figures.items() if k != "basis"})
    click.echo(f"{trained.path}: {' / '.join(meta.labels[:6])}, measured on {basis}")
    click.echo(format_table(evaluation))
    if trained.new:
        options.say(f"done in {trained.seconds:.1f} s; next: fursure predict -m {trained.path} …")
    else:
        options.say(f"{trained.path} was made from the same photos and recipe: nothing to do.")


def _stem(data: Path) -> str:
    name = data.resolve().name
    return name.split(".")[0] or "model"


def _recipe(knobs: dict[str, Any]) -> Any:
    from dataclasses import fields, replace

    from fursure.recipes import LINEAR_PROBE, MLP_PROBE

    base = MLP_PROBE if knobs["head"] == "mlp" else LINEAR_PROBE
    head = replace(base.head, class_weight=knobs["class_weight"])
    same = {one.name for one in fields(base)} & knobs.keys() - {"head"}
    return replace(base, head=head, **{name: knobs[name] for name in same})
