"""Listed photos → fingerprints, facts and features, computed on a cluster, kept on this machine.

A node reads a photo and takes its digest. What this machine's caches hold under that digest is
not computed again, so an interrupted run continues, and each result is kept once for a photo and
an encoder, however often a worker was lost over it.

Dimension key: N digests.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import is_among
from fursure.cluster.crew import crew_of
from fursure.cluster.ordered import exactly_once
from fursure.cluster.places import Places
from fursure.cluster.workbench import check_engine
from fursure.engine.network import Network
from fursure.engine.session import open_session
from fursure.errors import FursureError
from fursure.parallel import chunked
from fursure.photos.preprocess import Preprocess
from fursure.photos.statistics import Facts
from fursure.rows.photo import Photo
from fursure.run import Engine, Run
from fursure.splitting.scan import CHUNK, Encoding, ScanWorker
from fursure.splitting.scanned import KnownPhotos, Nothing, Scanned, Store


@dataclass(frozen=True, slots=True)
class _Held:
    """The photos that this machine knows already."""

    digests_N: NDArray[np.uint64]  # the first 8 bytes of each, sorted

    def __contains__(self, sha256: object) -> bool:
        return is_among(self.digests_N, str(sha256))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingJob:
    """A source and what is to be known of its photos; networks travel as bytes."""

    place: str  # of the source
    networks: tuple[tuple[bytes, Preprocess], ...]  # ONNX; one a part of the encoder
    asked: Engine
    engines: tuple[str, ...]  # what they run on here
    photos: int  # about how many there are
    min_side: int  # pixels that the decoding keeps for fingerprints and facts
    facts: bool = False
    held_N: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def open(self) -> Callable[[list[Photo]], KnownPhotos]:
        """Load the networks for one core and open the source; return what reads a chunk.

        Raises:
            FursureError: the source or the engine cannot be used here.
        """
        source = Places().source(self.place)
        if isinstance(source, FursureError):
            raise source
        encodings = [
            Encoding(network.encode, Nothing(), network.preprocess.min_side)
            for network in self._opened()
        ]
        facts: Store[Facts] | None = Nothing() if self.facts else None
        worker = ScanWorker(source, Nothing(), encodings, facts, self.min_side, _Held(self.held_N))
        return worker.known_of

    def _opened(self) -> Iterator[Network]:
        for (onnx, preprocess), engine in zip(self.networks, self.engines, strict=True):
            session = open_session(
                onnx, engine=self.asked, photos=self.photos, threads=1, gpu=False
            )
            check_engine(session.engine, engine)
            yield Network(session, preprocess)


def scan_on_cluster(
    run: Run, job: ReadingJob, photos: Sequence[Photo], worker: ScanWorker
) -> Iterator[list[Scanned]]:
    """Yield ``photos`` as `scan` does; ``worker`` has the caches of this machine.

    Raises:
        ClusterFailed: the cluster cannot be used.
        MissingExtra: Ray is not installed.
    """
    with crew_of(run, job) as crew:
        chunks = chunked(photos, CHUNK)
        for chunk, known in zip(chunked(photos, CHUNK), exactly_once(crew, chunks), strict=True):
            whole = worker.completed(known)
            yield worker(chunk) if whole is None else whole.scanned()
