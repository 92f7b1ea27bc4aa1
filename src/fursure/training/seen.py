"""Photos that an encoder was trained on → photos that take no part in what is measured.

A network answers photos that trained it better than any others, so figures, calibration and
certificates on them would flatter the model.
"""

from collections.abc import Container, Sequence
from dataclasses import replace

from fursure.bundle import short_digest
from fursure.data.manifest import Manifest, Photo
from fursure.errors import BadData

SEEN = "the encoder was trained on it, so nothing can be measured on it"


def is_seen(photo: Photo, seen: Container[int]) -> bool:
    """Return whether the encoder was trained on the photo itself; a copy of other bytes is new."""
    return short_digest(photo.sha256) in seen


def unmeasured(manifest: Manifest, seen: Container[int]) -> list[Photo]:
    """Return the photos that take no part in any figure because the encoder has seen them.

    They were left out, or, where figures come from cross-validation, only train.
    """
    crossed = not any(photo.split in {"val", "test"} for photo in manifest.usable)
    return [
        photo
        for photo in manifest.photos
        if photo.reason == SEEN or (crossed and photo.reason is None and is_seen(photo, seen))
    ]


def check_measurable(photos: Sequence[Photo], seen: Container[int]) -> None:
    """Refuse photos to cross-validate on that the encoder has seen all of, in one class.

    Raises:
        BadData: it says of which.
    """
    fresh = {photo.label for photo in photos if not is_seen(photo, seen)}
    for label in sorted({str(photo.label) for photo in photos}):
        if label not in fresh:
            raise _nothing_left(f"photo of {label!r}")


def _nothing_left(what: str) -> BadData:
    return BadData(
        f"the encoder was trained on every {what}, so how good a model on it is cannot be "
        "measured; bring photos it has not seen, or name another --backbone."
    )


def without_seen(photos: Sequence[Photo], seen: Container[int]) -> tuple[Photo, ...]:
    """Return ``photos`` in order; those of test and validation that were ``seen`` are left out.

    Validation keeps what it has where a class would lose all of it: nothing could be chosen then.

    Raises:
        BadData: there were test photos, and of a class no other is left.
    """
    left = tuple(_unless_seen(photo, seen, {"test", "val"}) for photo in photos)
    if lost := _lost(photos, left, "test"):
        raise _nothing_left(f"test photo of {lost!r}")
    if _lost(photos, left, "val"):
        return tuple(_unless_seen(photo, seen, {"test"}) for photo in photos)
    return left


def _unless_seen(photo: Photo, seen: Container[int], splits: set[str]) -> Photo:
    measured = photo.reason is None and photo.split in splits
    return replace(photo, reason=SEEN) if measured and is_seen(photo, seen) else photo


def _lost(before: Sequence[Photo], after: Sequence[Photo], split: str) -> str | None:
    """Return the first class that has no usable photo of ``split`` any more, or None."""
    had, has = (
        {photo.label for photo in photos if photo.split == split and photo.reason is None}
        for photos in (before, after)
    )
    return min((str(label) for label in had - has), default=None)
