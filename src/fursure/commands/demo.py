"""The main job in seconds, on pictures drawn by code: train, evaluate, predict, look."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from fursure.drawings.draw import Kind, draw, jpeg
from fursure.engine.predictor import Predictor
from fursure.evaluation.evaluate import Evaluated, evaluate_model
from fursure.files import naming
from fursure.prediction import Prediction
from fursure.recipe import Recipe
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.report.picture import contact_sheet
from fursure.run import Run
from fursure.training.train import Trained, train_model

_TRAINING, _FRESH, _SHOWN = 220, 60, 6  # drawings of each kind: to learn from, to test on, to show
FRESH_SEED = 100_000  # where the seeds of drawings that the model never saw begin
RECIPE: Recipe = replace(LINEAR_PROBE, name="demo", validation=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Everything the demo made and measured."""

    trained: Trained
    evaluated: Evaluated
    predictions: tuple[Prediction, ...]  # of the drawings in the picture
    strangers: Counter[str]  # answers to `_FRESH` drawings of neither
    picture: Path


def demo(folder: Path, run: Run = Run()) -> Demo:
    """Draw pictures into ``folder``, train on them, test on others, and make a picture of it.

    Raises:
        FursureError: the folder cannot be written, or an engine fails.
    """
    photos, fresh = folder / "drawings", folder / "fresh"
    with run.progress("drawing", 2 * (_TRAINING + _FRESH)) as advance:
        for kind in ("cat", "dog"):
            advance(_draw_into(photos / kind, kind, range(_TRAINING)))
            advance(_draw_into(fresh / kind, kind, range(FRESH_SEED, FRESH_SEED + _FRESH)))
    trained = train_model(photos, folder / "drawn-pets.fursure", RECIPE, run, overwrite=True)
    evaluated = evaluate_model(trained.bundle, fresh, run)
    shown = list(_shown())
    predictor = Predictor.open(trained.bundle)
    predictions = [replace(predictor.predict(picture), path=name) for name, picture in shown]
    sheet = contact_sheet([picture for _, picture in shown], predictions, columns=_SHOWN)
    path = folder / "answers.png"
    with naming(path):
        sheet.save(path)
    seeds = range(FRESH_SEED, FRESH_SEED + _FRESH)
    return Demo(
        trained=trained,
        evaluated=evaluated,
        predictions=tuple(predictions),
        strangers=Counter(predictor.predict(draw("stranger", seed)).answer for seed in seeds),
        picture=path,
    )


def _draw_into(folder: Path, kind: Kind, seeds: range) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{kind}.{seed}.jpg"
        if not path.exists():
            with naming(path):
                path.write_bytes(jpeg(draw(kind, seed)))
    return len(seeds)


def _shown() -> Iterator[tuple[str, Image.Image]]:
    kinds: tuple[Kind, ...] = ("cat", "dog", "stranger")
    for kind in kinds:
        for seed in range(2 * FRESH_SEED, 2 * FRESH_SEED + _SHOWN):
            yield f"{kind} {seed - 2 * FRESH_SEED + 1}", draw(kind, seed)
