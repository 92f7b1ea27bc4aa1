"""One recipe → one rung of the ladder: trained, run as it ships, and noted beside its bundle.

What was measured is noted as soon as it is known, so a ladder that was interrupted continues, and
the clock of a training counts all its runs.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np

from fursure.backbones.combine import encoder_for
from fursure.bundle.bundle import Bundle
from fursure.compare.learning_curve import learning_curve
from fursure.compare.other_origin import Abroad
from fursure.dataset.labelled import Dataset
from fursure.dataset.listing import announced
from fursure.dataset.manifest import Manifest
from fursure.engine.predictor import Predictor
from fursure.errors import BadData, OutputExists
from fursure.features.calibration import calibration_on
from fursure.features.collect import collect
from fursure.features.reader import READING
from fursure.files import replacing
from fursure.metrics.answers import Answers
from fursure.metrics.ladder import CurvePoint, Rung
from fursure.photos.decode import LIMITS
from fursure.recipe import Recipe
from fursure.run import Advance, Progress, Run, silent
from fursure.splitting.destinations import safe_name
from fursure.training.parts import for_test
from fursure.training.train import Trained, train_model

RUNG_FORMAT = "fursure rung 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all recipes of a ladder share."""

    dataset: Dataset
    folder: Path
    division: Manifest  # which photo is for what
    abroad: Abroad  # what else they are measured on
    curve: bool  # whether the head is measured on fewer photos too
    overwrite: bool
    run: Run


def rung(recipe: Recipe, ground: Ground) -> Rung:
    """Return the rung of ``recipe``, made now or by an earlier run of the same ladder.

    Raises:
        FursureError: the recipe cannot be trained or its model cannot be run here.
    """
    path = bundle_path(ground.folder, recipe)
    place = path.with_name(f"{path.stem}.rung.json")
    bundle, note = _trained(recipe, ground, path, place)
    run, asked = note.run, (ground.run.engine, ground.run.threads)
    if run is None or run.asked != asked:
        run = _run(bundle, ground)
        note = replace(note, run=run)
        note.write(place)
    if ground.curve and recipe.tune is None and note.curve is None:
        note = replace(note, curve=_curve(recipe, ground))
        note.write(place)
    learned = _learned(bundle)
    return Rung(
        name=recipe.name,
        backbone=bundle.meta.backbone,
        answers=run.answers,
        seconds=note.seconds + learned * run.milliseconds / 1000,
        megabytes=path.stat().st_size / 1e6,
        milliseconds=run.milliseconds,
        engine=run.engine,
        photos=learned,
        curve=(note.curve or ()) if ground.curve else (),
        elsewhere=ground.abroad.answers(bundle, ground.run),
        strangers=ground.abroad.said_of_strangers(bundle, ground.run),
    )


