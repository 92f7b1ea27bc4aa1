"""Photos and a recipe → what a training would read and make, without reading or making it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from fursure.backbones.backbone import Backbone
from fursure.backbones.combine import encoder_for
from fursure.backbones.kinds import at_hand, load_backbone
from fursure.dataset.labelled import Data, dataset_of
from fursure.dataset.layout import iter_photos
from fursure.dataset.sources import open_source
from fursure.errors import counted
from fursure.files import offline
from fursure.heads.classes import check_classes, refuse_reserved
from fursure.networks.lite import LITE
from fursure.recipe import Recipe
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.remote.place import shown_place
from fursure.rows.photo import SPLITS, Photo
from fursure.run import Run
from fursure.splitting.split import few
from fursure.training.expected_time import ReadingTime, reading_time
from fursure.training.parts import encoders_of
from fursure.training.train import check_model_path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What a training would do, as far as it can be told without reading all photos."""

    data: str
    photos: Mapping[str, int]  # by class; copies and photos that cannot be read are not known yet
    notes: tuple[str, ...]  # what was passed over, in sentences
    split: Mapping[str, int]  # photos for each purpose; those drawn by lot are an expectation
    folds: int  # of the cross-validation the figures come from; 0: they come from test photos
    recipe: Recipe
    backbones: Mapping[str, str]  # name -> whether it is at hand
    output: str
    output_exists: bool
    passes: int  # over the training photos, at most, of a network that trains; 0: it stays frozen
    reading: ReadingTime | None  # None: a backbone is not at hand, or a cluster reads

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        reading = self.reading
        return {
            "data": self.data,
            "photos": dict(self.photos),
            "notes": list(self.notes),
            "split": dict(self.split),
            "folds": self.folds,
            "recipe": self.recipe.to_json(),
            "backbones": dict(self.backbones),
            "output": self.output,
            "output_exists": self.output_exists,
            "passes": self.passes,
            "reading_seconds": None if reading is None else round(reading.seconds, 1),
            "looked_at": 0 if reading is None else reading.looked_at,
            "cached": 0 if reading is None else reading.cached,
        }


def plan_training(
    data: Data,
    output: str | PathLike[str],
    recipe: Recipe = LINEAR_PROBE,
    run: Run = Run(),
    *,
    strangers: str | PathLike[str] | None = None,
) -> TrainingPlan:
    """Return what `train_model` would do; nothing is written, encoded or fetched.

    Raises:
        FursureError: what `train_model` would refuse before it reads photos.
    """
    path, dataset = Path(output), dataset_of(data)
    check_model_path(path)
    with dataset.open() as source:
        verdicts, listing = dataset.verdicts(), dataset.listed(source)
        refuse_reserved(listing.labels)
        usable = listing.usable
        # copies are told later: until then each photo counts as another
        check_classes([replace(photo, group=photo.path) for photo in usable], listing.labels)
        backbones = {name: _where(name, recipe) for name in sorted(encoders_of([recipe]))}
        known = run.on is None and {*backbones.values()} <= {_AT_HAND, _RANDOM}
        reading = reading_time(source, usable, _reader_of(recipe), run) if known else None
    crossed = few(usable, recipe)
    skipped = [f"{count} {kind}" for kind, count in sorted(listing.skipped.items())]
    return TrainingPlan(
        data=dataset.name,
        photos=Counter(photo.label or "" for photo in usable),
        notes=(
            *listing.notes,
            *([f"passed over: {', '.join(skipped)}"] if skipped else []),
            *_ruled_out(listing.photos),
            *([f"corrections: {counted(len(verdicts), 'verdict')}"] if verdicts else []),
            *([_about_strangers(strangers)] if strangers is not None else []),
        ),
        split=_split(usable, recipe, crossed=crossed),
        folds=recipe.folds if crossed else 0,
        recipe=recipe,
        backbones=backbones,
        output=str(path),
        output_exists=path.exists(),
        passes=_passes(recipe),
        reading=reading,
    )


def _passes(recipe: Recipe) -> int:
    tune = recipe.tune
    return tune.runs * sum(stage.epochs for stage in tune.stages) if tune else 0


def _split(photos: Sequence[Photo], recipe: Recipe, *, crossed: bool) -> dict[str, int]:
    """Return how many photos each purpose gets: those given, or else a share of the others."""
    given = Counter(photo.split or "train" for photo in photos)
    if crossed:
        return {"train": given["train"] + given["val"], "val": 0, "test": given["test"]}
    drawn = {
        "val": 0 if given["val"] else round(given["train"] * recipe.validation),
        "test": 0 if given["test"] else round(given["train"] * recipe.test),
    }
    parts: dict[str, int] = {split: given[split] + drawn.get(split, 0) for split in SPLITS}
    parts["train"] -= sum(drawn.values())
    if recipe.photos is not None:
        parts["train"] = min(parts["train"], recipe.photos)
    return parts


_AT_HAND, _RANDOM = "at hand", "random weights: nothing is fetched"


def _where(name: str, recipe: Recipe) -> str:
    """Return whether a backbone is at hand, or what has to be done first, once.

    Raises:
        UnknownBackbone: nothing answers to that name.
    """
    if name.startswith("scratch:"):
        return _RANDOM
    ready = {backbone.name: backbone.size for backbone in at_hand()}
    if name in LITE or Path(name).expanduser().suffix == ".fursure":
        load_backbone(name)
        return _AT_HAND
    if name in ready and recipe.image_size in {None, ready[name]} and recipe.precision == "fp32":
        return _AT_HAND
    if Path(name).expanduser().exists():
        return "a file, to be tried and converted once"
    if not name.startswith(("timm:", "hub:")):
        load_backbone(name)  # it says what is wrong with that name
    if offline():
        return "not at hand, and FURSURE_OFFLINE or HF_HUB_OFFLINE forbids to fetch it"
    return "to be fetched, unless that was done, and converted, once"


def _reader_of(recipe: Recipe) -> Backbone:
    """Return the encoder that reads the photos; of one in int8 the same before it is rounded."""
    if recipe.from_scratch:
        return encoder_for(Recipe())
    precision = "fp32" if recipe.precision == "int8" else recipe.precision
    return encoder_for(replace(recipe, precision=precision, flips=recipe.flips and not recipe.tune))


def _ruled_out(photos: Sequence[Photo]) -> list[str]:
    bad = [photo for photo in photos if photo.reason is not None]
    return [f"left out {counted(len(bad), 'photo')}: {bad[0].path}: {bad[0].reason}"] if bad else []


def _about_strangers(strangers: str | PathLike[str]) -> str:
    with open_source(strangers) as source:
        count = sum(1 for _ in iter_photos(source))
    return f"strangers: {counted(count, 'photo')} in {shown_place(fspath(strangers))}"
