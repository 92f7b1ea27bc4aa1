"""Photos → model: list, read once, group and split, fit, prove, write."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fursure.backbones.backbone import Backbone
from fursure.bundle.bundle import Bundle
from fursure.dataset.labelled import Data, Dataset, dataset_of
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.engine.runtime import BULK
from fursure.engine.selftest import about_engine
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
from fursure.features.calibration import calibration_on
from fursure.features.collect import Collected, collect
from fursure.features.leakage import seen_among
from fursure.features.masks import about_masks
from fursure.features.remarks import about_backbone, about_photos, count_unusable, warn_of_copies
from fursure.files import remove, replacing
from fursure.heads.assemble import PROOF, PROOF_OF_FEW, assemble
from fursure.heads.classes import check_classes, refuse_reserved, warn_of_classes
from fursure.heads.fit import has_splits
from fursure.heads.own import check_own
from fursure.heads.strangers import Strangers, told
from fursure.metrics.classification import Evaluation
from fursure.photos.decode import LIMITS, decode
from fursure.recipe import Recipe
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.recipes.parse import from_json
from fursure.rows.photo import Photo, Split
from fursure.rows.photo_table import PhotoTable
from fursure.run import Engine, Run
from fursure.splitting.split import spare_among
from fursure.stages import stage
from fursure.system import trim_memory
from fursure.training.learn import Learned, learn, origin
from fursure.training.output_lock import held
from fursure.training.strangers import Listed, encode_strangers, list_strangers


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Trained:
    """A finished training: the bundle, where it lies, and what is worth telling."""

    bundle: Bundle
    path: Path
    notes: tuple[str, ...]  # what was skipped, left out or found, in sentences
    unusable: str  # how many photos could not be used, and why the first; "" where all could
    seconds: float  # wall time
    new: bool  # False: an earlier run had made it from the same recipe and photos

    def __repr__(self) -> str:
        """Return what it is, on one line, and how many photos it was made without."""
        left_out = self.bundle.meta.data.get("left_out", 0)
        without = f", {left_out:,} left out" if left_out else ""
        return f"Trained({str(self.path)!r}, {self.bundle!r}{without}, {self.seconds:.1f} s)"

    @property
    def evaluation(self) -> Evaluation:
        """The figures on photos it had not seen, as `fursure.evaluate` has them."""
        return self.bundle.meta.evaluation

    def _repr_html_(self) -> str:
        """Return the model's card, as a notebook shows it."""
        from fursure.report.notebook import model_html

        beside = {"file": str(self.path), "took": f"{self.seconds:.1f} s"}
        return model_html(
            self.bundle.meta, beside | ({"notes": "; ".join(self.notes)} if self.notes else {})
        )


