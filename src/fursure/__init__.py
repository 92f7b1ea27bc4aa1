"""A folder of labelled photos in, a classifier that knows when it is sure out.

import fursure
fursure.train("photos", "pets.fursure")
fursure.load("pets.fursure").predict("photo.jpg").answer   # "cat", "unsure" or "stranger"
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fursure.engine.libraries import opt_out

opt_out()  # first of all: what else is imported may bring an engine along

if TYPE_CHECKING:
    from fursure.bundle.bundle import Bundle
    from fursure.commands.api import check, compare, evaluate, export, load, split, train, tune
    from fursure.dataset.manifest import Manifest
    from fursure.engine.predictor import Predictor
    from fursure.errors import BadImage, FursureError
    from fursure.metrics.classification import Evaluation
    from fursure.prediction import Prediction
    from fursure.python.classifier import FursureClassifier
    from fursure.python.encoder import PhotoEncoder
    from fursure.recipe import Recipe

    __version__: str

__all__ = [
    "BadImage",
    "Bundle",
    "Evaluation",
    "FursureClassifier",
    "FursureError",
    "Manifest",
    "PhotoEncoder",
    "Prediction",
    "Predictor",
    "Recipe",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "export",
    "load",
    "split",
    "train",
    "tune",
]

_HOMES = {
    "BadImage": "errors",
    "Bundle": "bundle.bundle",
    "Evaluation": "metrics.classification",
    "FursureClassifier": "python.classifier",
    "FursureError": "errors",
    "Manifest": "dataset.manifest",
    "PhotoEncoder": "python.encoder",
    "Prediction": "prediction",
    "Predictor": "engine.predictor",
    "Recipe": "recipe",
    "check": "commands.api",
    "compare": "commands.api",
    "evaluate": "commands.api",
    "export": "commands.api",
    "load": "commands.api",
    "split": "commands.api",
    "train": "commands.api",
    "tune": "commands.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import fursure`` itself costs nothing."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("fursure")
    if name not in _HOMES:
        raise AttributeError(f"module 'fursure' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fursure.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package, where `check` and `compare` stay functions once their rooms are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
