"""Photos → a training, a validation and a test part, for any tool: folders, arrays, shards."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isclose
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fursure.backbones.kinds import load_backbone
from fursure.commands.split_folder import (
    LIST,
    Note,
    array_names,
    check_same_command,
    check_split_bucket,
    check_split_folder,
    claim_split_folder,
    finish,
    send_notes,
    split_folder_of,
)
from fursure.dataset.labelled import Data, dataset_of
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData, NoPhotos, counted, some
from fursure.features.arrays import Encoder, write_rows
from fursure.features.division import Shares, divided
from fursure.features.remarks import SHOWN, about_photos, warn_of_copies
from fursure.files import replacing
from fursure.heads.classes import check_classes
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.remote.place import AnyPlace, RemotePath, place_of
from fursure.rows.photo import SPLITS, Split
from fursure.run import Run
from fursure.sharding.packed import ShardKind, packer
from fursure.sharding.shards import ShardPlace, write_shards
from fursure.splitting.destinations import class_folders, destinations
from fursure.splitting.exact_counts import Amount, filled, quotas, sizes_of
from fursure.splitting.linking import Link, Placer
from fursure.splitting.split import few
from fursure.terminal.text import printable

_SHARES: Mapping[Split, Amount] = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True, slots=True)
class Folders:
    """Class folders in split folders, with the photos themselves."""

    link: Link = "hard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """What a backbone makes of the photos, as NumPy files."""

    backbone: str = "lite0"
    image_size: int | None = None  # pixels; None is what the backbone was trained with
    maps: bool = False  # the last feature map instead of its mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharded:
    """A few large files for each part, here or in a bucket."""

    kind: ShardKind = "webdataset"
    megabytes: int = 256  # of photos in a file


Form = Folders | Arrays | Sharded
FormName = Literal["folders", "npy", "webdataset", "parquet"]
FORMS: Mapping[str, Form] = {  # by `FormName`
    "folders": Folders(),
    "npy": Arrays(),
    "webdataset": Sharded(),
    "parquet": Sharded(kind="parquet"),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Divided:
    """A finished split: where it lies, and what is worth telling."""

    folder: AnyPlace
    manifest: Manifest
    notes: tuple[str, ...]  # what was skipped, left out or could not be, in sentences
    seconds: float  # wall time
    new: bool  # False: an earlier run had made all of it

    def __repr__(self) -> str:
        """Return where it lies and how many photos each part has, on one line."""
        parts = (f"{part} {sum(counts.values()):,}" for part, counts in self.counts().items())
        return f"Divided({str(self.folder)!r}: {some(parts)})"

    def _repr_html_(self) -> str:
        """Return the number of photos of each part and class, as a notebook shows them."""
        from fursure.report.notebook import card_html

        facts = {
            part: some(f"{label} {count:,}" for label, count in counts.items())
            for part, counts in self.counts().items()
        }
        return card_html(str(self.folder), facts, self.notes)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of photos of each part by class; under "left over" those of none."""
        counts, labels = self.manifest.counts(), self.manifest.labels
        names = {part: part or "left over" for part in (*SPLITS, None)}
        parts = {
            name: {label: counts[label, part] for label in labels} for part, name in names.items()
        }
        return {name: numbers for name, numbers in parts.items() if any(numbers.values())}


def split_data(
    data: Data,
    out: str | PathLike[str],
    wanted: Mapping[Split, Amount] | None = None,
    run: Run = Run(),
    *,
    form: Form | FormName = "folders",
    seed: int = 0,
    overwrite: bool = False,
) -> Divided:
    """Divide the labelled photos in ``data`` and write the parts into the folder ``out``.

    ``wanted`` are counts (int) or shares (float); without any, a split that ``data`` has is kept,
    and else `_SHARES` are taken. Shares of all photos are drawn by lot, as `train` and `compare`
    draw them: equal shares and an equal ``seed`` give the same parts. Counts are exact. Near-
    duplicates stay together, and the same photos are divided alike in every form. Nothing of
    ``data`` is changed. An interrupted run continues.

    Raises:
        FursureError: the photos or the folder cannot be used as asked.
        OSError: something cannot be written.
    """
    began = time.monotonic()
    form, dataset, place = _form(form), dataset_of(data), place_of(out)
    folder = split_folder_of(place)
    bucket = None if isinstance(place, Path) else place
    _check_place(form, bucket, folder, dataset.place, overwrite=overwrite)
    with dataset.open() as source:
        listing = dataset.listed(source)
        wanted = _settled(listing, wanted, dataset.name)
        knobs, write = _writer(form, source, len(listing.photos), run, bucket)
        knobs = {"wanted": wanted, "seed": seed, **knobs}
        if not overwrite:
            check_same_command(folder, knobs, place)
        shares = _as_training_draws(wanted, seed)
        manifest = divided(source, listing, shares or Shares(seed=seed), run)
        if not manifest.usable:
            files, first = counted(len(manifest.photos), "file"), manifest.photos[0].reason
            raise NoPhotos(dataset.name, f"{files}, none usable: {first}")
        check_classes(manifest.usable, manifest.labels)
        if wanted and shares is None:
            manifest = replace(manifest, photos=filled(manifest.photos, wanted, seed=seed))
        note = Note.of(manifest, knobs, source.prefix)
        claim_split_folder(folder, note, manifest, overwrite=overwrite, place=place)
        written = write(manifest, folder)
        finish(folder)
    if bucket is not None and written.new:
        send_notes(folder, bucket)
    notes = [
        *about_photos(manifest, "split.jsonl"),
        *_notes(manifest, wanted, by_lot=shares is not None),
        *written.notes,
    ]
    return Divided(
        folder=place,
        manifest=manifest,
        notes=tuple(notes),
        seconds=time.monotonic() - began,
        new=written.new,
    )