def train_model(
    data: Data,
    output: str | PathLike[str],
    recipe: Recipe = LINEAR_PROBE,
    run: Run = Run(),
    *,
    head: Any = None,
    division: Manifest | None = None,
    strangers: str | PathLike[str] | None = None,
    overwrite: bool = False,
    report: bool = False,
) -> Trained:
    """Train a classifier on the labelled photos in ``data`` and write it to ``output``.

    Beside the bundle lie its manifest (every photo with its split) and its figures as JSON. What
    an interrupted run had computed is not computed again, and nothing of ``data`` is changed. A
    ``head`` of the user's own (`fursure.heads.own`) takes the place of the recipe's. A
    ``division`` says which photo is for what; without one the recipe's shares do. Where the network
    itself trains, ``run`` hears of each pass. Photos of ``strangers``, of none of the classes,
    sharpen what counts as one: half of them teach, the others measure. A ``report`` is a page
    beside the model.

    Raises:
        FursureError: the photos, the backbone or the output cannot be used; the message says
            what was found, what is needed and what to try next.
    """
    began, path, dataset = time.monotonic(), Path(output), dataset_of(data)
    check_model_path(path)
    if head is not None:
        check_own(head, recipe)
    with held(path), dataset.open() as source:
        earlier = _earlier(path, overwrite)
        material = _material(
            dataset, source, recipe, run, division, _previous(path, earlier, recipe)
        )
        listed = None if strangers is None else list_strangers(strangers, material.known)
        notes = (*material.notes, *(listed.notes if listed else ()))
        if earlier and head is None and _same(earlier, recipe, material, listed):
            seconds = time.monotonic() - began
            return Trained(
                bundle=earlier,
                path=path,
                notes=notes,
                unusable=material.unusable,
                seconds=seconds,
                new=False,
            )
        if earlier and not overwrite:
            raise OutputExists(path, "made from another recipe or other photos")
        with stage("fit"):
            learned = learn(source, material.collected, recipe, material.backbone, run, own=head)
        trim_memory()  # the head's copies of the features, before engines want as much
        with stage("proof"):
            bundle, more = _assembled(
                path.stem, source, material, learned, recipe, listed, run, head
            )
        with stage("write"):
            _write(bundle, material.collected.manifest, learned.curves(), path)
        if report:
            with stage("page"):
                more = (*more, _report(bundle, learned, dataset, source, path))
    for leftover in learned.leftovers:
        remove(leftover)
    return Trained(
        bundle=bundle,
        path=path,
        notes=(*notes, *more, *learned.notes),
        unusable=material.unusable,
        seconds=time.monotonic() - began,
        new=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """Photos that were read, by the encoder that read them."""

    collected: Collected
    backbone: Backbone
    notes: tuple[str, ...]

    @property
    def known(self) -> set[str]:
        """The digests of all photos, which no stranger can be."""
        return set(PhotoTable.of(self.collected.manifest.photos).digests.present())

    @property
    def unusable(self) -> str:
        """How many photos could not be used, in a sentence; "" where all could."""
        return count_unusable(self.collected.manifest)


def _material(
    dataset: Dataset,
    source: Source,
    recipe: Recipe,
    run: Run,
    division: Manifest | None,
    previous: Mapping[str, Split] | None,
) -> _Material:
    """Read the photos and divide them, and say what is worth telling of them."""
    with stage("list"):
        verdicts, listing = dataset.verdicts(), dataset.listed(source)
    refuse_reserved(listing.labels)
    backbone = origin(recipe, calibration_on(source, listing.photos))
    collected = collect(
        source,
        listing,
        backbone,
        recipe,
        run,
        previous=previous,
        division=division,
        corrections=verdicts,
    )
    _check(collected, dataset.name)
    notes = (
        *_about_validation(listing, collected),
        *_notes(collected, recipe, backbone, run.engine),
        *about_masks(source, collected.usable),
    )
    return _Material(collected=collected, backbone=backbone, notes=notes)


def _assembled(
    name: str,
    source: Source,
    material: _Material,
    learned: Learned,
    recipe: Recipe,
    listed: Listed | None,
    run: Run,
    own: Any,
) -> tuple[Bundle, tuple[str, ...]]:
    """Return the bundle, proven on some of the photos, and what is worth telling of strangers."""
    rows = _proof_rows(learned.collected)
    others: Strangers | None = None
    notes: tuple[str, ...] = ()
    if listed is not None:
        count = len(material.collected.manifest.photos)
        others, notes = encode_strangers(listed, learned.encoder, run, photos=count)
    bundle = assemble(
        name,
        learned.collected,
        learned.encoder,
        learned.found,
        recipe,
        list(_photos(source, learned.collected, rows, learned.encoder)),
        rows,
        origin=material.backbone,
        strangers=others,
        own=own,
    )
    if others is not None:
        notes += (told(bundle.meta.data["strangers"]),)
    return bundle, notes


def _write(bundle: Bundle, manifest: Manifest, curves: dict[str, Any], path: Path) -> None:
    manifest.save(beside(path, "manifest.jsonl"))
    metrics = json.dumps(_metrics(bundle) | curves, indent=1).encode()
    with replacing(beside(path, "metrics.json"), needs=len(metrics)) as file:
        file.write(metrics)
    bundle.write(path)  # last: a bundle that is there is complete
    Bundle.read(path)  # a disk may keep other bytes than it was given


def _report(bundle: Bundle, learned: Learned, dataset: Dataset, source: Source, path: Path) -> str:
    """Write the page of the photos the figures were measured on, and say where it lies."""
    from fursure.training.report_page import training_report

    page = beside(path, "report.html")
    try:
        training_report(page, bundle, learned, dataset.path, source)
    except MissingExtra as error:
        return f"no page: {error}"
    return f"to look at: {page}"


def check_model_path(path: Path) -> None:
    """Refuse early what could not be written late.

    Raises:
        BadData: there is no folder to write it to, or that cannot be written.
        OutputExists: it is a folder.
    """
    if path.is_dir():
        raise OutputExists(path, "a folder", replaced=False)
    folder = path.parent
    if not folder.is_dir():
        raise BadData(f"the folder {folder} for the model does not exist; make it first.")
    if not os.access(folder, os.W_OK):
        raise BadData(f"the folder {folder} for the model cannot be written; choose another -o.")


def _earlier(path: Path, overwrite: bool) -> Bundle | None:
    """Return the bundle already at ``path``, if there is one; what is no bundle is kept."""
    if not path.exists():
        return None
    try:
        return Bundle.read(path)
    except BadBundle:
        if overwrite:
            return None
        raise OutputExists(path, "no model of this version of fursure") from None


def _same(
    earlier: Bundle,
    recipe: Recipe,
    material: _Material,
    strangers: Listed | None,
) -> bool:
    """Return whether ``earlier`` is what this run would make."""
    try:
        made = from_json(earlier.meta.recipe)  # knobs that its version did not have: at rest
    except BadRecipe:
        return False
    worth = earlier.meta.data.get("strangers") or {}
    data = (earlier.meta.data["digest"], earlier.meta.data["backbone"], worth.get("digest"))
    backbone, digest = material.backbone, material.collected.manifest.digest
    asked = replace(recipe, backbone=backbone.name)
    others = strangers.digest if strangers else None
    return bool(made == asked and data == (digest, backbone.digest, others))


def _previous(path: Path, earlier: Bundle | None, recipe: Recipe) -> dict[str, Split] | None:
    """Return the splits an earlier training of the same division saved beside the model."""
    if earlier is None:
        return None
    knobs = ("seed", "validation", "test", "cross_validate_below")
    if any(earlier.meta.recipe.get(knob) != recipe.to_json()[knob] for knob in knobs):
        return None
    with suppress(FursureError, OSError):  # gone or damaged: the tickets give most of them again
        manifest = Manifest.load(beside(path, "manifest.jsonl"))
        photos = PhotoTable.of(manifest.photos)
        # Photos beyond the recipe's limit too: another limit may take them tomorrow.
        pairs = zip(photos.digests, photos.splits, strict=True)
        return {digest: split for digest, split in pairs if split is not None}
    return None


def beside(path: Path, kind: str) -> Path:
    """Return the path of what lies beside a model, called as it is."""
    return path.with_name(f"{path.stem}.{kind}")


def _check(collected: Collected, data: str) -> None:
    manifest = collected.manifest
    if not collected.usable:
        reasons = [reason for reason in PhotoTable.of(manifest.photos).reasons if reason]
        files = counted(len(reasons), "file")
        what = f"{files}, none usable: {reasons[0]}" if reasons else "no photos"
        raise NoPhotos(data, what)
    check_classes(collected.usable, manifest.labels)


def _notes(
    collected: Collected, recipe: Recipe, backbone: Backbone, asked: Engine
) -> Iterator[str]:
    manifest, usable = collected.manifest, collected.usable
    photos = len(manifest.photos)
    yield from about_engine(collected.engine, backbone.onnx, asked=asked, photos=photos)
    yield from collected.notes
    yield from about_photos(manifest, "the manifest beside the model")
    if spared := int(spare_among(manifest.photos).sum()):
        unused = f"{spared} {'is' if spared == 1 else 'are'}"
        yield f"the recipe takes at most {recipe.photos} training photos; {unused} unused"
    yield from _about_seen(usable, backbone)
    yield from warn_of_copies(usable)
    yield from warn_of_classes(usable)
    yield from about_backbone(backbone.name)


def _about_seen(usable: Sequence[Photo], backbone: Backbone) -> Iterator[str]:
    """Yield what becomes of photos that the encoder was trained on and that are not left out."""
    known = PhotoTable.of(usable).splits.at(seen_among(usable, backbone.seen))
    if chosen := int(known.are("val").sum()):
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
    wanted = int(PhotoTable.of(listing.photos).splits.are("val").sum())
    if wanted and not has_splits(collected.usable):
        photos = counted(wanted, "photo given for validation is", "photos given for validation are")
        yield f"the {photos} trained on as well: with so few the figures come from cross-validation"


def _proof_rows(collected: Collected) -> list[int]:
    """Return the rows of the photos that prove the bundle: test photos first, by digest."""
    photos = PhotoTable.of(collected.usable)
    order_N = np.lexsort([photos.digests.code_N, ~photos.splits.are("test")])
    return list(map(int, order_N[: PROOF if len(photos) >= BULK else PROOF_OF_FEW]))


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