def bundle_path(folder: Path, recipe: Recipe) -> Path:
    """Return where the bundle of ``recipe`` lies."""
    return folder / f"{safe_name(recipe.name)}.fursure"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The shipped model on the test photos."""

    answers: Answers
    milliseconds: float  # a photo
    engine: str
    asked: tuple[str, int | None]  # engine and threads

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "answers": self.answers.to_json(),
            "milliseconds": self.milliseconds,
            "engine": self.engine,
            "asked": list(self.asked),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "_Run":
        """Return the run that `to_json` wrote."""
        engine, threads = values["asked"]
        return cls(
            answers=Answers.from_json(values["answers"]),
            milliseconds=float(values["milliseconds"]),
            engine=str(values["engine"]),
            asked=(str(engine), None if threads is None else int(threads)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """What is known of a rung so far."""

    of: dict[str, Any]  # the recipe, and the digest of the photos with their splits
    seconds: float = 0.0  # of training, all runs together, from when the photos were read
    trained: bool = False  # whether these seconds led to the bundle
    run: _Run | None = None
    curve: tuple[CurvePoint, ...] | None = None

    @classmethod
    def read(cls, place: Path, of: dict[str, Any]) -> "_Note":
        """Return the note at ``place``, or an empty one: of another recipe it is no help."""
        try:
            values = json.loads(place.read_text("utf-8"))
            if (values["format"], values["of"]) != (RUNG_FORMAT, of):
                return cls(of=of)
            run, curve = values["run"], values["curve"]
            points = [CurvePoint(int(n), Answers.from_json(answers)) for n, answers in curve or ()]
            return cls(
                of=of,
                seconds=float(values["seconds"]),
                trained=bool(values["trained"]),
                run=None if run is None else _Run.from_json(run),
                curve=None if curve is None else tuple(points),
            )
        except (OSError, ValueError, KeyError, TypeError):  # gone or damaged
            return cls(of=of)

    def write(self, place: Path) -> None:
        """Put the note at ``place``, wholly or not at all."""
        curve = self.curve
        values = {
            "format": RUNG_FORMAT,
            "of": self.of,
            "seconds": self.seconds,
            "trained": self.trained,
            "run": None if self.run is None else self.run.to_json(),
            "curve": None
            if curve is None
            else [(point.photos, point.answers.to_json()) for point in curve],
        }
        with replacing(place) as file:
            file.write(json.dumps(values).encode())


@final
class _Stopwatch:
    """Passes stages of work on to ``progress``, and measures what follows the reading.

    Reading takes seconds or minutes, as the caches have it; the ladder charges every recipe for
    all its photos instead.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: float | None = None

    @property
    def seconds(self) -> float:
        """How long ago the photos were read; 0 if they are not yet."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    @contextmanager
    def __call__(self, title: str, total: int | None) -> Iterator[Advance]:
        """Open a stage."""
        with self._progress(title, total) as advance:
            yield advance
        if title == READING:
            self._began = time.monotonic()


def _trained(recipe: Recipe, ground: Ground, path: Path, place: Path) -> tuple[Bundle, _Note]:
    """Train, or find that it is done; keep the time of a training that is interrupted too."""
    of = {"recipe": recipe.to_json(), "photos": ground.division.digest}
    note, watch = _Note.read(place, of), _Stopwatch(ground.run.progress)
    before = 0.0 if note.trained else note.seconds

    def work() -> Trained:
        return train_model(
            ground.dataset,
            path,
            recipe,
            replace(ground.run, progress=watch),
            overwrite=ground.overwrite,
            division=ground.division,
        )

    try:
        trained = work()
        if not trained.new and not note.trained:  # nobody knows how long it took: made again
            path.unlink()
            trained = work()
    except OutputExists:
        raise  # that output's own note is still true
    except BaseException:
        if watch.seconds and not note.trained:
            _Note(of=of, seconds=before + watch.seconds).write(place)
        raise
    for sentence in trained.notes:
        ground.run.say(sentence)
    if trained.new:
        note = _Note(of=of, seconds=before + watch.seconds, trained=True)
        note.write(place)
    return trained.bundle, note


def _run(bundle: Bundle, ground: Ground) -> _Run:
    """Send the test photos through the model as it ships, and look at the clock.

    Raises:
        BadData: a photo that could be read before no longer can.
    """
    photos, labels = for_test(ground.division.usable), bundle.meta.labels
    predictor = Predictor.open(
        bundle, engine=ground.run.engine, photos=len(photos), threads=ground.run.threads
    )
    rows = []
    with (
        ground.dataset.open() as source,
        ground.run.progress("testing", len(photos)) as advance,
    ):
        named = (
            (photo.path, partial(source.read, photo.path, LIMITS.bytes))
            for photo in announced(source, photos)
        )
        began = time.monotonic()
        for answer in predictor.stream(named):
            if answer.error is not None:
                raise BadData(f"{answer.path} could be read before: {answer.error}.")
            rows.append([answer.probabilities[label] for label in labels])
            advance(1)
        seconds = time.monotonic() - began
    labels_N = np.array([labels.index(photo.label or "") for photo in photos])
    return _Run(
        answers=Answers.of(np.array(rows), labels_N),
        milliseconds=1000 * seconds / len(photos),
        engine=predictor.network.session.engine,
        asked=(ground.run.engine, ground.run.threads),
    )


def _curve(recipe: Recipe, ground: Ground) -> tuple[CurvePoint, ...]:
    """Measure the head on fewer photos; their features lie in the cache."""
    quiet = replace(ground.run, progress=silent)  # the photos were read a moment ago
    with ground.dataset.open() as source:
        listing = ground.dataset.listed(source)
        collected = collect(
            source,
            listing,
            encoder_for(recipe, calibration_on(source, listing.photos)),
            recipe,
            quiet,
            division=ground.division,
        )
    points = []
    with ground.run.progress("learning from fewer photos", None) as advance:
        for point in learning_curve(collected, recipe):
            points.append(point)
            advance(point.photos)
    return tuple(points)


def _learned(bundle: Bundle) -> int:
    """Return how many photos a model was made from, validation included."""
    counts = bundle.meta.data["photos"].values()
    return sum(splits.get("train", 0) + splits.get("val", 0) for splits in counts)