def _check_place(
    form: Form, bucket: RemotePath | None, folder: Path, data: AnyPlace, *, overwrite: bool
) -> None:
    """Refuse early, before photos are read, what could not be written late.

    Raises:
        FursureError: the folder or the bucket cannot be used, or not for that form.
    """
    if isinstance(form, Sharded):
        packer(form.kind)
    if bucket is None:
        check_split_folder(folder, data)
        return
    if not isinstance(form, Sharded):
        raise BadData(
            f"{bucket} lies in a bucket, which takes shards: --as webdataset or --as parquet."
        )
    if overwrite:
        raise BadData(f"{bucket}: nothing in a bucket is replaced; choose another place.")
    check_split_bucket(bucket, folder, data)


def _settled(
    listing: Manifest, wanted: Mapping[Split, Amount] | None, data: str
) -> dict[Split, Amount]:
    """Return what is wanted of each part, nothing where the data brings its own split.

    Raises:
        BadData: it does and something is wanted, or more is than there could be.
    """
    photos = Counter(photo.split for photo in listing.photos if photo.split)
    if photos and wanted:
        parts = ", ".join(f"{photos[part]:,} {part}" for part in SPLITS if part in photos)
        raise BadData(
            f"{data} is already split ({parts}); leave --train, --val and --test out to "
            "keep that split, or give one of its folders."
        )
    if photos:
        return {}
    settled = dict(wanted or _SHARES)
    quotas(sizes_of(listing.photos), settled)  # as if all were usable: refuse early
    return settled


def _as_training_draws(wanted: Mapping[Split, Amount], seed: int) -> Shares | None:
    """Return the shares of lots, where shares of all photos are wanted and some are to train.

    What leaves photos over, and whatever counts photos, is filled in exact numbers instead.
    """
    shares = {part: amount for part, amount in wanted.items() if isinstance(amount, float)}
    if len(shares) < len(wanted) or not shares.get("train") or not isclose(sum(shares.values()), 1):
        return None
    return Shares(validation=shares.get("val", 0.0), test=shares.get("test", 0.0), seed=seed)


def _notes(manifest: Manifest, wanted: Mapping[Split, Amount], *, by_lot: bool) -> Iterator[str]:
    """Yield what is worth telling of the division; nothing was ``wanted`` of a given one."""
    chosen = [photo for photo in manifest.usable if photo.split]
    if left := len(manifest.usable) - len(chosen):
        yield f"{counted(left, 'photo is', 'photos are')} left over"
    yield from warn_of_copies(chosen)
    if by_lot:
        yield (
            "drawn by lot, as train draws: shares are met nearly, and photos added later move none "
            "of these; counts, as in --test 60, are met exactly"
        )
        if few([replace(photo, split=None) for photo in chosen], LINEAR_PROBE):
            yield "with so few photos train cross-validates instead: it sets none aside"
    elif wanted:
        yield from _shortfalls(manifest, wanted)
    counts = manifest.counts()
    for part in (part for part in SPLITS if wanted.get(part)):
        if lacking := [label for label in sizes_of(manifest.photos) if not counts[label, part]]:
            yield f"{part} has no photo of {some(map(repr, lacking), most=SHOWN)}"


def _shortfalls(manifest: Manifest, wanted: Mapping[Split, Amount]) -> Iterator[str]:
    """Yield where the classes or the near-duplicates did not permit what was wanted."""
    sizes, counts = sizes_of(manifest.photos), manifest.counts()
    table = quotas(sizes, wanted)
    even = sum(amount for amount in wanted.values() if isinstance(amount, int)) // len(sizes)
    if few := [label for label in sizes if sizes[label] < even]:
        yield (
            f"the classes are not even: of {some(map(repr, few), most=SHOWN)} there are fewer "
            f"photos than the {even:,} of an even share, and the other classes make up for it"
        )
    for part in (part for part in SPLITS if wanted.get(part)):
        asked = sum(table[label, part] for label in sizes)
        got = sum(counts[label, part] for label in sizes)
        if got < asked:
            yield (
                f"{part} has {counted(got, 'photo')} instead of {asked:,}: near-duplicates stay in "
                "one split, and there are too few others"
            )


