"""An encoder at work → photos with fingerprints, facts and features, each computed once.

An encoder of several parts has no cache of its own: each part's features come from that part's
cache, which a training on it alone has filled and will use.

Dimension key: B photos of a chunk, D features.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.backbone import Backbone
from fursure.cluster.places import shared_name
from fursure.cluster.reading import ReadingJob, scan_on_cluster
from fursure.dataset.listing import Source
from fursure.engine.network import Network
from fursure.engine.session import open_session
from fursure.features.cache import (
    DIGESTS,
    FACTS,
    FINGERPRINTS,
    VECTORS,
    CachedValue,
    DiskCache,
)
from fursure.features.read_photos import ReadColumns, ReadPhotos
from fursure.home import folder_for
from fursure.photos.preprocess import Preprocess
from fursure.photos.statistics import Facts
from fursure.rows.laying import lay_out
from fursure.rows.photo import Photo
from fursure.rows.table import FeatureTable
from fursure.run import Run
from fursure.splitting.linking import changed
from fursure.splitting.scan import CHUNK, Encoding, ScanWorker, scan
from fursure.splitting.scanned import Fingerprint, Scanned, Vector

READING = "reading photos"  # the stage that the caches of an earlier run make short
DECODING = 3  # raised when the same bytes would decode to other pixels


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads the photos of one source for one encoder."""

    source: Source
    encoder: Backbone
    networks: tuple[Network, ...]  # one a part, in order
    run: Run

    @classmethod
    def open(cls, source: Source, encoder: Backbone, run: Run, *, photos: int) -> "Reader":
        """Return the reader, ready for about ``photos`` photos.

        Raises:
            EngineFailed: the engine asked for cannot run the encoder here.
        """
        networks = tuple(
            Network(
                open_session(
                    part.onnx,
                    engine=run.engine,
                    photos=photos,
                    threads=run.cores,
                    gpu=run.on is None,
                    say=run.say,
                ),
                part.preprocess,
            )
            for part in _parts(encoder)
        )
        return cls(source, encoder, networks, run)

    @property
    def engine(self) -> str:
        """What computes the features; where the parts run on different engines, all of those."""
        return " and ".join(dict.fromkeys(network.session.engine for network in self.networks))

    @property
    def caches(self) -> tuple[str, ...]:
        """The file names of the caches of the parts' features, in order."""
        pairs = zip(_parts(self.encoder), self.networks, strict=True)
        return tuple(
            features_path(part.digest, part.preprocess, network.session.engine)
            for part, network in pairs
        )

    def scan(
        self, photos: Sequence[Photo], *, title: str = READING, facts: bool = False
    ) -> Iterator[list[Scanned]]:
        """Yield ``photos`` in order, chunk by chunk, with what is known of each, now or earlier.

        It is a stage of work called ``title``. With ``facts`` they are measured too.
        """
        min_side = max(network.preprocess.min_side for network in self.networks)
        with ExitStack() as stack:
            advance = stack.enter_context(self.run.progress(title, len(photos)))

            def opened(cache: DiskCache[CachedValue]) -> DiskCache[CachedValue]:
                return stack.enter_context(closing(cache))

            prints = opened(fingerprints(min_side))
            caches = [opened(features_cache(name)) for name in self.caches]
            measured = opened(facts_cache(min_side)) if facts else None
            encodings = [
                Encoding(network.encode, cache, network.preprocess.min_side)
                for network, cache in zip(self.networks, caches, strict=True)
            ]
            if self.run.on is None:
                chunks = scan(
                    self.source,
                    photos,
                    prints,
                    encodings=encodings,
                    facts=measured,
                    digests=opened(vouched_digests()) if self._vouches(photos) else None,
                    min_side=min_side,
                    threads=self.run.cores,
                )
            else:
                worker = ScanWorker(self.source, prints, encodings, measured, min_side)
                held: list[DiskCache[Any]] = [prints, *caches]
                held += [] if measured is None else [measured]
                job = self._job(len(photos), min_side, held, facts=facts)
                chunks = scan_on_cluster(self.run, job, photos, worker)
            for chunk in chunks:
                yield chunk
                advance(len(chunk))

    def _vouches(self, photos: Sequence[Photo]) -> bool:
        """Return whether whoever keeps the photos says which bytes are those of another time."""
        return any(self.source.mark(photo.path) is not None for photo in photos[:CHUNK])

    def _job(
        self, photos: int, min_side: int, held: Sequence[DiskCache[Any]], *, facts: bool
    ) -> ReadingJob:
        """Return what a cluster is asked for; what every cache holds is not computed again."""
        pairs = zip(_parts(self.encoder), self.networks, strict=True)
        return ReadingJob(
            place=shared_name(self.source),
            networks=tuple((part.onnx, network.preprocess) for part, network in pairs),
            asked=self.run.engine,
            engines=tuple(network.session.engine for network in self.networks),
            photos=photos,
            min_side=min_side,
            facts=facts,
            held_N=reduce(np.intersect1d, [cache.short_digests() for cache in held]),
        )

    def read(self, photos: Sequence[Photo], *, title: str) -> ReadPhotos:
        """Return all that is known of ``photos``, in columns."""
        columns = ReadColumns(photos)
        return columns.read(self._laid_out(photos, columns.note, title=title))

    def laid_out(
        self, photos: Sequence[Photo], *, title: str, facts: bool = False
    ) -> tuple[list[Scanned], FeatureTable]:
        """Return what is known of ``photos``, and apart from it the features of those with any."""
        rows: list[Scanned] = []

        def note(chunk: list[Scanned]) -> None:
            rows.extend(replace(row, features_D=None) for row in chunk)

        table = self._laid_out(photos, note, title=title, facts=facts)
        return rows, table

    def _laid_out(
        self,
        photos: Sequence[Photo],
        note: Callable[[list[Scanned]], None],
        *,
        title: str,
        facts: bool = False,
    ) -> FeatureTable:
        """Return the features of those with any; ``note`` hears of every chunk of photos."""

        def vectors() -> Iterator[NDArray[np.float32]]:
            for chunk in self.scan(photos, title=title, facts=facts):
                note(chunk)
                vectors = [row.features_D for row in chunk if row.features_D is not None]
                if vectors:
                    yield np.stack(vectors)

        return lay_out(vectors(), len(photos))

    def features(self, photos: Sequence[Photo], *, title: str) -> Iterator[NDArray[np.float32]]:
        """Yield the features (B, D) of photos scanned before, in order, chunk by chunk.

        Raises:
            BadData: a photo is no longer what it was.
        """
        done = 0
        for chunk in self.scan(photos, title=title):
            before = photos[done : done + len(chunk)]
            yield np.stack([_unchanged(*pair) for pair in zip(chunk, before, strict=True)])
            done += len(chunk)


