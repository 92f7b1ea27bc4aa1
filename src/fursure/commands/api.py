"""What `import fursure` offers: training, models by path, and their figures.

Each keyword is a value of its own here, so that a call reads like the command line; within the
package they travel as a `Dataset` and a `Run`.
"""

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

from fursure.bundle.named import find_model
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.engine.predictor import Predictor
from fursure.evaluation.evaluate import Evaluated, evaluate_model
from fursure.recipe import Engine, Recipe
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.run import Progress, Run, Say, silent, to_nobody
from fursure.training.train import Trained, train_model

Location = str | PathLike[str]


def train(
    data: Location,
    output: Location,
    recipe: Recipe = LINEAR_PROBE,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    rename: Mapping[str, str] | None = None,
    corrections: Location | None = None,
    head: Any = None,
    division: Manifest | None = None,
    strangers: Location | None = None,
    overwrite: bool = False,
    report: bool = False,
    progress: Progress = silent,
    say: Say = to_nobody,
) -> Trained:
    """Train a classifier on the labelled photos in ``data`` and write it to ``output``.

    Labels are found in file names by ``label_regex``, and those in ``rename`` become others. The
    file ``corrections`` holds verdicts on photos, as a review writes them. The other keywords are
    those of `fursure.training.train.train_model`.

    Raises:
        FursureError: the photos, the backbone or the output cannot be used; the message says
            what was found, what is needed and what to try next.
    """
    return train_model(
        Dataset(data, label_regex, rename or {}, corrections),
        output,
        recipe,
        Run(engine=engine, threads=threads, progress=progress, say=say),
        head=head,
        division=division,
        strangers=strangers,
        overwrite=overwrite,
        report=report,
    )


def load(
    model: Location = "pets",
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


def evaluate(
    model: Location,
    data: Location,
    *,
    include_seen: bool = False,
    engine: Engine = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    label_regex: str | None = None,
    rename: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Evaluated:
    """Return the figures of ``model`` on the labelled photos in ``data``.

    Photos it was made from are left out and counted, unless ``include_seen``.

    Raises:
        FursureError: the model or the data cannot be used.
    """
    return evaluate_model(
        find_model(fspath(model)),
        Dataset(data, label_regex, rename or {}),
        Run(engine=engine, threads=threads, progress=progress),
        include_seen=include_seen,
        max_error=max_error,
    )
