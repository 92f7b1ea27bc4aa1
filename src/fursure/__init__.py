"""A folder of labelled photos in, a classifier that knows when it is sure out.

import fursure
fursure.train("photos", "pets.fursure")
fursure.load("pets.fursure").predict("photo.jpg").answer   # "cat", "unsure" or "stranger"
"""

import importlib
from typing import TYPE_CHECKING, Any

from fursure.engine.libraries import opt_out

opt_out()  # first of all: what else is imported may bring an engine along

if TYPE_CHECKING:
    from fursure.bundle.bundle import Bundle
    from fursure.commands.api import evaluate, load, train
    from fursure.dataset.manifest import Manifest
    from fursure.engine.predictor import Predictor
    from fursure.errors import BadImage, FursureError
    from fursure.metrics.classification import Evaluation
    from fursure.prediction import Prediction
    from fursure.recipe import Recipe

__all__ = [
    "BadImage",
    "Bundle",
    "Evaluation",
    "FursureError",
    "Manifest",
    "Prediction",
    "Predictor",
    "Recipe",
    "evaluate",
    "load",
    "train",
]

_HOMES = {
    "BadImage": "errors",
    "Bundle": "bundle.bundle",
    "Evaluation": "metrics.classification",
    "FursureError": "errors",
    "Manifest": "dataset.manifest",
    "Prediction": "prediction",
    "Predictor": "engine.predictor",
    "Recipe": "recipe",
    "evaluate": "commands.api",
    "load": "commands.api",
    "train": "commands.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import fursure`` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fursure' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fursure.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
