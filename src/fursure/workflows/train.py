"""Photos → model: list, read once, group and split, fit, prove, write."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image

from fursure.bundle import Bundle
from fursure.data.layout import list_photos
from fursure.data.listing import Source
from fursure.data.manifest import Manifest, Split
from fursure.data.sources import open_source
from fursure.data.split import leaks
from fursure.errors import BadBundle, BadData, FursureError, NoPhotos, OutputExists
from fursure.files import replacing
from fursure.images.decode import LIMITS, decode
from fursure.recipe import Engine, Recipe
from fursure.recipes import LINEAR_PROBE
from fursure.training.assemble import PROOF, assemble
from fursure.training.backbones import Backbone, at_hand, load_backbone
from fursure.training.collect import Collected, collect
from fursure.training.fit import check_classes, fit
from fursure.workflows.progress import Progress, silent

SHOWN = 5  # unusable photos named one by one; the manifest lists all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished training: the bundle, where it lies, and what is worth telling."""

    bundle: Bundle
    path: Path
    notes: tuple[str, ...]  # what was skipped, left out or found, in sentences
    seconds: float  # wall time
    new: bool  # False: an earlier run had made it from the same recipe and photos


def train(
    data: str | PathLike[str],
    output: str | PathLike[str],
    recipe: Recipe = LINEAR_PROBE,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    features_output: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Trained:
    """Train a classifier on the labelled photos in ``data`` and write it to ``output``.

    Beside the bundle lie its manifest (every photo with its split) and its figures as JSON. What
    an interrupted run had computed is not computed again, and nothing of ``data`` is changed.

    Raises:
        FursureError: the photos, the backbone or the output cannot be used; the message says
            what was found, what is needed and what to try next.
    """
    began = time.monotonic()
    path = Path(output)
    earlier = _earlier(path, overwrite)
    with open_source(data) as source:
        listing = list_photos(source, label_regex=label_regex)
        backbone = load_backbone(
            recipe.backbone,
            precision=recipe.precision,
            image_size=recipe.image_size,
            resize=recipe.resize,
            features=features_output,
        )
        with progress("reading photos", len(listing.photos)) as advance:
            collected = collect(
                source,
                listing,
                backbone,
                recipe,
                engine=engine,
                threads=threads,
                previous=_previous(path, earlier, recipe),
                advance=advance,
            )
        _check(collected, data)
        notes = tuple(_notes(collected, recipe, backbone))
        if earlier and _same(earlier, recipe, collected, backbone):
            return Trained(
                bundle=earlier,
                path=path,
                notes=notes,
                seconds=time.monotonic() - began,
                new=False,
            )
        if earlier and not overwrite:
            raise OutputExists(path, "made from another recipe or other photos")
        labels = collected.manifest.labels
        found = fit(collected.usable, collected.features_ND, labels, recipe)
        rows = _proof_rows(collected)
        photos = list(_photos(source, collected, rows, backbone))
    bundle = assemble(path.stem, collected, backbone, found, recipe, photos, rows)
    _write(bundle, collected.manifest, found.curve, path)
    return Trained(
        bundle=bundle, path=path, notes=notes, seconds=time.monotonic() - began, new=True
    )


def _write(
    bundle: Bundle, manifest: Manifest, curve: Sequence[tuple[float, float]], path: Path
) -> None:
    manifest.save(_beside(path, "manifest.jsonl"))
    with replacing(_beside(path, "metrics.json")) as file:
        file.write(json.dumps(_metrics(bundle, curve), indent=1).encode())
    bundle.write(path)  # last: a bundle that is there is complete


def _earlier(path: Path, overwrite: bool) -> Bundle | None:
    """Return the bundle already at ``path``; refuse early what could not be written late."""
    folder = path.parent
    if not folder.is_dir():
        raise BadData(f"the folder {folder} for the model does not exist; make it first.")
    if not os.access(folder, os.W_OK):
        raise BadData(f"the folder {folder} for the model cannot be written; choose another -o.")
    if not path.exists():
        return None
    if path.is_dir():
        raise OutputExists(path, "a folder")
    try:
        return Bundle.read(path)
    except BadBundle:
        if overwrite:
            return None
        raise OutputExists(path, "no model of this version of fursure") from None


def _same(earlier: Bundle, recipe: Recipe, collected: Collected, backbone: Backbone) -> bool:
    """Return whether ``earlier`` is what this run would make."""
    made = (earlier.meta.recipe, earlier.meta.data["digest"], earlier.meta.data["backbone"])
    asked = replace(recipe, backbone=backbone.name).to_json()
    return bool(made == (asked, collected.manifest.digest, backbone.digest))


def _previous(path: Path, earlier: Bundle | None, recipe: Recipe) -> dict[str, Split] | None:
    """Return the splits an earlier training of the same division saved beside the model."""
    if earlier is None:
        return None
    knobs = ("seed", "validation", "test", "cross_validate_below")
    if any(earlier.meta.recipe.get(knob) != recipe.to_json()[knob] for knob in knobs):
        return None
    with suppress(FursureError, OSError):  # gone or damaged: the tickets give most of them again
        manifest = Manifest.load(_beside(path, "manifest.jsonl"))
        return {one.sha256: one.split for one in manifest.usable if one.split is not None}
    return None


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.stem}.{kind}")


