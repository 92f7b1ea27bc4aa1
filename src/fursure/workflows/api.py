"""What `import fursure` offers beside `train`: models by path, and their figures."""

from os import PathLike, fspath
from typing import Any

from fursure.engine.predictor import Predictor
from fursure.recipe import Engine
from fursure.workflows.evaluate import Evaluated, evaluate_model
from fursure.workflows.predict import find_model


def load(
    model: str | PathLike[str] = "pets",
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    max_error: float | None = None,
) -> Predictor:
    """Return a model ready to predict: a `.fursure` file, or ``pets`` from the package.

    Raises:
        BadBundle: there is none, or it is damaged.
        RiskNotCertified: it keeps no risk as low as ``max_error``.
        EngineFailed: the engine cannot run it here.
    """
    bundle = find_model(fspath(model))
    return Predictor.open(bundle, engine=engine, threads=threads, max_error=max_error)


def evaluate(model: str | PathLike[str], data: str | PathLike[str], **knobs: Any) -> Evaluated:
    """Return the figures of ``model`` on the labelled photos in ``data``.

    The keywords are those of `fursure.workflows.evaluate.evaluate_model`.

    Raises:
        FursureError: the model or the data cannot be used.
    """
    return evaluate_model(find_model(fspath(model)), data, **knobs)
