"""Labelled photos → the model's answers to those it has not seen, from here or from a cluster."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fursure.bundle.bundle import Bundle
from fursure.cluster.answering import Answering, answered_on_cluster
from fursure.cluster.places import Sent, by_name
from fursure.dataset.listing import PhotoInside, Source, announced
from fursure.dataset.manifest import Manifest
from fursure.engine.predictor import Predictor, Watch
from fursure.errors import BadImage
from fursure.parallel import chunked
from fursure.photos.decode import LIMITS
from fursure.prediction import Prediction
from fursure.rows.photo import Photo
from fursure.run import Run


@dataclass(slots=True)
class Unseen:
    """The photos of a listing with their bytes, without those the model was made from."""

    source: Source
    listing: Manifest
    bundle: Bundle
    include_seen: bool
    labels: list[str] = field(default_factory=list)  # of the photos passed on, in order
    seen: int = 0
    taken: int = 0

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for photo in announced(self.source, self.listing.photos):
            self.taken += 1
            data = self._bytes(photo.path, photo.reason)
            if isinstance(data, bytes) and not self.include_seen:
                digest = hashlib.sha256(data).hexdigest()
                if digest in self.bundle.seen:
                    self.seen += 1
                    continue
            self.labels.append(photo.label or "")
            yield photo.path, data

    def _bytes(self, path: str, reason: str | None) -> Any:
        try:
            if reason is not None:
                raise BadImage(path, reason)
            return self.source.read(path, LIMITS.bytes)
        except BadImage as error:
            return error  # the predictor makes it a row with its error

    def by_name(self, photo: Photo) -> Sent:
        """Return a photo as it travels to whoever reads it."""
        if photo.reason is not None:
            return by_name(photo.path, BadImage(photo.path, photo.reason))
        return by_name(
            photo.path, PhotoInside(source=self.source, name=photo.path, limit=LIMITS.bytes)
        )

    def pass_on(self, chunk: list[Photo], seen: frozenset[int]) -> None:
        """Note which photos of a chunk were answered, elsewhere, and which left out."""
        self.taken += len(chunk)
        self.seen += len(seen)
        self.labels += [photo.label or "" for row, photo in enumerate(chunk) if row not in seen]


def unseen_answers(
    photos: Unseen, predictor: Predictor, run: Run, watch: Watch, *, max_error: float | None
) -> Iterator[Prediction]:
    """Yield the model's answer to each photo it has not seen, in order."""
    if run.on is None:
        yield from predictor.stream(photos, watch=watch)
        return
    job = Answering.like(
        predictor,
        run,
        photos=len(photos.listing.photos),
        max_error=max_error,
        features=True,
        unseen=not photos.include_seen,
    )
    chunks = list(chunked(photos.listing.photos, predictor.at_once))
    named = ([photos.by_name(photo) for photo in chunk] for chunk in chunks)
    for chunk, answered in zip(chunks, answered_on_cluster(run, job, named), strict=True):
        photos.pass_on(chunk, answered.seen)
        if answered.features_ND is not None:
            watch(answered.predictions, {"features": answered.features_ND})
        yield from answered.predictions