def _parts(encoder: Backbone) -> tuple[Backbone, ...]:
    return encoder.parts or (encoder,)


def _unchanged(found: Scanned, before: Photo) -> Vector:
    """Return the features of a photo that is still what it was."""
    if found.features_D is None or found.photo.sha256 != before.sha256:
        raise changed(before)
    return found.features_D


def features_path(digest: str, preprocess: Preprocess, engine: str) -> str:
    """Return the file name of the cache of one encoder's features.

    Another version of the same engine may round the last bit differently; its features are
    still good, so the version is left out.
    """
    kind, _, precision = engine.split(" ")
    text = json.dumps([digest, preprocess.to_json(), kind, precision, DECODING], sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.sqlite"


def features_cache(name: str) -> DiskCache[Vector]:
    """Open the cache of one encoder's features."""
    return DiskCache(folder_for("features") / name, VECTORS)


def cached_features(names: Sequence[str], digests: Sequence[str]) -> dict[str, Vector]:
    """Return the features, side by side, of the photos that all caches hold.

    Nobody vouches for ``names``: what is not the name of such a cache leads nowhere.
    """
    ours = all(re.fullmatch(r"[0-9a-f]{24}\.sqlite", name) for name in names)
    if not ours or not all((folder_for("features") / name).is_file() for name in names):
        return {}
    parts = []
    for name in names:
        with closing(features_cache(name)) as cache:
            parts.append(cache.many(set(digests)))
    shared = set(digests).intersection(*parts)
    return {digest: np.concatenate([part[digest] for part in parts]) for digest in shared}


def fingerprints(min_side: int) -> DiskCache[Fingerprint]:
    """Open the cache of fingerprints of photos decoded to at least ``min_side`` pixels."""
    return DiskCache(folder_for("fingerprints") / f"{DECODING}-{min_side}.sqlite", FINGERPRINTS)


def vouched_digests() -> DiskCache[str]:
    """Open the cache of digests of bytes that a store vouches for, by where they lie."""
    return DiskCache(folder_for("fingerprints") / "vouched.sqlite", DIGESTS)


def facts_cache(min_side: int) -> DiskCache[Facts]:
    """Open the cache of facts of photos decoded to at least ``min_side`` pixels."""
    return DiskCache(folder_for("facts") / f"{DECODING}-{min_side}.sqlite", FACTS)
