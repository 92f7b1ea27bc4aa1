"""What is known of a photo once it was scanned, and who keeps it.

Dimension key: N photos, V views of a photo, D features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from fursure.photos.statistics import Facts
from fursure.rows.photo import Photo

_Value = TypeVar("_Value")
Vector = NDArray[np.float32]  # (D,)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a photo looks like: its size and the hashes of its views, in 120 bytes."""

    width: int  # pixels, upright
    height: int  # pixels, upright
    views: bytes  # little-endian 64-bit hashes: the photo, its mirror image, its crops


def views_of(prints: Sequence[Fingerprint]) -> NDArray[np.uint64]:
    """Return the hashes (N, V) of every view: the photo, its mirror image, its crops."""
    return hashes_of(b"".join(fingerprint.views for fingerprint in prints), len(prints))


def hashes_of(views: bytes | bytearray, photos: int) -> NDArray[np.uint64]:
    """Return the hashes (N, V) of the views of so many photos, one after the other."""
    count = len(views) // max(1, 8 * photos)
    return np.frombuffer(views, "<u8").reshape(photos, count).astype(np.uint64, copy=False)


class Store(Protocol[_Value]):
    """What was computed before, by digest: `fursure.features.cache`, or `Memory` in tests."""

    def many(self, digests: Iterable[str]) -> dict[str, _Value]:
        """Return the values held, of those asked for."""
        ...

    def update(self, values: Mapping[str, _Value], /) -> None:
        """Keep more values, all of them or none."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One photo after its scan; one that cannot be used has a reason and nothing else."""

    photo: Photo
    fingerprint: Fingerprint | None = None
    features_D: Vector | None = None  # of all encoders, side by side; None too where there are none
    facts: Facts | None = None  # None too where nobody asked


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPhotos:
    """What is known of a chunk's photos: the photos, and apart from them what digests stand for."""

    rows: list[tuple[Photo, str]]  # each with its digest, "" where it could not be read
    bad: Mapping[str, str]  # why a photo cannot be decoded
    prints: dict[str, Fingerprint]
    features: list[dict[str, Vector]]  # one a encoder
    facts: dict[str, Facts] | None  # None: not asked for

    @property
    def needed(self) -> set[str]:
        """The digests that something has to be known of."""
        return {digest for _, digest in self.rows if digest and digest not in self.bad}

    @property
    def whole(self) -> bool:
        """Whether nothing is lacking."""
        parts = [self.prints.keys(), *(part.keys() for part in self.features)]
        facts = [] if self.facts is None else [self.facts.keys()]
        return all(self.needed <= names for names in (*parts, *facts))

    def scanned(self) -> list[Scanned]:
        """Return the photos, one by one, with what is known of each."""
        return [
            _scanned(photo, digest, self.bad, self.prints, self.features, self.facts or {})
            for photo, digest in self.rows
        ]


@final
class Nothing(Store[_Value]):
    """What a worker elsewhere holds: nothing; it sends what it finds instead."""

    def many(self, digests: Iterable[str]) -> dict[str, _Value]:  # noqa: ARG002 - a Store
        """Return nothing."""
        return {}

    def update(self, values: Mapping[str, _Value], /) -> None:
        """Keep nothing."""


def _scanned(
    photo: Photo,
    digest: str,
    bad: Mapping[str, str],
    prints: Mapping[str, Fingerprint],
    features: Sequence[Mapping[str, Vector]],
    facts: Mapping[str, Facts],
) -> Scanned:
    if photo.reason is not None:
        return Scanned(photo)
    if digest in bad:
        return Scanned(replace(photo, sha256=digest, reason=bad[digest]))
    fingerprint = prints[digest]
    sized = replace(photo, sha256=digest, width=fingerprint.width, height=fingerprint.height)
    vectors = [part[digest] for part in features]
    joined_D = np.concatenate(vectors) if vectors else None
    return Scanned(sized, fingerprint, joined_D, facts.get(digest))
