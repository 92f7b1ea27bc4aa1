"""Listed photos → fingerprinted photos, and on the same decode whatever else wants the pixels.

A photo is read once and decoded at most once: its digest says what is known already, and the
decoded pixels go to the fingerprint and, when asked for, to the encoder.

Dimension key: N photos, V views of a photo, D features.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.data.fingerprint import crops, phash, thumbnail
from fursure.data.listing import Source
from fursure.data.manifest import Photo
from fursure.data.parallel import chunked, in_order
from fursure.errors import BadImage
from fursure.images.decode import LIMITS, Decoded, decode
from fursure.images.facts import Facts, measure

Value = TypeVar("Value")
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


class Store(Protocol[Value]):
    """What was computed before, by digest: `fursure.training.cache`, or `Memory` in tests."""

    def many(self, digests: Iterable[str]) -> dict[str, Value]:
        """Return the values held, of those asked for."""
        ...

    def update(self, values: Mapping[str, Value], /) -> None:
        """Keep more values, all of them or none."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoder's side of a scan: what turns photos into features, and what it has already."""

    encode: Callable[[Sequence[Image.Image]], NDArray[np.float32]]  # photos -> (N, D)
    cache: Store[Vector]


@dataclass(frozen=True, slots=True)
class Scanned:
    """One photo after its scan; one that cannot be used has a reason and nothing else."""

    photo: Photo
    fingerprint: Fingerprint | None = None
    features_D: Vector | None = None  # None too where nothing encodes
    facts: Facts | None = None  # None too where nobody asked


def scan(
    source: Source,
    photos: Sequence[Photo],
    known: Store[Fingerprint],
    *,
    encoding: Encoding | None = None,
    facts: Store[Facts] | None = None,
    min_side: int = 256,
    threads: int = 2,
) -> Iterator[list[Scanned]]:
    """Yield ``photos`` in order, chunk by chunk, with digest, size, fingerprint and features.

    What is found is stored in ``known``, in the encoder's cache and in ``facts`` (without which
    none are measured) before its chunk is yielded, so an interrupted scan continues where it
    stopped.
    """
    worker = _Worker(source, known, encoding, facts, min_side)
    # One thread more than cores: while one waits for the disk or for Python, the others compute.
    yield from in_order(worker, chunked(photos, CHUNK), threads=threads + 1)


@dataclass(frozen=True, slots=True)
class _Worker:
    """Everything that happens to one chunk, on one thread."""

    source: Source
    known: Store[Fingerprint]
    encoding: Encoding | None
    facts: Store[Facts] | None
    min_side: int  # pixels that a photo's reduced decoding keeps

    def __call__(self, photos: list[Photo]) -> list[Scanned]:
        rows, data = self._read(photos)
        prints = self.known.many(data)
        features = self.encoding.cache.many(data) if self.encoding else {}
        facts = self.facts.many(data) if self.facts is not None else {}
        lacking = {
            digest: one
            for digest, one in data.items()
            if digest not in prints
            or (self.encoding and digest not in features)
            or (self.facts is not None and digest not in facts)
        }
        decoded, bad = self._decode(lacking, {row.sha256: row.path for row in rows})
        prints |= self._fingerprint({key: one for key, one in decoded.items() if key not in prints})
        features |= self._encode({key: one for key, one in decoded.items() if key not in features})
        facts |= self._measure({key: one for key, one in decoded.items() if key not in facts}, data)
        return [
            Scanned(replace(row, reason=bad[row.sha256]))
            if row.sha256 in bad
            else _scanned(row, prints, features, facts)
            for row in rows
        ]

    def _read(self, photos: list[Photo]) -> tuple[list[Photo], dict[str, bytes]]:
        """Return the photos with their digests, and the bytes of each digest."""
        rows, data = [], {}
        for photo in photos:
            if photo.reason is not None:  # the listing ruled it out: a missing file, say
                rows.append(photo)
                continue
            try:
                content = self.source.read(photo.path, LIMITS.bytes)
            except BadImage as error:
                rows.append(replace(photo, reason=error.reason))
                continue
            digest = hashlib.sha256(content).hexdigest()
            data[digest] = content
            rows.append(replace(photo, sha256=digest))
        return rows, data

    def _decode(
        self, data: Mapping[str, bytes], names: Mapping[str, str]
    ) -> tuple[dict[str, Decoded], dict[str, str]]:
        """Return the decoded photos, and of the others the reason, by digest."""
        decoded: dict[str, Decoded] = {}
        bad: dict[str, str] = {}
        for digest, content in data.items():
            try:
                decoded[digest] = decode(content, name=names[digest], min_side=self.min_side)
            except BadImage as error:
                bad[digest] = error.reason
        return decoded, bad

    def _fingerprint(self, decoded: Mapping[str, Decoded]) -> dict[str, Fingerprint]:
        if not decoded:
            return {}
        greys_N3232 = np.stack([thumbnail(one.image) for one in decoded.values()])
        views_NV = np.column_stack([*phash(greys_N3232), crops(greys_N3232)]).astype("<u8")
        found = {
            digest: Fingerprint(one.width, one.height, views_V.tobytes())
            for (digest, one), views_V in zip(decoded.items(), views_NV, strict=True)
        }
        self.known.update(found)
        return found

    def _encode(self, decoded: Mapping[str, Decoded]) -> dict[str, Vector]:
        if self.encoding is None or not decoded:
            return {}
        features_ND = self.encoding.encode([one.image for one in decoded.values()])
        # Rounded as the cache keeps them, so that a resumed run goes on with the same bits.
        rounded_ND = features_ND.astype(np.float16).astype(np.float32)
        found = dict(zip(decoded, rounded_ND, strict=True))
        self.encoding.cache.update(found)
        return found

    def _measure(
        self, decoded: Mapping[str, Decoded], data: Mapping[str, bytes]
    ) -> dict[str, Facts]:
        if self.facts is None or not decoded:
            return {}
        found = {digest: measure(one, len(data[digest])) for digest, one in decoded.items()}
        self.facts.update(found)
        return found


def _scanned(
    row: Photo,
    prints: Mapping[str, Fingerprint],
    features: Mapping[str, Vector],
    facts: Mapping[str, Facts],
) -> Scanned:
    if (found := prints.get(row.sha256)) is None:
        return Scanned(row)
    sized = replace(row, width=found.width, height=found.height)
    return Scanned(sized, found, features.get(row.sha256), facts.get(row.sha256))
