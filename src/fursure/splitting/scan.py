"""Listed photos → fingerprinted photos, and on the same decode whatever else wants the pixels.

A photo is read once and decoded at most once: its digest says what is known already, and the
decoded pixels go to the fingerprint and, when asked for, to every encoder that lacks it. Only a
large photo that two encoders need at different scales is decoded for each, so that what an
encoder's cache holds does not depend on what ran beside it.

Dimension key: N photos, V views of a photo, D features.
"""

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.dataset.listing import Source
from fursure.errors import BadImage
from fursure.formats.jpeg import reduction
from fursure.parallel import begun, in_order, tapered
from fursure.photos.decode import LIMITS, Decoded, decode
from fursure.photos.preprocess import COMMON_SIDE
from fursure.photos.statistics import Facts, measure
from fursure.rows.photo import Photo
from fursure.splitting.fingerprint import crops, phash, thumbnail
from fursure.splitting.scanned import Fingerprint, KnownPhotos, Scanned, Store, Vector
from fursure.splitting.vouched import Vouched
from fursure.stages import stage

_Value = TypeVar("_Value")
_NOTHING: Mapping[str, str] = {}
_AHEAD = 2  # chunks announced before the one that is read
CHUNK = 32  # photos a worker takes at a time: few enough to stay smooth, many enough to batch
_LEAST = 8  # of them at the end, where workers would wait for the last one: a batch of a network


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoder's side of a scan: what turns photos into features, and what it has already."""

    encode: Callable[[Sequence[Image.Image]], NDArray[np.float32]]  # photos -> (N, D)
    cache: Store[Vector]
    min_side: int = COMMON_SIDE  # pixels that the decoding of its photos keeps


def scan(
    source: Source,
    photos: Sequence[Photo],
    known: Store[Fingerprint],
    *,
    encodings: Sequence[Encoding] = (),
    facts: Store[Facts] | None = None,
    digests: Store[str] | None = None,
    min_side: int = COMMON_SIDE,
    threads: int = 2,
) -> Iterator[list[Scanned]]:
    """Yield ``photos`` in order, chunk by chunk, with digest, size, fingerprint and features.

    What is found is stored in ``known``, in the encoders' caches and in ``facts`` (without which
    none are measured) before its chunk is yielded, so an interrupted scan continues where it
    stopped. ``digests`` are those of bytes that a store vouches for: such photos are not read.
    """
    kept: list[Store[Any]] = [
        known,
        *(encoding.cache for encoding in encodings),
        *([facts] if facts else []),
    ]
    vouched = None if digests is None else Vouched(source, digests, kept)
    worker = ScanWorker(source, known, encodings, facts, min_side, vouched=vouched)
    chunks = (
        (chunk, _NOTHING if vouched is None else vouched.unread(chunk))
        for chunk in tapered(photos, CHUNK, least=_LEAST, threads=threads + 1)
    )

    def begin(pair: tuple[list[Photo], Mapping[str, str]]) -> None:
        chunk, unread = pair
        for photo in chunk:
            if photo.reason is None and photo.path not in unread:
                source.expect(photo.path)

    # One thread more than cores: while one waits for the disk or for Python, the others compute.
    yield from in_order(
        lambda pair: worker.known_of(*pair).scanned(),
        begun(chunks, begin, ahead=_AHEAD),
        threads=threads + 1,
    )


@final
class _Pictures:
    """The photos of a chunk, decoded when they are asked for, each once a scale."""

    def __init__(self, data: Mapping[str, bytes], names: Mapping[str, str]) -> None:
        self._data, self._names = data, names
        self._made: dict[str, dict[int, Decoded]] = {digest: {} for digest in data}  # by scale
        self.bad: dict[str, str] = {}  # why a photo cannot be decoded, by digest

    def lacking(self, held: Container[str], min_side: int) -> dict[str, Decoded]:
        """Return the photos that are not ``held``, by digest, without the bad ones."""
        pictures = {key: self._at(key, min_side) for key in self._data if key not in held}
        return {key: picture for key, picture in pictures.items() if picture is not None}

    def _at(self, digest: str, min_side: int) -> Decoded | None:
        made = self._made[digest]
        for picture in made.values():
            scale = reduction((picture.width, picture.height), min_side)
            if scale in made:
                return made[scale]
        if digest in self.bad:
            return None
        try:
            with stage("decode", 1):
                picture = decode(self._data[digest], name=self._names[digest], min_side=min_side)
        except BadImage as error:
            self.bad[digest] = error.reason
            return None
        made[reduction((picture.width, picture.height), min_side)] = picture
        return picture


