"""A model on photos unlike its test photos: of another origin, and of none of its classes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Self

from fursure.bundle.bundle import Bundle
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.dataset.sources import open_source
from fursure.engine.predictor import Predictor
from fursure.errors import BadData, some
from fursure.evaluation.evaluate import evaluate_model
from fursure.metrics.answers import Answers, StrangerAnswers
from fursure.parallel import begun
from fursure.photos.decode import LIMITS
from fursure.run import Run
from fursure.training.strangers import Listed, list_strangers


@dataclass(frozen=True, slots=True, kw_only=True)
class Abroad:
    """What models are measured on beside their test photos, each where it is given."""

    elsewhere: Dataset | None = None  # labelled photos of another origin
    strangers: Listed | None = None

    @classmethod
    def of(
        cls,
        elsewhere: str | PathLike[str] | None,
        strangers: str | PathLike[str] | None,
        division: Manifest,
    ) -> Self:
        """Return what is given, looked at before anything is trained.

        Raises:
            FursureError: it cannot be read, has a label that ``division`` does not know, or holds
                too few strangers.
        """
        away = None if elsewhere is None else Dataset(elsewhere)
        if away is not None:
            with away.open() as source:
                labels = away.listed(source).labels
            if unknown := sorted(set(labels) - set(division.labels)):
                raise BadData(
                    f"{away.name} has the label {unknown[0]!r}, which the photos to train "
                    f"on do not have; they have {some(division.labels, most=10)}. Rename that "
                    "class, or leave it out."
                )
        known = {photo.sha256 for photo in division.photos}
        listed = None if strangers is None else list_strangers(strangers, known)
        return cls(elsewhere=away, strangers=listed)

    def answers(self, bundle: Bundle, run: Run) -> Answers | None:
        """Return how right the model is elsewhere; photos it was made from are left out.

        Raises:
            BadData: a label is none of the model's, or nothing is left to measure on.
        """
        if self.elsewhere is None:
            return None
        rows = evaluate_model(bundle, self.elsewhere, run).rows
        return Answers.of(rows.probs_NK, rows.labels_N)

    def said_of_strangers(self, bundle: Bundle, run: Run) -> StrangerAnswers | None:
        """Return what the model says of the strangers; one that cannot be read is left out."""
        if self.strangers is None:
            return None
        names = list(self.strangers.names.values())
        predictor = Predictor.open(
            bundle, engine=run.engine, photos=len(names), threads=run.threads
        )
        answers: list[str] = []
        with (
            open_source(self.strangers.path) as source,
            run.progress("asking about strangers", len(names)) as advance,
        ):
            photos: Iterator[tuple[str, Callable[[], bytes]]] = (
                (name, partial(source.read, name, LIMITS.bytes))
                for name in begun(names, source.expect)
            )
            for prediction in predictor.stream(photos):
                if prediction.error is None:
                    answers.append(prediction.answer)
                advance(1)
        return StrangerAnswers.of(answers)
