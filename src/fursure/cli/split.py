"""``fursure split``: photos → folders, or arrays, to train on with any tool."""

from typing import TYPE_CHECKING, Any

import click

from fursure.cli import complete, options
from fursure.terminal.text import printable

if TYPE_CHECKING:
    from fursure.commands.split import Divided, Form
    from fursure.remote.place import AnyPlace
    from fursure.rows.photo import Split
    from fursure.splitting.exact_counts import Amount


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> "Amount | None":
    """Return a count as an int and a share as a float."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return int(value)
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise click.BadParameter(
            f"{value!r} is neither a count (4000) nor a share from 0 to 1 (0.8)."
        )
    return share


@click.command("split")
@click.argument("data", type=options.PlaceType())
@click.option(
    "--out", type=options.PlaceType(file_okay=False), required=True, metavar="DIR|URL",
    help="The folder to fill; a new or an empty one. Shards also go to s3://bucket/place.",
)  # fmt: skip
@click.option(
    "--train", metavar="COUNT|SHARE", callback=_amount,
    help="Photos to train on: a count over all classes (4000) or a share of each (0.8). [default: "
    "0.8, or none where --val or --test is given]",
)  # fmt: skip
@click.option(
    "--val",
    metavar="COUNT|SHARE",
    callback=_amount,
    help="Photos for validation. [default: 0.1, or none]",
)
@click.option(
    "--test",
    metavar="COUNT|SHARE",
    callback=_amount,
    help="Photos for the figures. [default: 0.1, or none]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice.")
@click.option(
    "--as", "form", type=click.Choice(["folders", "npy", "webdataset", "parquet"]),
    default="folders", show_default=True,
    help="folders: the photos in class folders. npy: what a backbone makes of them. webdataset, "
    "parquet: the photos in shards.",
)  # fmt: skip
@click.option(
    "--link", type=click.Choice(["hard", "symbolic", "copy"]),
    help="How the photos get there; copied where a link cannot be. [default: hard]",
)  # fmt: skip
@click.option(
    "--backbone", shell_complete=complete.backbones,
    help="For npy, as for train. [default: lite0]",
)  # fmt: skip
@click.option(
    "--image-size", type=click.IntRange(32, 1024),
    help="For npy: pixels, side of the network's input. [default: the backbone's]",
)  # fmt: skip
@click.option(
    "--map", "maps", is_flag=True,
    help="For npy: the last feature map (N, h, w, D), not its mean (N, D).",
)  # fmt: skip
@click.option(
    "--shard-mb", type=click.IntRange(1, 100_000),
    help="For shards: MB of photos in each. [default: 256]",
)  # fmt: skip
@options.labelled
@options.working
def split_command(
    data: "AnyPlace",
    out: "AnyPlace",
    train: "Amount | None",
    val: "Amount | None",
    test: "Amount | None",
    as_json: bool,
    quiet: bool,
    **knobs: Any,
) -> None:
    """Divide the labelled photos in DATA into train, val and test.

    DATA is what train takes. DIR gets train/cat/…, val/cat/…, test/cat/… for any tool, and
    split.jsonl, which says of each photo where it went. Near-duplicates stay in one part. Shares
    of all photos are drawn by lot as train and compare draw them: with the same shares and seed
    all three divide alike, and photos added later move none of these. Counts are exact and divided
    evenly among the classes; what nobody asked for is left over. A split that DATA already has is
    kept, if no count or share is given.

    Hard links take no space, and a photo that is edited in DIR is then edited in DATA too; with
    --link copy it is not. With --as npy DIR gets train_features.npy, train_labels.npy, the paths
    of their rows, class by class, and labels.txt: bottleneck features, for a head of your own.

    With --as webdataset or parquet DIR gets train-000000.tar or .parquet and so on, photos
    shuffled, each with its label; `fursure train DIR` divides them as they are divided there.
    """
    from fursure.commands.split import split_data
    from fursure.features.remarks import count_unusable

    given: dict[Split, Amount | None] = {"train": train, "val": val, "test": test}
    run = options.run_from(knobs, quiet=quiet)
    divided = split_data(
        options.dataset_from(data, knobs),
        out,
        {part: amount for part, amount in given.items() if amount is not None},
        run,
        form=_form(knobs),
        seed=knobs["seed"],
        overwrite=knobs["overwrite"],
    )
    for note in divided.notes:
        run.say(note)
    options.say_unusable(count_unusable(divided.manifest), quiet=quiet)
    if as_json:
        options.receipt(
            options.to_json(
                {
                    "folder": str(divided.folder),
                    "new": divided.new,
                    "seconds": round(divided.seconds, 2),
                    "photos": divided.counts(),
                    "notes": divided.notes,
                }
            )
        )
        return
    for line in _table(divided):
        options.receipt(line)
    if quiet:
        return
    if divided.new:
        then = f"; next: fursure train {out}" if knobs["form"] != "npy" else ""
        options.say(f"{out}: done in {divided.seconds:.1f} s{then}")
    else:
        options.say(f"{out} was made from the same photos by the same command: nothing to do.")


def _form(knobs: dict[str, Any]) -> "Form":
    """Return the form asked for; options of the other one are a mistake."""
    from fursure.commands.split import Arrays, Folders, Sharded

    form = knobs["form"]
    shards = {"backbone", "image_size", "maps", "link"}
    others = {
        "folders": {"backbone", "image_size", "maps", "shard_mb"},
        "npy": {"link", "shard_mb"},
    }
    for name in sorted(others.get(form, shards)):
        if knobs[name]:
            flag = {"maps": "map"}.get(name, name.replace("_", "-"))
            raise click.UsageError(f"--{flag} says nothing with --as {form}.")
    match form:
        case "folders":
            return Folders(knobs["link"] or "hard")
        case "npy":
            return Arrays(
                backbone=knobs["backbone"] or "lite0",
                image_size=knobs["image_size"],
                maps=knobs["maps"],
            )
    return Sharded(kind=form, megabytes=knobs["shard_mb"] or Sharded().megabytes)


def _table(divided: "Divided") -> list[str]:
    """Return the lines a person reads: a class each, and the sums."""
    parts, labels = divided.counts(), divided.manifest.labels
    width = max(8, *(len(label) for label in labels))
    lines = [f"{'':{width}}" + "".join(f"{part:>11}" for part in parts)]
    for label in labels:
        counts = "".join(f"{parts[part][label]:>11,}" for part in parts)
        lines.append(f"{printable(label):{width}}{counts}")
    sums = "".join(f"{sum(parts[part].values()):>11,}" for part in parts)
    return [*lines, f"{'together':{width}}{sums}"]
