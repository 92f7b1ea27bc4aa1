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
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData
from fursure.features.leakage import without_seen
from fursure.features.reader import READING, Reader
from fursure.recipe import Recipe
from fursure.rows.columns import Coded
from fursure.rows.laying import lay_out
from fursure.rows.photo import Photo, Split
from fursure.rows.photo_table import PhotoTable
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
    usable: Sequence[Photo]  # labelled, with a group and a split; many as a `PhotoTable`
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
    caches = reader.caches  # an engine that fails on the way leaves another, but fills these
    with stage("photos", len(listing.photos)):
        found = reader.read(listing.photos, title=title)
    better = corrected(found.photos, corrections, listing.labels)
    usable_N = better.photos.usable_mask
    usable, usable_M = better.photos.usable, usable_N[found.decoded_N]
    features_ND = _only(found.features_MD, usable_M)
    with stage("group"):
        if division is None:
            views_NV = found.views_MV if usable_M.all() else found.views_MV[usable_M]
            photos = _divided(grouped_table(usable, views_NV, features_ND), recipe, previous)
        else:
            photos = _as_divided(usable, division)
    if photos and recipe.photos is not None:
        # after the split, so every limit is measured on the same photos
        photos = limited(photos, recipe.photos, seed=recipe.seed, least=SMALLEST_CLASS)
    photos = without_seen(photos, backbone.seen)
    return Collected(
        manifest=replace(listing, photos=better.photos.decided(usable_N, photos)),
        usable=photos.usable,
        features_ND=_only(features_ND, photos.usable_mask),
        engine=reader.engine,
        caches=caches,
        notes=better.notes,
    )


def _only(features_ND: FeatureTable, chosen_N: NDArray[np.bool_]) -> FeatureTable:
    """Return the rows chosen."""
    return features_ND if chosen_N.all() else features_ND.at(chosen_N)


def encoded(source: Source, collected: Collected, backbone: Backbone, run: Run) -> Collected:
    """Return the same photos, groups and splits with the features of another encoder.

    Raises:
        BadData: a photo is no longer what it was.
    """
    photos = collected.usable
    reader = Reader.open(source, backbone, run, photos=len(photos))
    caches = reader.caches
    return replace(
        collected,
        features_ND=lay_out(reader.features(photos, title="reading photos again"), len(photos)),
        engine=reader.engine,
        caches=caches,
    )


def _divided(
    photos: PhotoTable, recipe: Recipe, previous: Mapping[str, Split] | None
) -> PhotoTable:
    """Return grouped photos with splits; what is left out has its reason."""
    if few(photos.usable, recipe):
        # Every photo is worth more in training; figures come from cross-validation. A test
        # split the user made stays one.
        train = Coded[Split | None].filled("train", len(photos))
        return replace(photos, splits=train.but(photos.splits.are("test"), "test"))
    return assign(
        photos,
        seed=recipe.seed,
        val=recipe.validation,
        test=recipe.test,
        previous=previous,
    )


def _as_divided(usable: PhotoTable, division: Manifest) -> PhotoTable:
    """Return the photos as ``division`` has them, if they are the same to the byte."""
    table = PhotoTable.of(division.photos)
    digest = dict(zip(usable.paths, usable.digests, strict=True))
    row = {path: number for number, path in enumerate(table.paths) if path in digest}
    missing = [path for path in division.usable.paths if path not in digest]
    other = [path for path in digest if path not in row or table.digests[row[path]] != digest[path]]
    if missing or other:
        path = (missing or other)[0]
        raise BadData(
            f"{path} is not what it was when the photos were divided; run the command again."
        )
    return table.at(np.array([row[path] for path in digest], np.intp))


def grouped(
    usable: Sequence[Scanned], features_ND: NDArray[np.floating] | FeatureTable | None = None
) -> PhotoTable:
    """Return scanned photos as `grouped_table` does; every one of them has a fingerprint."""
    prints = [row.fingerprint for row in usable if row.fingerprint is not None]
    return grouped_table(PhotoTable.of(row.photo for row in usable), views_of(prints), features_ND)


def grouped_table(
    photos: PhotoTable,
    views_NV: NDArray[np.uint64],
    features_ND: NDArray[np.floating] | FeatureTable | None = None,
) -> PhotoTable:
    """Return the photos with their groups; a contradiction is left out with its reason.

    Without features the hashes of their views alone decide.
    """
    if not photos:
        return photos
    groups = group(
        photos.digests, views_NV[:, 0], views_NV[:, 1], features_ND, crops_NV=views_NV[:, 2:]
    )
    return _without_contradictions(replace(photos, groups=groups))


def _without_contradictions(photos: PhotoTable) -> PhotoTable:
    """Rule out every copy of a photo that lies under two labels: one of them is wrong."""
    digest_N, kinds = photos.digests.code_N, len(photos.labels.words)
    pairs = np.unique(digest_N.astype(np.int64) * kinds + photos.labels.code_N)
    wrong_N = (np.bincount(pairs // kinds) > 1)[digest_N]
    if not wrong_N.any():
        return photos
    wrong, labels = photos.at(wrong_N), defaultdict[str, set[str]](set)
    for digest, label in zip(wrong.digests, wrong.labels, strict=True):
        labels[digest].add(label or "")
    reasons = Coded[str | None].of(
        f"the same photo lies under {' and '.join(sorted(labels[digest]))}"
        for digest in wrong.digests
    )
    return replace(photos, reasons=photos.reasons.put(wrong_N, reasons))
