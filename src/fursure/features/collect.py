"""A data set → photos with groups and splits, and their features: all that training reads.

Dimension key: N photos, D features.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.backbone import Backbone
from fursure.dataset.corrections import Correction, corrected
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest, Photo, Split
from fursure.errors import BadData
from fursure.features.leakage import without_seen
from fursure.features.reader import READING, Reader
from fursure.recipe import Recipe
from fursure.rows.laying import lay_out
from fursure.rows.table import FeatureTable
from fursure.run import Run
from fursure.splitting.groups import group
from fursure.splitting.scanned import Scanned, views_of
from fursure.splitting.split import SMALLEST_CLASS, assign, few, limited
from fursure.stages import stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Every photo of a data set, and the features of those that can be used."""

    manifest: Manifest
    usable: tuple[Photo, ...]  # labelled, with a group and a split
    features_ND: FeatureTable  # one row a usable photo
    engine: str  # what computed them
    caches: tuple[str, ...]  # the files that keep them, one for each part of the encoder
    notes: tuple[str, ...] = ()  # verdicts that could not be applied, in sentences


def collect(
    source: Source,
    listing: Manifest,
    backbone: Backbone,
    recipe: Recipe,
    run: Run,
    *,
    title: str = READING,
    previous: Mapping[str, Split] | None = None,
    division: Manifest | None = None,
    corrections: Sequence[Correction] = (),
) -> Collected:
    """Read every photo once: digest, fingerprint, features; then group and split.

    What an earlier or interrupted run computed is taken from the caches. ``previous`` are splits
    by digest that stay; a ``division`` is taken whole, whatever the recipe asks for.
    What the encoder has seen is left out of test and validation. ``corrections`` change labels,
    or leave photos out, before anything else is decided.

    Raises:
        BadData: the photos are not those that were divided, a new label is no class, or the
            encoder was trained on all test photos of a class.
    """
    reader = Reader.open(source, backbone, run, photos=len(listing.photos))
    with stage("photos", len(listing.photos)):
        rows, features_ND = reader.laid_out(listing.photos, title=title)
    better = corrected([row.photo for row in rows], corrections, listing.labels)
    rows = [
        row if row.photo is photo else replace(row, photo=photo)
        for row, photo in zip(rows, better.photos, strict=True)
    ]
    usable = [row for row in rows if row.photo.reason is None]
    ruled_out = [row.photo.reason is not None for row in rows if row.fingerprint is not None]
    features_ND = _without(features_ND, ruled_out)
    with stage("group"):
        if division is None:
            photos = _divided(usable, features_ND, recipe, previous)
        else:
            photos = _as_divided(usable, division)
    if photos and recipe.photos is not None:
        # after the split, so every limit is measured on the same photos
        photos = limited(photos, recipe.photos, seed=recipe.seed, least=SMALLEST_CLASS)
    photos = without_seen(photos, backbone.seen)
    divided = iter(photos)
    manifest = replace(
        listing,
        photos=tuple(row.photo if row.photo.reason else next(divided) for row in rows),
    )
    ruled_out = [photo.reason is not None for photo in photos]
    return Collected(
        manifest=manifest,
        usable=tuple(photo for photo in photos if photo.reason is None),
        features_ND=_without(features_ND, ruled_out),
        engine=reader.engine,
        caches=reader.caches,
        notes=better.notes,
    )


def _without(features_ND: FeatureTable, ruled_out: Sequence[bool]) -> FeatureTable:
    """Return the other rows."""
    return features_ND.at(~np.array(ruled_out, bool)) if any(ruled_out) else features_ND


def encoded(source: Source, collected: Collected, backbone: Backbone, run: Run) -> Collected:
    """Return the same photos, groups and splits with the features of another encoder.

    Raises:
        BadData: a photo is no longer what it was.
    """
    photos = collected.usable
    reader = Reader.open(source, backbone, run, photos=len(photos))
    return replace(
        collected,
        features_ND=lay_out(reader.features(photos, title="reading photos again"), len(photos)),
        engine=reader.engine,
        caches=reader.caches,
    )


def _divided(
    usable: Sequence[Scanned],
    features_ND: FeatureTable,
    recipe: Recipe,
    previous: Mapping[str, Split] | None,
) -> tuple[Photo, ...]:
    """Return the photos with groups and splits; what is left out has its reason."""
    photos = grouped(usable, features_ND)
    if not photos:
        return ()
    if few([photo for photo in photos if photo.reason is None], recipe):
        # Every photo is worth more in training; figures come from cross-validation. A test
        # split the user made stays one.
        return tuple(
            replace(photo, split="test" if photo.split == "test" else "train") for photo in photos
        )
    return assign(
        photos,
        seed=recipe.seed,
        val=recipe.validation,
        test=recipe.test,
        previous=previous,
    )


def _as_divided(usable: Sequence[Scanned], division: Manifest) -> tuple[Photo, ...]:
    """Return the photos as ``division`` has them, if they are the same to the byte."""
    photos = {row.photo.path: row.photo for row in usable}
    known = {photo.path: photo for photo in division.photos if photo.path in photos}
    missing = [photo.path for photo in division.usable if photo.path not in photos]
    other = [
        path for path in photos if photos[path].sha256 != getattr(known.get(path), "sha256", "")
    ]
    if missing or other:
        path = (missing or other)[0]
        raise BadData(
            f"{path} is not what it was when the photos were divided; run the command again."
        )
    return tuple(known[path] for path in photos)


def grouped(
    usable: Sequence[Scanned], features_ND: NDArray[np.floating] | FeatureTable | None = None
) -> list[Photo]:
    """Return the photos with their groups; a contradiction is left out with its reason.

    Every one of ``usable`` has a fingerprint. Without features the fingerprints alone decide.
    """
    if not usable:
        return []
    views_NV = views_of([row.fingerprint for row in usable if row.fingerprint is not None])
    groups = group(
        [row.photo.sha256 for row in usable],
        views_NV[:, 0],
        views_NV[:, 1],
        features_ND,
        crops_NV=views_NV[:, 2:],
    )
    return _without_contradictions(
        [replace(row.photo, group=name) for row, name in zip(usable, groups, strict=True)]
    )


def _without_contradictions(photos: Sequence[Photo]) -> list[Photo]:
    """Rule out every copy of a photo that lies under two labels: one of them is wrong."""
    labels: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        labels[photo.sha256].add(photo.label or "")
    return [
        photo
        if len(under := labels[photo.sha256]) == 1
        else replace(photo, reason=f"the same photo lies under {' and '.join(sorted(under))}")
        for photo in photos
    ]