def _form(form: Form | str) -> Form:
    """Return a form, by its name too.

    Raises:
        BadData: it is none.
    """
    if isinstance(form, Form):
        return form
    if form not in FORMS:
        raise BadData(
            f"no form of a split is called {form!r}; there are {' and '.join(map(repr, FORMS))}, "
            "and Folders(…), Arrays(…) and Sharded(…) of fursure.commands.split."
        )
    return FORMS[form]


def _writer(
    form: Form, source: Source, photos: int, run: Run, bucket: RemotePath | None
) -> tuple[dict[str, Any], "_Write"]:
    """Return what tells this form's files from others, and the function that writes them."""
    match form:
        case Folders(link):
            return {"as": "folders", "link": link}, partial(_write_folders, link, source, run)
        case Arrays(backbone=name, image_size=size, maps=maps):
            backbone = load_backbone(name, image_size=size)
            encoder = Encoder.open(source, backbone, run, maps=maps, photos=photos)
            knobs = {"as": "npy", "backbone": backbone.name, "rows": encoder.identity}
            return knobs, partial(_write_arrays, encoder)
        case Sharded(kind=kind, megabytes=megabytes):
            asked = {"as": kind, "megabytes": megabytes}
            return asked, partial(_write_shards, form, source, run, bucket)


@dataclass(frozen=True, slots=True)
class _Written:
    new: bool  # something was not there yet
    notes: Sequence[str] = ()


_Write = Callable[[Manifest, Path], _Written]


def _write_folders(
    link: Link, source: Source, run: Run, manifest: Manifest, folder: Path
) -> _Written:
    """Put each photo into its class folder; every part gets all of them, as tools expect."""
    folders = class_folders(manifest.labels)
    for part in {photo.split for photo in manifest.usable if photo.split}:
        for name in folders.values():
            (folder / part / name).mkdir(parents=True, exist_ok=True)
    targets = destinations(manifest, source.prefix)
    finished = (folder / LIST).exists()
    place = Placer(source, link)
    with run.progress("writing photos", len(targets)) as advance:
        for photo in (photo for photo in manifest.photos if photo.path in targets):
            target = folder / targets[photo.path]
            if not (finished and target.exists()):  # it may have been edited since: leave it
                place(photo, target)
            advance(1)
    notes = [
        f"class {label!r} is in the folder {name!r}"
        for label, name in folders.items()
        if name != label
    ]
    renamed = sum(not path.endswith(name.rpartition("/")[2]) for path, name in targets.items())
    if renamed:
        named = "another name there"
        renamed_photos = counted(
            renamed, f"photo has {named}: its own", f"photos have {named}: theirs"
        )
        notes.append(
            f"{renamed_photos} is not safe on every system, or not the only one in its class"
        )
    if place.copied and link != "copy":
        why = f"no {link} links there: {place.obstacle}" if place.obstacle else "from an archive"
        notes.append(f"{counted(place.copied, 'photo was', 'photos were')} copied ({why})")
    return _Written(bool(place.linked + place.copied), notes)


def _write_shards(
    form: Sharded,
    source: Source,
    run: Run,
    bucket: RemotePath | None,
    manifest: Manifest,
    folder: Path,
) -> _Written:
    """Fill shards, unless an earlier run filled all of them."""
    if (folder / LIST).exists():
        return _Written(False)
    place = ShardPlace(folder=folder, bucket=bucket)
    write_shards(form.kind, form.megabytes << 20, source, run, manifest, place)
    return _Written(True)


def _write_arrays(encoder: Encoder, manifest: Manifest, folder: Path) -> _Written:
    """Write the rows of each part, their labels and their paths, class by class."""
    labels = manifest.labels
    number = {label: row for row, label in enumerate(labels)}
    with replacing(folder / "labels.txt") as file:
        file.write("".join(f"{label}\n" for label in labels).encode())
    new = False
    for part in SPLITS:
        photos = sorted(
            (photo for photo in manifest.usable if photo.split == part),
            key=lambda photo: (photo.label, photo.path),
        )
        rows_file, labels_file, paths_file = (folder / name for name in array_names(part))
        if not photos or rows_file.exists():
            continue
        new = True
        with replacing(labels_file) as file:
            np.save(file, np.array([number[str(photo.label)] for photo in photos], np.int64))
        with replacing(paths_file) as file:
            file.write("".join(f"{printable(photo.path)}\n" for photo in photos).encode())
        rows = encoder.rows(photos, title=f"encoding {part}")
        write_rows(rows_file, len(photos), encoder.shape, rows)  # last: it stands for all
    return _Written(new)
