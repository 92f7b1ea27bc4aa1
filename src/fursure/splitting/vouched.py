"""A store's word that bytes are those of an earlier run → digests of photos nobody has to read.

A bucket gives every version of an object an ETag. Under where it lies, that ETag and its size, the
digest that reading it once gave is kept; and a photo all of which is known is not fetched again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

from fursure.dataset.listing import Source
from fursure.rows.photo import Photo
from fursure.splitting.scanned import Store


@final
@dataclass(frozen=True, slots=True)
class Vouched:
    """The photos of a source whose bytes its store vouches for."""

    source: Source
    digests: Store[str]  # by what stands for the bytes
    known: Sequence[Store[Any]]  # all that is to be known of a digest

    def unread(self, photos: Sequence[Photo]) -> dict[str, str]:
        """Return the digests of photos that need no reading, by path."""
        usable = (photo.path for photo in photos if photo.reason is None)
        marks = {path: mark for path in usable if (mark := self.source.mark(path)) is not None}
        by_mark = self.digests.many(marks.values()) if marks else {}
        whole = set(by_mark.values())
        for store in self.known:
            whole &= store.many(whole).keys() if whole else whole
        digests = {path: by_mark.get(mark, "") for path, mark in marks.items()}
        return {path: digest for path, digest in digests.items() if digest in whole}

    def keep(self, rows: Iterable[tuple[Photo, str]]) -> None:
        """Remember the digests of photos that were read, ``""`` of those that could not be."""
        marks = ((self.source.mark(photo.path), digest) for photo, digest in rows if digest)
        if made := {mark: digest for mark, digest in marks if mark is not None}:
            self.digests.update(made)
