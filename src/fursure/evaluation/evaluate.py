"""Bundle + labelled photos → figures, on photos the model has not seen.

Dimension key: N photos, K classes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.dataset.labelled import Data, dataset_of
from fursure.dataset.manifest import Manifest
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import Outputs
from fursure.engine.selftest import about_engine
from fursure.errors import BadData, counted, some
from fursure.evaluation.unseen import Unseen, unseen_answers
from fursure.metrics.catalogue import METRICS
from fursure.metrics.classification import Evaluation, score_probs
from fursure.metrics.intervals import Estimate, proportion
from fursure.prediction import Prediction
from fursure.run import Run

MAPPED = 600  # photos, at most twice as many, whose features are kept for a map


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRows:
    """What the model said of each photo, a row each; the photos themselves are not kept."""

    paths: tuple[str, ...]
    labels_N: NDArray[np.int64]  # true classes
    probs_NK: NDArray[np.float64]
    answers: tuple[str, ...]  # a label, "unsure" or "stranger"
    familiarity_N: NDArray[np.float64]
    features: Mapping[int, NDArray[np.float16]]  # of some rows, evenly chosen

    def at(self, chosen: Sequence[int]) -> "AnswerRows":
        """Return the rows chosen, in that order, without features."""
        return AnswerRows(
            paths=tuple(self.paths[row] for row in chosen),
            labels_N=self.labels_N[chosen],
            probs_NK=self.probs_NK[chosen],
            answers=tuple(self.answers[row] for row in chosen),
            familiarity_N=self.familiarity_N[chosen],
            features={},
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Evaluated:
    """What a model is worth on one data set."""

    evaluation: Evaluation
    answered: Estimate  # share of photos given a label rather than "unsure" or "stranger"
    answered_wrong: Estimate | None  # share of wrong labels among those; None: none was given
    strangers: Estimate  # share of photos called strangers
    failed: tuple[tuple[str, str], ...]  # photos that could not be used, and why
    rows: AnswerRows
    engine: str = ""  # what ran the model
    seen: int = 0  # photos left out: the model or its encoder was made from them
    skipped: Mapping[str, int] = field(default_factory=dict)  # junk by kind
    notes: tuple[str, ...] = ()  # what ran it, where there were many photos

    def __repr__(self) -> str:
        """Return the main figures on one line, without a row for each photo."""
        accuracy = self.evaluation.accuracy
        return f"Evaluated(accuracy {accuracy}, n = {accuracy.n:,}; answered {self.answered})"

    def _repr_html_(self) -> str:
        """Return the figures with their intervals, as a notebook shows them."""
        from fursure.report.notebook import card_html

        figures, labels = self.evaluation.figures, self.evaluation.labels
        facts = {
            metric.named(labels): f"{figure}{metric.unit}"
            for key, metric in METRICS.items()
            if (figure := figures[key])
        }
        wrong = self.answered_wrong
        facts |= {"answered": str(self.answered), "strangers": str(self.strangers)}
        facts |= {"wrong among those answered": str(wrong)} if wrong else {}
        left_out = [f"{counted(self.seen, 'photo')} left out: the model knows them"]
        bad = [f"{counted(len(self.failed), 'photo')} could not be used"]
        notes = [*(left_out if self.seen else []), *(bad if self.failed else []), *self.notes]
        title = f"{counted(self.evaluation.n, 'photo')}: {some(labels)}"
        return card_html(title, facts, notes)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        wrong = self.answered_wrong
        return {
            **self.evaluation.to_json(),
            "answered": self.answered.to_json(),
            "answered_wrong": wrong.to_json() if wrong else None,
            "strangers": self.strangers.to_json(),
            "engine": self.engine,
            "seen_left_out": self.seen,
            "failed": [{"path": path, "error": why} for path, why in self.failed],
            "skipped": dict(self.skipped),
        }


def evaluate_model(
    bundle: Bundle,
    data: Data,
    run: Run = Run(),
    *,
    include_seen: bool = False,
    max_error: float | None = None,
) -> Evaluated:
    """Classify the labelled photos in ``data`` and compare with their labels.

    Photos the model or its encoder was made from are left out and counted, unless ``include_seen``.

    Raises:
        BadData: a label is not one of the model's, or nothing is left to evaluate.
        FursureError: the data or the engine cannot be used.
    """
    dataset = dataset_of(data)
    with dataset.open() as source:
        listing = dataset.listed(source)
        _check_labels(listing, bundle, dataset.name)
        photos = Unseen(source, listing, bundle, include_seen)
        count = len(listing.photos)
        predictor = Predictor.open(
            bundle,
            engine=run.engine,
            photos=count,
            threads=run.threads,
            max_error=max_error,
            gpu=run.on is None,
            say=run.say,
        )
        predictions = []
        features: dict[str, NDArray[np.float16]] = {}
        kept = {photo.path for photo in listing.photos[:: max(1, count // MAPPED)]}

        def watch(some: Sequence[Prediction], outputs: Outputs) -> None:
            good = [prediction.path for prediction in some if prediction.error is None]
            for path, features_D in zip(good, outputs["features"], strict=True):
                if path in kept:
                    features[path] = features_D.astype(np.float16)

        with run.progress("evaluating", count) as advance:
            done = 0
            for prediction in unseen_answers(photos, predictor, run, watch, max_error=max_error):
                predictions.append(prediction)
                advance(photos.taken - done)
                done = photos.taken
    name = predictor.network.session.engine
    return replace(
        _measured(predictions, photos, listing, bundle, predictor, features),
        notes=tuple(about_engine(name, bundle.model, asked=run.engine, photos=count)),
    )


def _check_labels(listing: Manifest, bundle: Bundle, data: str) -> None:
    known = bundle.meta.labels
    if unknown := [label for label in listing.labels if label not in known]:
        raise BadData(
            f"{data} has the label {unknown[0]!r}, which the model does not know; it "
            f"knows {some(known, most=10)}. Rename that class, or leave it out."
        )


def _measured(
    predictions: list[Prediction],
    photos: Unseen,
    listing: Manifest,
    bundle: Bundle,
    predictor: Predictor,
    features: Mapping[str, NDArray[np.float16]],
) -> Evaluated:
    labels = bundle.meta.labels
    rows = [
        (prediction, label)
        for prediction, label in zip(predictions, photos.labels, strict=True)
        if prediction.error is None
    ]
    if not rows:
        raise BadData(
            f"{photos.source.path} has no photo to evaluate on: {photos.seen} are the model's "
            f"own (--include-seen) and {len(predictions)} cannot be used."
        )
    probs_NK = np.array(
        [[prediction.probabilities[label] for label in labels] for prediction, _ in rows]
    )
    index = {label: number for number, label in enumerate(labels)}
    labels_N = np.array([index[label] for _, label in rows])
    answers = Counter(prediction.answer for prediction, _ in rows)
    labelled = [
        (prediction, label)
        for prediction, label in rows
        if prediction.answer not in {"unsure", "stranger"}
    ]
    wrong = sum(prediction.answer != label for prediction, label in labelled)
    return Evaluated(
        evaluation=score_probs(probs_NK, labels_N, labels),
        answered=proportion(len(labelled), len(rows)),
        answered_wrong=proportion(wrong, len(labelled)) if labelled else None,
        strangers=proportion(answers["stranger"], len(rows)),
        engine=predictor.network.session.engine,
        seen=photos.seen,
        failed=tuple(
            (prediction.path, prediction.error)
            for prediction in predictions
            if prediction.error is not None
        ),
        skipped=dict(listing.skipped),
        rows=AnswerRows(
            paths=tuple(prediction.path for prediction, _ in rows),
            labels_N=labels_N,
            probs_NK=probs_NK,
            answers=tuple(prediction.answer for prediction, _ in rows),
            familiarity_N=np.array([prediction.familiarity for prediction, _ in rows]),
            features={
                row: features[prediction.path]
                for row, (prediction, _) in enumerate(rows)
                if prediction.path in features
            },
        ),
    )
