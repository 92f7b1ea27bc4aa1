"""A few photos of each class → which classes are masks or label maps among classes of photos."""

from collections.abc import Iterator, Sequence

import numpy as np

from fursure.dataset.listing import Source
from fursure.errors import BadImage, some
from fursure.features.remarks import SHOWN
from fursure.photos.decode import LIMITS, decode
from fursure.photos.flat import is_flat
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable

_LOOKED_AT = 8  # photos of a class that all have to be flat; the first that is not ends the look
_CLASSES = 200  # at most; a photo of each is decoded once more


def about_masks(source: Source, photos: Sequence[Photo]) -> Iterator[str]:
    """Yield a word where some classes, and not all, hold nothing but masks.

    Where all do, the drawings are what is to be told apart.
    """
    few: dict[str, list[str]] = {}
    table = PhotoTable.of(photos)
    for label in table.labels.present()[:_CLASSES]:
        rows = np.flatnonzero(table.labels.are(label))[:_LOOKED_AT]
        few[label or ""] = list(table.paths.at(rows))
    looked_at = sorted(few)
    flat = [label for label in looked_at if all(_is_flat(source, path) for path in few[label])]
    if not flat or len(flat) == len(looked_at):
        return
    names = some(map(repr, flat), most=SHOWN)
    yield (
        f"a few colours cover each picture of {names}, as in masks or label maps; "
        "photos they are not: is that a class?"
    )


def _is_flat(source: Source, path: str) -> bool:
    try:
        return is_flat(decode(source.read(path, LIMITS.bytes), name=path).image)
    except BadImage:  # gone since it was read
        return False
