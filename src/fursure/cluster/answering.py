"""Photos by name → predictions, on a cluster: what a node needs, and what it does.

Dimension key: N photos, D features.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.cluster.crew import crew_of
from fursure.cluster.ordered import exactly_once
from fursure.cluster.places import Places, Sent
from fursure.cluster.workbench import check_engine
from fursure.engine.predictor import Named, Predictor
from fursure.errors import BadImage
from fursure.photos.handed import photo_bytes
from fursure.prediction import Prediction
from fursure.run import Engine, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one chunk came to."""

    predictions: list[Prediction]
    features_ND: NDArray[np.float32] | None  # of those without an error; None: not asked for
    seen: frozenset[int] = frozenset()  # rows of the chunk left out: the model was made from them


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """A model and how to ask it; the bytes travel, so a node needs no file of it."""

    bundle: Bundle
    asked: Engine
    engine: str  # what it runs on here
    photos: int  # about how many there are
    max_error: float | None = None
    features: bool = False  # whether the rows bring them
    unseen: bool = False  # whether photos that the model was made from are left out

    @classmethod
    def like(
        cls,
        predictor: Predictor,
        run: Run,
        *,
        photos: int,
        max_error: float | None,
        features: bool,
        unseen: bool = False,
    ) -> "Answering":
        """Return what lets a node answer as ``predictor`` does here."""
        return cls(
            bundle=predictor.bundle,
            asked=run.engine,
            engine=predictor.network.session.engine,
            photos=photos,
            max_error=max_error,
            features=features,
            unseen=unseen,
        )

    def open(self) -> Callable[[Sequence[Sent]], Answered]:
        """Load the network for one core; return what answers a chunk.

        Raises:
            FursureError: the model or the engine cannot be used here.
        """
        predictor = Predictor.open(
            self.bundle,
            engine=self.asked,
            photos=self.photos,
            threads=1,
            max_error=self.max_error,
            gpu=False,  # a node runs an actor a core, and each would want a device to itself
        )
        check_engine(predictor.network.session.engine, self.engine)
        return partial(self._answer, predictor, Places())

    def _answer(self, predictor: Predictor, places: Places, photos: Sequence[Sent]) -> Answered:
        named: list[Named] = [places.received(photo) for photo in photos]
        seen: frozenset[int] = frozenset()
        if self.unseen:
            named = [_loaded(*photo) for photo in named]
            seen = frozenset(row for row, (_, data) in enumerate(named) if self._was_seen(data))
        left = [photo for row, photo in enumerate(named) if row not in seen]
        predictions, outputs = predictor.batch(left)
        features_ND = outputs.get("features") if self.features else None
        return Answered(predictions=predictions, features_ND=features_ND, seen=seen)

    def _was_seen(self, data: object) -> bool:
        return isinstance(data, bytes) and hashlib.sha256(data).hexdigest() in self.bundle.seen


def _loaded(name: str, photo: object) -> Named:
    """Return a photo with its bytes, or with why it has none."""
    try:
        return name, photo_bytes(name, photo)
    except BadImage as error:
        return name, error


def answered_on_cluster(
    run: Run, job: Answering, chunks: Iterable[Sequence[Sent]]
) -> Iterator[Answered]:
    """Yield what each chunk came to, in order, from the cluster that ``run`` names.

    Raises:
        ClusterFailed: the cluster cannot be used.
        MissingExtra: Ray is not installed.
    """
    with crew_of(run, job) as crew:
        yield from exactly_once(crew, chunks)
