"""A model on photos unlike its test photos: of another origin, and of none of its classes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from typing import Self

from fursure.bundle import Bundle
from fursure.data.layout import list_photos
from fursure.data.manifest import Manifest
from fursure.data.sources import open_source
from fursure.engine.predictor import Predictor
from fursure.errors import BadData, some
from fursure.images.decode import LIMITS
from fursure.metrics.answers import Answers, Strangers
from fursure.recipe import Engine
from fursure.workflows.evaluate import evaluate_model
from fursure.workflows.progress import Progress
from fursure.workflows.strangers import Listed, list_strangers


@dataclass(frozen=True, slots=True, kw_only=True)
class Abroad:
    """What models are measured on beside their test photos, each where it is given."""

    elsewhere: str | PathLike[str] | None = None  # labelled photos of another origin
    strangers: Listed | None = None
    engine: Engine = "auto"
    threads: int | None = None

    @classmethod
    def of(
        cls,
        elsewhere: str | PathLike[str] | None,
        strangers: str | PathLike[str] | None,
        division: Manifest,
        *,
        engine: Engine,
        threads: int | None,
    ) -> Self:
        """Return what is given, looked at before anything is trained.

        Raises:
            FursureError: it cannot be read, has a label that ``division`` does not know, or holds
                too few strangers.
        """
        if elsewhere is not None:
            with open_source(elsewhere) as source:
                labels = list_photos(source).labels
            if unknown := sorted(set(labels) - set(division.labels)):
                raise BadData(
                    f"{fspath(elsewhere)} has the label {unknown[0]!r}, which the photos to train "
                    f"on do not have; they have {some(division.labels, most=10)}. Rename that "
                    "class, or leave it out."
                )
        known = {photo.sha256 for photo in division.photos}
        listed = None if strangers is None else list_strangers(strangers, known)
        return cls(elsewhere=elsewhere, strangers=listed, engine=engine, threads=threads)

    def answers(self, bundle: Bundle, progress: Progress) -> Answers | None:
        """Return how right the model is elsewhere; photos it was made from are left out.

        Raises:
            BadData: a label is none of the model's, or nothing is left to measure on.
        """
        if self.elsewhere is None:
            return None
        rows = evaluate_model(
            bundle, self.elsewhere, engine=self.engine, threads=self.threads, progress=progress
        ).rows
        return Answers.of(rows.probs_NK, rows.labels_N)

    def said_of_strangers(self, bundle: Bundle, progress: Progress) -> Strangers | None:
        """Return what the model says of the strangers; one that cannot be read is left out."""
        if self.strangers is None:
            return None
        names = list(self.strangers.names.values())
        predictor = Predictor.open(
            bundle, engine=self.engine, photos=len(names), threads=self.threads
        )
        answers: list[str] = []
        with (
            open_source(self.strangers.path) as source,
            progress("asking about strangers", len(names)) as advance,
        ):
            photos: list[tuple[str, Callable[[], bytes]]] = [
                (name, partial(source.read, name, LIMITS.bytes)) for name in names
            ]
            for prediction in predictor.stream(photos):
                if prediction.error is None:
                    answers.append(prediction.answer)
                advance(1)
        return Strangers.of(answers)
