"""Photos that an encoder was trained on → photos that take no part in what is measured.

A network answers photos that trained it better than any others, so figures, calibration and
certificates on them would flatter the model.
"""

from collections.abc import Container, Sequence
from dataclasses import replace

from fursure.bundle.bundle import short_digest
from fursure.dataset.manifest import Manifest, Photo
from fursure.errors import BadData

SEEN = "the encoder was trained on it or a near-duplicate, so nothing can be measured on it"


def seen_among(photos: Sequence[Photo], seen: Container[int]) -> list[bool]:
    """Return whether the encoder was trained on each photo, or on a near-duplicate among them."""
    groups = {photo.group for photo in photos if photo.group and short_digest(photo.sha256) in seen}
    return [photo.group in groups for photo in photos]


def without_seen(photos: Sequence[Photo], seen: Container[int]) -> tuple[Photo, ...]:
    """Return ``photos`` in order; those of test and validation that were ``seen`` are left out.

    Validation keeps what it has where a class would lose all of it: nothing could be chosen then.

    Raises:
        BadData: there were test photos, and of a class no other is left.
    """
    left = _left(photos, seen, {"test", "val"})
    if lost := _lost(photos, left, "test"):
        raise _nothing_left(f"test photo of {lost!r}")
    return _left(photos, seen, {"test"}) if _lost(photos, left, "val") else left


def _left(photos: Sequence[Photo], seen: Container[int], splits: set[str]) -> tuple[Photo, ...]:
    return tuple(
        replace(photo, reason=SEEN)
        if known and photo.reason is None and photo.split in splits
        else photo
        for photo, known in zip(photos, seen_among(photos, seen), strict=True)
    )


def _lost(before: Sequence[Photo], after: Sequence[Photo], split: str) -> str | None:
    """Return the first class that has no usable photo of ``split`` any more, or None."""
    had, has = (
        {photo.label for photo in photos if photo.split == split and photo.reason is None}
        for photos in (before, after)
    )
    return min((str(label) for label in had - has), default=None)


def unmeasured(manifest: Manifest, seen: Container[int]) -> int:
    """Return how many photos take no part in any figure because the encoder has seen them.

    They were left out, or, where figures come from cross-validation, only train.
    """
    left_out = sum(photo.reason == SEEN for photo in manifest.photos)
    crossed = not any(photo.split in {"val", "test"} for photo in manifest.usable)
    return left_out + (sum(seen_among(manifest.usable, seen)) if crossed else 0)


def check_measurable(photos: Sequence[Photo], seen: Container[int]) -> None:
    """Refuse photos to cross-validate on that the encoder has seen all of, in one class.

    Raises:
        BadData: it says of which.
    """
    pairs = zip(photos, seen_among(photos, seen), strict=True)
    fresh = {photo.label for photo, known in pairs if not known}
    for label in sorted({str(photo.label) for photo in photos}):
        if label not in fresh:
            raise _nothing_left(f"photo of {label!r}")


def _nothing_left(what: str) -> BadData:
    return BadData(
        f"the encoder was trained on every {what}, so how good a model on it is cannot be "
        "measured; bring photos it has not seen, or name another --backbone."
    )
