"""A recipe and photos → what its training would see, or how fast it may learn, without training.

Dimension key: N photos, H W height and width (pixels), C colours.
"""

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fursure.dataset.labelled import Data, Dataset, dataset_of
from fursure.errors import BadData, BadImage, BadRecipe, NoPhotos
from fursure.photos.decode import LIMITS, decode
from fursure.recipe import FineTune, Recipe
from fursure.report.picture import grid
from fursure.run import Run

ROWS = 6  # photos on the sheet
PASSES = 7  # columns beside the photo as it is
RANGED = 640  # photos that are enough to see at which rate a loss falls


@dataclass(frozen=True, slots=True)
class RateRange:
    """What a short training at ever higher rates showed (Smith, WACV 2017)."""

    curve: tuple[tuple[float, float], ...]  # rate, smoothed loss in nats per photo
    suggested: float  # a tenth of the rate at which the loss was lowest

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        curve = [{"rate": rate, "loss": loss} for rate, loss in self.curve]
        return {"suggested": self.suggested, "curve": curve}


def show_augmented(data: Data, recipe: Recipe, output: str | PathLike[str]) -> None:
    """Write a sheet: each row a photo as the finished model sees it, then as passes would.

    Raises:
        BadRecipe: the recipe leaves the network as it is, so nothing is augmented.
        NoPhotos: ``data`` holds none that can be read.
    """
    settings, path = _settings(recipe), Path(output)
    if not path.parent.is_dir():
        raise BadData(f"the folder {path.parent} for the sheet does not exist; make it first.")
    import torch

    from fursure.finetuning.augment import Augment, square_side
    from fursure.finetuning.sharing import network_for

    preprocess, _ = network_for(recipe)
    larger = replace(preprocess, size=square_side(preprocess), crop=1.0)
    photos = [photo for photo, _ in _some(dataset_of(data), larger.min_side, ROWS)]
    squares_NHWC = torch.from_numpy(np.stack([larger(photo) for photo in photos]))
    augment = Augment.of(settings, preprocess, recipe.seed)
    columns = [np.stack([preprocess(photo) for photo in photos])]
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    for number in range(PASSES):
        x_NCHW = augment(squares_NHWC, range(len(photos)), number)
        shown_NHWC = x_NCHW.permute(0, 2, 3, 1).numpy() * std + mean
        columns.append((shown_NHWC.clip(0, 1) * 255).round().astype(np.uint8))
    rows = [[Image.fromarray(column[row]) for column in columns] for row in range(len(photos))]
    grid(rows).save(path, format="PNG")


def find_rate(data: Data, recipe: Recipe, run: Run = Run()) -> RateRange:
    """Return how the loss answers to the learning rate of the recipe's last stage.

    Raises:
        BadRecipe: the recipe leaves the network as it is.
        NoPhotos: ``data`` holds none that can be read.
    """
    settings = _settings(recipe)
    import torch

    from fursure.finetuning import rate_finder, tuning
    from fursure.finetuning.augment import square_side
    from fursure.finetuning.sharing import network_for

    torch.set_num_threads(run.cores)
    tuning.keep_memory()
    preprocess, net = network_for(recipe)
    larger = replace(preprocess, size=square_side(preprocess), crop=1.0)
    photos = _some(dataset_of(data), larger.min_side, RANGED)
    labels = sorted({label for _, label in photos})
    curve = tuple(
        rate_finder.rates(
            net,
            np.stack([larger(photo) for photo, _ in photos]),
            np.array([labels.index(label) for _, label in photos]),
            preprocess,
            settings,
            classes=len(labels),
            seed=recipe.seed,
        )
    )
    return RateRange(curve, min(curve, key=lambda point: point[1])[0] / 10)


def _settings(recipe: Recipe) -> FineTune:
    if recipe.tune is None:
        raise BadRecipe(
            recipe.name,
            "it leaves the network as it is; name one that trains it, such as --recipe fine-tune",
        )
    return recipe.tune


def _some(dataset: Dataset, min_side: int, most: int) -> list[tuple[Image.Image, str]]:
    """Return a few photos that can be read, with their labels, from all over ``dataset``."""
    photos: list[tuple[Image.Image, str]] = []
    with dataset.open() as source:
        listed = dataset.listed(source).photos
        apart = max(1, len(listed) // most)
        for row in sorted(range(len(listed)), key=lambda row: (row % apart, row)):
            name = listed[row].path
            try:
                content = source.read(name, LIMITS.bytes)
                photo = decode(content, name=name, min_side=min_side).image
            except BadImage:
                continue
            photos.append((photo, listed[row].label or ""))
            if len(photos) == most:
                break
    if not photos:
        raise NoPhotos(dataset.name, f"{len(listed)} files, none that can be read")
    return photos
