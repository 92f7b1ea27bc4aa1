"""Photos of a data set, and what read them → what is worth telling, in sentences."""

from collections.abc import Iterator, Sequence

import numpy as np

from fursure.dataset.corrections import DROPPED
from fursure.dataset.manifest import Manifest
from fursure.errors import counted
from fursure.features.leakage import SEEN
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.splitting.split import leaks, spare_among

SHOWN = 5  # of a kind named one by one; the manifest lists all of them


def about_photos(manifest: Manifest, place: str) -> Iterator[str]:
    """Yield what was skipped and what was left out; ``place`` is where the manifest lies."""
    yield from manifest.notes
    if manifest.skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(manifest.skipped.items()))
        yield f"skipped what is no photo: {kinds}"
    reasons = PhotoTable.of(manifest.photos).reasons
    if dropped := int(reasons.are(DROPPED).sum()):
        yield f"{counted(dropped, 'photo was', 'photos were')} {DROPPED}"
    bad = _unusable(manifest)
    if seen := int(reasons.are(SEEN).sum()):
        yield f"left out {counted(seen, 'photo')} that the encoder was trained on, named in {place}"
    for photo in bad[:SHOWN]:
        yield f"left out {photo.path}: {photo.reason}"
    if len(bad) > SHOWN:
        yield f"left out {len(bad) - SHOWN} more, named in {place}"


def count_unusable(manifest: Manifest) -> str:
    """Return how many photos could not be used, and why the first, in a line; "" where all could.

    It is said even where notes are not wanted: a third of the photos may be missing.
    """
    if not (bad := _unusable(manifest)):
        return ""
    total, first = counted(len(manifest.photos), "photo"), bad[0]
    return f"{len(bad):,} of {total} left out; the first is {first.path}: {first.reason}"


def _unusable(manifest: Manifest) -> PhotoTable:
    """Return the photos left out for a fault of theirs, and by nobody's wish."""
    photos = PhotoTable.of(manifest.photos)
    wished = photos.reasons.where({None, DROPPED, SEEN}.__contains__) | spare_among(photos)
    return photos.at(~wished)


def about_backbone(name: str) -> Iterator[str]:
    """Yield the backbones at hand that were measured to be stronger than the one used."""
    from fursure.backbones.kinds import at_hand  # `predict` has words to say, but not these
    from fursure.backbones.measured import stronger

    better = stronger(name, [backbone.name for backbone in at_hand()])
    if better:
        yield f"measured to be stronger, and at hand: --backbone {' or '.join(better)}"


def warn_of_copies(photos: Sequence[Photo]) -> Iterator[str]:
    """Yield how many photos that are used resemble others, and where that is a leak."""
    copies = len(photos) - len(np.unique(PhotoTable.of(photos).groups.code_N))
    if copies:
        near = counted(copies, "near-duplicate stays", "near-duplicates stay")
        yield f"{near} in the split of the photo resembled"
    crossing = leaks(photos)
    if crossing:
        yield (
            f"{counted(len(crossing), 'group')} of near-duplicates in more than one of the given "
            "splits: the figures flatter the model"
        )
