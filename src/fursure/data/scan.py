"""Listed photos → fingerprinted photos, and on the same decode whatever else wants the pixels.

A photo is read once and decoded at most once: its digest says what is known already, and the
decoded pixels go to the fingerprint and, when asked for, to the encoder.

Dimension key: N photos, V views of a photo, D features.
"""

import hashlib
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.data.fingerprint import crops, phash, thumbnail
from fursure.data.listing import Source
from fursure.data.manifest import Photo
from fursure.data.parallel import chunked, in_order
from fursure.errors import BadImage
from fursure.images.decode import LIMITS, Decoded, decode

Vector = NDArray[np.float32]  # (D,)
CHUNK = 32  # photos a worker takes at a time: few enough to stay smooth, many enough to batch


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a photo looks like: its size and the hashes of its views, in 120 bytes."""

    width: int  # pixels, upright
    height: int  # pixels, upright
    views: bytes  # little-endian 64-bit hashes: the photo, its mirror image, its crops


def views_of(prints: Sequence[Fingerprint]) -> NDArray[np.uint64]:
    """Return the hashes (N, V) of every view: the photo, its mirror image, its crops."""
    joined = b"".join(one.views for one in prints)
    return np.frombuffer(joined, "<u8").reshape(len(prints), -1).astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoder's side of a scan: what turns photos into features, and what it has already."""

    encode: Callable[[Sequence[Image.Image]], NDArray[np.float32]]  # photos -> (N, D)
    cache: MutableMapping[str, Vector]  # by digest; a ``dict`` in tests


def scan(
    source: Source,
    photos: Sequence[Photo],
    known: MutableMapping[str, Fingerprint],
    *,
    encoding: Encoding | None = None,
    min_side: int = 256,
    threads: int = 2,
) -> Iterator[list[tuple[Photo, Fingerprint | None]]]:
    """Yield ``photos`` in order, chunk by chunk, with digest and size filled in.

    What is found is stored in ``known`` and in the encoder's cache before its chunk is yielded,
    so an interrupted scan continues where it stopped. A photo that cannot be read or decoded
    comes back with the reason, and without a fingerprint.
    """
    worker = _Worker(source, known, encoding, min_side)
    # One thread more than cores: while one waits for the disk or for Python, the others compute.
    yield from in_order(worker, chunked(photos, CHUNK), threads=threads + 1)


@dataclass(frozen=True, slots=True)
class _Worker:
    """Everything that happens to one chunk, on one thread."""

    source: Source
    known: MutableMapping[str, Fingerprint]
    encoding: Encoding | None
    min_side: int  # pixels a JPEG's reduced decoding keeps

    def __call__(self, photos: list[Photo]) -> list[tuple[Photo, Fingerprint | None]]:
        rows: list[Photo] = []
        prints: dict[str, Fingerprint] = {}
        decoded: dict[str, Decoded] = {}
        for photo in photos:
            if photo.reason is not None:  # the listing ruled it out: a missing file, say
                rows.append(photo)
                continue
            try:
                row = self._read(photo, prints, decoded)
            except BadImage as error:
                row = replace(photo, reason=error.reason)
            rows.append(row)
        self._fingerprint({key: one for key, one in decoded.items() if key not in prints}, prints)
        self._encode(decoded)
        return [self._with_size(row, prints.get(row.sha256)) for row in rows]

    def _read(
        self, photo: Photo, prints: dict[str, Fingerprint], decoded: dict[str, Decoded]
    ) -> Photo:
        """Digest one photo and decode it, unless all that is wanted of it is known."""
        data = self.source.read(photo.path, LIMITS.bytes)
        digest = hashlib.sha256(data).hexdigest()
        if digest not in prints and (known := self.known.get(digest)) is not None:
            prints[digest] = known
        wanted = self.encoding is not None and digest not in self.encoding.cache
        if digest not in decoded and (wanted or digest not in prints):
            decoded[digest] = decode(data, name=photo.path, min_side=self.min_side)
        return replace(photo, sha256=digest)

    def _fingerprint(self, decoded: dict[str, Decoded], prints: dict[str, Fingerprint]) -> None:
        if not decoded:
            return
        greys_N3232 = np.stack([thumbnail(one.image) for one in decoded.values()])
        views_NV = np.column_stack([*phash(greys_N3232), crops(greys_N3232)]).astype("<u8")
        found = {
            digest: Fingerprint(one.width, one.height, views_V.tobytes())
            for (digest, one), views_V in zip(decoded.items(), views_NV, strict=True)
        }
        self.known.update(found)
        prints.update(found)

    def _encode(self, decoded: dict[str, Decoded]) -> None:
        if self.encoding is None:
            return
        missing = {
            digest: one.image
            for digest, one in decoded.items()
            if digest not in self.encoding.cache
        }
        if missing:
            features_ND = self.encoding.encode(list(missing.values()))
            self.encoding.cache.update(zip(missing, features_ND, strict=True))

    @staticmethod
    def _with_size(row: Photo, print_: Fingerprint | None) -> tuple[Photo, Fingerprint | None]:
        if print_ is None or row.reason is not None:
            return row, None
        return replace(row, width=print_.width, height=print_.height), print_