@dataclass(frozen=True, slots=True)
class ScanWorker:
    """Everything that happens to one chunk, on one thread."""

    source: Source
    known: Store[Fingerprint]
    encodings: Sequence[Encoding]
    facts: Store[Facts] | None
    min_side: int  # pixels that the decoding keeps for fingerprints and facts
    elsewhere: Container[str] = frozenset()  # digests that whoever asks knows all of
    vouched: Vouched | None = None

    def __call__(self, photos: list[Photo]) -> list[Scanned]:
        """Return the photos with all that is to be known of them, now kept."""
        return self.known_of(photos).scanned()

    def known_of(self, photos: list[Photo], unread: Mapping[str, str] = _NOTHING) -> KnownPhotos:
        """Return what is known of the photos; of those known elsewhere, their digests alone.

        ``unread``: the digests, by path, of photos all of which is kept here.
        """
        with stage("read", len(photos) - len(unread)):
            rows, data = self._read(photos, unread)
        data = {digest: data[digest] for digest in data if digest not in self.elsewhere}
        digests = {*data, *unread.values()}
        pictures = _Pictures(data, {digest: photo.path for photo, digest in rows})
        with stage("cache", len(digests)):
            prints = self.known.many(digests)
        prints |= self._fingerprint(pictures.lacking(prints, self.min_side))
        features = [_features(encoding, digests, pictures) for encoding in self.encodings]
        facts = self._facts(digests, data, pictures)
        if self.vouched is not None:
            self.vouched.keep(row for row in rows if row[0].path not in unread)
        return KnownPhotos(
            rows=rows, bad=pictures.bad, prints=prints, features=features, facts=facts
        )

    def completed(self, found: KnownPhotos) -> KnownPhotos | None:
        """Keep what was found elsewhere, and add what is kept here; None: something is lacking."""
        needed = found.needed
        facts = None if self.facts is None else _completed(self.facts, found.facts or {}, needed)
        whole = replace(
            found,
            prints=_completed(self.known, found.prints, needed),
            features=[
                _completed(encoding.cache, part, needed)
                for encoding, part in zip(self.encodings, found.features, strict=True)
            ],
            facts=facts,
        )
        return whole if whole.whole else None

    def _read(
        self, photos: list[Photo], unread: Mapping[str, str]
    ) -> tuple[list[tuple[Photo, str]], dict[str, bytes]]:
        """Return the photos, each with its digest or a reason, and the bytes of each digest."""
        rows: list[tuple[Photo, str]] = []
        data: dict[str, bytes] = {}
        for photo in photos:
            if photo.reason is not None:  # the listing ruled it out: a missing file, say
                rows.append((photo, ""))
                continue
            if photo.path in unread:
                rows.append((photo, unread[photo.path]))
                continue
            try:
                content = self.source.read(photo.path, LIMITS.bytes)
            except BadImage as error:
                rows.append((replace(photo, reason=error.reason), ""))
                continue
            digest = hashlib.sha256(content).hexdigest()
            data[digest] = content
            rows.append((photo, digest))
        return rows, data

    def _fingerprint(self, decoded: Mapping[str, Decoded]) -> dict[str, Fingerprint]:
        if not decoded:
            return {}
        with stage("fingerprint", len(decoded)):
            greys_N3232 = np.stack([thumbnail(picture.image) for picture in decoded.values()])
            views_NV = np.column_stack([*phash(greys_N3232), crops(greys_N3232)]).astype("<u8")
            made = {
                digest: Fingerprint(picture.width, picture.height, views_V.tobytes())
                for (digest, picture), views_V in zip(decoded.items(), views_NV, strict=True)
            }
        with stage("cache"):
            self.known.update(made)
        return made

    def _facts(
        self, digests: set[str], data: Mapping[str, bytes], pictures: _Pictures
    ) -> dict[str, Facts] | None:
        if self.facts is None:
            return None
        held = self.facts.many(digests)
        decoded = pictures.lacking(held, self.min_side)
        made = {digest: measure(picture, len(data[digest])) for digest, picture in decoded.items()}
        if made:
            self.facts.update(made)
        return held | made


def _completed(
    store: Store[_Value], found: Mapping[str, _Value], needed: set[str]
) -> dict[str, _Value]:
    """Keep what was found, and return it with what is held of the rest."""
    with stage("cache"):
        if found:
            store.update(found)
        return dict(found) | store.many(needed - found.keys())


def _features(encoding: Encoding, digests: set[str], pictures: _Pictures) -> dict[str, Vector]:
    """Return one encoder's features of a chunk's photos, encoding those that its cache lacks."""
    with stage("cache"):
        held = encoding.cache.many(digests)
    decoded = pictures.lacking(held, encoding.min_side)
    if not decoded:
        return held
    features_ND = encoding.encode([picture.image for picture in decoded.values()])
    # Rounded as the cache keeps them, so that a resumed run goes on with the same bits.
    rounded_ND = features_ND.astype(np.float16).astype(np.float32)
    made = dict(zip(decoded, rounded_ND, strict=True))
    with stage("cache"):
        encoding.cache.update(made)
    return held | made