def _check(collected: Collected, data: str | PathLike[str]) -> None:
    manifest = collected.manifest
    if not collected.usable:
        reasons = [photo.reason for photo in manifest.photos if photo.reason]
        found = f"{len(reasons)} files, none usable: {reasons[0]}" if reasons else "no photos"
        raise NoPhotos(os.fspath(data), found)
    check_classes(collected.usable, manifest.labels)


def _notes(collected: Collected, recipe: Recipe, backbone: Backbone) -> Iterator[str]:
    manifest, usable = collected.manifest, collected.usable
    if manifest.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(manifest.skipped.items()))
        yield f"skipped what is no photo: {kinds}"
    bad = [photo for photo in manifest.photos if photo.reason]
    for photo in bad[:SHOWN]:
        yield f"left out {photo.path}: {photo.reason}"
    if len(bad) > SHOWN:
        yield f"left out {len(bad) - SHOWN} more; the manifest beside the model names them"
    copies = len(usable) - len({photo.group for photo in usable})
    if copies:
        yield f"{copies} near-duplicates stay in the split of the photo they resemble"
    crossing = leaks(usable)
    if crossing:
        yield (
            f"{len(crossing)} groups of near-duplicates lie in more than one of the given splits, "
            "so the figures flatter the model"
        )
    if recipe.backbone == "tiny":
        stronger = [name for name, _ in at_hand() if name not in {"tiny", backbone.name}]
        if stronger:
            yield f"stronger backbones at hand: {', '.join(stronger)} (--backbone)"


def _proof_rows(collected: Collected) -> list[int]:
    """Return the rows of the photos that prove the bundle: test photos first, by digest."""
    order = sorted(
        range(len(collected.usable)),
        key=lambda row: (collected.usable[row].split != "test", collected.usable[row].sha256),
    )
    return order[:PROOF]


def _photos(
    source: Source, collected: Collected, rows: Sequence[int], backbone: Backbone
) -> Iterator[Image.Image]:
    min_side = backbone.preprocess.min_side
    for row in rows:
        path = collected.usable[row].path
        yield decode(source.read(path, LIMITS.bytes), name=path, min_side=min_side).image


def _metrics(bundle: Bundle, curve: Sequence[tuple[float, float]]) -> dict[str, Any]:
    meta = bundle.meta
    return {
        "model": meta.name,
        "figures": meta.figures,
        "curve": [{"knob": knob, "validation_log_loss": loss} for knob, loss in curve],
        "temperature": meta.temperature,
        "risks": meta.risks.to_json(),
        "data": meta.data,
        "recipe": meta.recipe,
        "versions": meta.versions,
    }
