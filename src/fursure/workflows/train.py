"""Photos → model: list, read once, group and split, fit, prove, write."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image

from fursure.bundle import Bundle
from fursure.data.corrections import read_corrections
from fursure.data.layout import list_photos
from fursure.data.listing import Source
from fursure.data.manifest import Manifest, Photo, Split
from fursure.data.sources import open_source
from fursure.data.split import spare
from fursure.errors import (
    BadBundle,
    BadData,
    BadRecipe,
    FursureError,
    MissingExtra,
    NoPhotos,
    OutputExists,
    counted,
)
from fursure.files import remove, replacing
from fursure.images.decode import LIMITS, decode
from fursure.recipe import Engine, Recipe
from fursure.recipes import LINEAR_PROBE
from fursure.recipes.plain import from_json
from fursure.training.assemble import PROOF, assemble
from fursure.training.backbones import Backbone
from fursure.training.classes import about_classes, check_classes, refuse_reserved
from fursure.training.collect import Collected, collect
from fursure.training.seen import seen_among
from fursure.training.strangers import told
from fursure.workflows.held import held
from fursure.workflows.learn import Learned, Means, learn, origin
from fursure.workflows.masks import about_masks
from fursure.workflows.notes import about_backbone, about_copies, about_engine, about_photos
from fursure.workflows.progress import Progress, silent
from fursure.workflows.strangers import Listed, encode_strangers, list_strangers

READING = "reading photos"  # the stage that the caches of an earlier run make short


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
    rename: Mapping[str, str] | None = None,
    features_output: str | None = None,
    overwrite: bool = False,
    division: Manifest | None = None,
    corrections: str | PathLike[str] | None = None,
    strangers: str | PathLike[str] | None = None,
    report: bool = False,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _sentence: None,
) -> Trained:
    """Train a classifier on the labelled photos in ``data`` and write it to ``output``.

    Beside the bundle lie its manifest (every photo with its split) and its figures as JSON. What
    an interrupted run had computed is not computed again, and nothing of ``data`` is changed.
    Labels in ``rename`` become others. A ``division`` says which photo is for what; without one
    the recipe's shares do. The file ``corrections`` holds verdicts on photos, as a review writes
    them. Where the network itself trains, ``say`` hears of each pass. Photos of ``strangers``, of
    none of the classes, sharpen what counts as one: half of them teach, the others measure. A
    ``report`` is a page beside the model.

    Raises:
        FursureError: the photos, the backbone or the output cannot be used; the message says
            what was found, what is needed and what to try next.
    """
    path = Path(output)
    _check_folder(path.parent)
    with held(path):
        return _train(
            data,
            path,
            recipe,
            engine=engine,
            threads=threads,
            label_regex=label_regex,
            rename=rename or {},
            features_output=features_output,
            overwrite=overwrite,
            division=division,
            corrections=corrections,
            strangers=strangers,
            report=report,
            progress=progress,
            say=say,
        )


def _train(
    data: str | PathLike[str],
    path: Path,
    recipe: Recipe,
    *,
    engine: Engine,
    threads: int | None,
    label_regex: str | None,
    rename: Mapping[str, str],
    features_output: str | None,
    overwrite: bool,
    division: Manifest | None,
    corrections: str | PathLike[str] | None,
    strangers: str | PathLike[str] | None,
    report: bool,
    progress: Progress,
    say: Callable[[str], None],
) -> Trained:
    began = time.monotonic()
    earlier = _earlier(path, overwrite)
    verdicts = () if corrections is None else read_corrections(corrections)
    with open_source(data) as source:
        listing = list_photos(source, label_regex=label_regex).renamed(rename)
        refuse_reserved(listing.labels)
        backbone = origin(recipe, features_output)
        with progress(READING, len(listing.photos)) as advance:
            collected = collect(
                source,
                listing,
                backbone,
                recipe,
                engine=engine,
                threads=threads,
                previous=_previous(path, earlier, recipe),
                division=division,
                corrections=verdicts,
                advance=advance,
            )
        _check(collected, data)
        notes = (
            *_about_validation(listing, collected),
            *_notes(collected, recipe, backbone, engine),
            *about_masks(source, collected.usable),
        )
        known = {one.sha256 for one in collected.manifest.photos}
        listed = None if strangers is None else list_strangers(strangers, known)
        notes += listed.notes if listed else ()
        if earlier and _same(earlier, recipe, collected, backbone, listed):
            seconds = time.monotonic() - began
            return Trained(bundle=earlier, path=path, notes=notes, seconds=seconds, new=False)
        if earlier and not overwrite:
            raise OutputExists(path, "made from another recipe or other photos")
        means = Means(engine=engine, threads=threads, progress=progress, say=say)
        learned = learn(source, collected, recipe, backbone, means)
        rows = _proof_rows(learned.collected)
        photos = list(_photos(source, learned.collected, rows, learned.encoder))
    others = None
    if listed is not None:
        others, left_out = encode_strangers(
            listed, learned.encoder, means, photos=len(collected.manifest.photos)
        )
        notes += left_out
    bundle = assemble(
        path.stem,
        learned.collected,
        learned.encoder,
        learned.found,
        recipe,
        photos,
        rows,
        origin=backbone,
        strangers=others,
    )
    if others is not None:
        notes += (told(bundle.meta.data["strangers"]),)
    _write(bundle, collected.manifest, learned.curves(), path)
    if report:
        notes += (_report(bundle, learned, data, path),)
    notes += learned.notes
    for leftover in learned.leftovers:
        remove(leftover)
    return Trained(
        bundle=bundle, path=path, notes=notes, seconds=time.monotonic() - began, new=True
    )


def _write(bundle: Bundle, manifest: Manifest, curves: dict[str, Any], path: Path) -> None:
    manifest.save(_beside(path, "manifest.jsonl"))
    metrics = json.dumps(_metrics(bundle) | curves, indent=1).encode()
    with replacing(_beside(path, "metrics.json"), needs=len(metrics)) as file:
        file.write(metrics)
    bundle.write(path)  # last: a bundle that is there is complete
    Bundle.read(path)  # a disk may keep other bytes than it was given


def _report(bundle: Bundle, learned: Learned, data: str | PathLike[str], path: Path) -> str:
    """Write the page of the photos the figures were measured on, and say where it lies."""
    from fursure.workflows.training_report import training_report

    page = _beside(path, "report.html")
    try:
        training_report(page, bundle, learned, data)
    except MissingExtra as error:
        return f"no page: {error}"
    return f"to look at: {page}"


def _check_folder(folder: Path) -> None:
    """Refuse early what could not be written late."""
    if not folder.is_dir():
        raise BadData(f"the folder {folder} for the model does not exist; make it first.")
    if not os.access(folder, os.W_OK):
        raise BadData(f"the folder {folder} for the model cannot be written; choose another -o.")


def _earlier(path: Path, overwrite: bool) -> Bundle | None:
    """Return the bundle already at ``path``, if there is one; what is no bundle is kept."""
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


def _same(
    earlier: Bundle,
    recipe: Recipe,
    collected: Collected,
    backbone: Backbone,
    strangers: Listed | None,
) -> bool:
    """Return whether ``earlier`` is what this run would make."""
    try:
        made = from_json(earlier.meta.recipe)  # knobs that its version did not have: at rest
    except BadRecipe:
        return False
    worth = earlier.meta.data.get("strangers") or {}
    data = (earlier.meta.data["digest"], earlier.meta.data["backbone"], worth.get("digest"))
    asked = replace(recipe, backbone=backbone.name)
    others = strangers.digest if strangers else None
    return bool(made == asked and data == (collected.manifest.digest, backbone.digest, others))


def _previous(path: Path, earlier: Bundle | None, recipe: Recipe) -> dict[str, Split] | None:
    """Return the splits an earlier training of the same division saved beside the model."""
    if earlier is None:
        return None
    knobs = ("seed", "validation", "test", "cross_validate_below")
    if any(earlier.meta.recipe.get(knob) != recipe.to_json()[knob] for knob in knobs):
        return None
    with suppress(FursureError, OSError):  # gone or damaged: the tickets give most of them again
        manifest = Manifest.load(_beside(path, "manifest.jsonl"))
        # Photos beyond the recipe's limit too: another limit may take them tomorrow.
        return {one.sha256: one.split for one in manifest.photos if one.split is not None}
    return None


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.stem}.{kind}")


def _check(collected: Collected, data: str | PathLike[str]) -> None:
    manifest = collected.manifest
    if not collected.usable:
        reasons = [photo.reason for photo in manifest.photos if photo.reason]
        files = counted(len(reasons), "file")
        found = f"{files}, none usable: {reasons[0]}" if reasons else "no photos"
        raise NoPhotos(os.fspath(data), found)
    check_classes(collected.usable, manifest.labels)


def _notes(
    collected: Collected, recipe: Recipe, backbone: Backbone, asked: Engine
) -> Iterator[str]:
    manifest, usable = collected.manifest, collected.usable
    photos = len(manifest.photos)
    yield from about_engine(collected.engine, backbone.onnx, asked=asked, photos=photos)
    yield from collected.notes
    yield from about_photos(manifest, "the manifest beside the model")
    spared = sum(map(spare, manifest.photos))
    if spared:
        unused = f"{spared} {'is' if spared == 1 else 'are'}"
        yield f"the recipe takes at most {recipe.photos} training photos; {unused} unused"
    yield from _about_seen(usable, backbone)
    yield from about_copies(usable)
    yield from about_classes(usable)
    yield from about_backbone(backbone.name)


def _about_seen(usable: Sequence[Photo], backbone: Backbone) -> Iterator[str]:
    """Yield what becomes of photos that the encoder was trained on and that are not left out."""
    known = [
        photo
        for photo, is_known in zip(usable, seen_among(usable, backbone.seen), strict=True)
        if is_known
    ]
    if chosen := sum(photo.split == "val" for photo in known):
        yield (
            f"the encoder was trained on {chosen} of the validation photos, all of a class among "
            "them; the model may be surer than it is right: bring photos it has not seen"
        )
    if trained := len(known) - chosen:
        yield (
            f"{counted(trained, 'photo')} that the encoder was trained on "
            f"{'trains' if trained == 1 else 'train'} only; none is measured on"
        )


def _about_validation(listing: Manifest, collected: Collected) -> Iterator[str]:
    """Yield a word where the user's validation photos became training photos."""
    given = sum(photo.split == "val" for photo in listing.photos)
    if given and not any(photo.split == "val" for photo in collected.usable):
        photos = counted(given, "photo given for validation is", "photos given for validation are")
        yield f"the {photos} trained on as well: with so few the figures come from cross-validation"


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


def _metrics(bundle: Bundle) -> dict[str, Any]:
    meta = bundle.meta
    return {
        "model": meta.name,
        "figures": meta.figures,
        "temperature": meta.temperature,
        "risks": meta.risks.to_json(),
        "data": meta.data,
        "recipe": meta.recipe,
        "versions": meta.versions,
    }
