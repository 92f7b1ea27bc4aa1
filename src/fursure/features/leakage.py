"""Photos that an encoder was trained on → photos that take no part in what is measured.

A network answers photos that trained it better than any others, so figures, calibration and
certificates on them would flatter the model.

Dimension key: N photos.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import short_digest
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData
from fursure.rows.photo import Photo, Split
from fursure.rows.photo_table import PhotoTable

SEEN = "the encoder was trained on it or a near-duplicate, so nothing can be measured on it"


def seen_among(photos: Sequence[Photo], seen: Collection[int]) -> NDArray[np.bool_]:
    """Return whether the encoder was trained on each photo (N,), or on a near-duplicate of it."""
    table = PhotoTable.of(photos)
    if not seen:
        return np.zeros(len(table), bool)
    own_N = table.digests.where(lambda digest: bool(digest) and short_digest(digest) in seen)
    own_N &= ~table.groups.are("")
    return np.isin(table.groups.code_N, table.groups.code_N[own_N])


def without_seen(photos: Sequence[Photo], seen: Collection[int]) -> PhotoTable:
    """Return ``photos`` in order; those of test and validation that were ``seen`` are left out.

    Validation keeps what it has where a class would lose all of it: nothing could be chosen then.

    Raises:
        BadData: there were test photos, and of a class no other is left.
    """
    table = PhotoTable.of(photos)
    seen_N = seen_among(table, seen) & table.usable_mask
    left = _left(table, seen_N, {"test", "val"})
    if lost := _lost(table, left, "test"):
        raise _nothing_left(f"test photo of {lost!r}")
    return _left(table, seen_N, {"test"}) if _lost(table, left, "val") else left


def _left(table: PhotoTable, seen_N: NDArray[np.bool_], splits: set[str]) -> PhotoTable:
    out_N = seen_N & table.splits.where(splits.__contains__)
    return table.ruled_out(out_N, SEEN) if out_N.any() else table


def _lost(before: PhotoTable, after: PhotoTable, split: Split) -> str | None:
    """Return the first class that has no usable photo of ``split`` any more, or None."""
    had, has = (
        set(table.labels.at(table.splits.are(split) & table.usable_mask).present())
        for table in (before, after)
    )
    return min((str(label) for label in had - has), default=None)


def unmeasured(manifest: Manifest, seen: Collection[int]) -> int:
    """Return how many photos take no part in any figure because the encoder has seen them.

    They were left out, or, where figures come from cross-validation, only train.
    """
    left_out = int(PhotoTable.of(manifest.photos).reasons.are(SEEN).sum())
    crossed = not manifest.usable.splits.where({"val", "test"}.__contains__).any()
    return left_out + (int(seen_among(manifest.usable, seen).sum()) if crossed else 0)


def check_measurable(photos: Sequence[Photo], seen: Collection[int]) -> None:
    """Refuse photos to cross-validate on that the encoder has seen all of, in one class.

    Raises:
        BadData: it says of which.
    """
    labels = PhotoTable.of(photos).labels
    fresh = set(labels.at(~seen_among(photos, seen)).present())
    for label in sorted(map(str, labels.present())):
        if label not in fresh:
            raise _nothing_left(f"photo of {label!r}")


def _nothing_left(what: str) -> BadData:
    return BadData(
        f"the encoder was trained on every {what}, so how good a model on it is cannot be "
        "measured; bring photos it has not seen, or name another --backbone."
    )
