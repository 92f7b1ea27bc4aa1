"""What `import fursure` offers: each command as a function, and models by path.

Each keyword is a value of its own here, so that a call reads like the command line; within the
package they travel as a `Dataset` and a `Run`. What a model does not need to answer is imported
inside the functions: the base install, and a quick start.
"""

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fursure.bundle.named import find_model
from fursure.engine.predictor import Predictor
from fursure.errors import FursureError
from fursure.recipe import Recipe
from fursure.run import Engine, Progress, Run, Say, silent, to_nobody

if TYPE_CHECKING:
    from fursure.check.check import Checked
    from fursure.commands.export import Exported
    from fursure.commands.split import Divided, Form, FormName
    from fursure.compare.compare import Ladder
    from fursure.dataset.manifest import Manifest
    from fursure.evaluation.evaluate import Evaluated
    from fursure.exporting.ported import StoredAs
    from fursure.rows.photo import Split
    from fursure.splitting.exact_counts import Amount
    from fursure.training.train import Trained
    from fursure.tuning.tune import Tuning

Location = str | PathLike[str]


def train(
    data: Any,
    output: Location,
    recipe: Recipe | str = "linear-probe",
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    label_column: str | None = None,
    rename: Mapping[str, str] | None = None,
    corrections: Location | None = None,
    head: Any = None,
    division: "Manifest | None" = None,
    strangers: Location | None = None,
    overwrite: bool = False,
    report: bool = False,
    progress: Progress = silent,
    say: Say = to_nobody,
) -> "Trained":
    """Train a classifier on the labelled photos in ``data`` and write it to ``output``.

    ``data`` is a folder, an archive or a table by its path; a DataFrame or a data set with photos
    and labels; or a pair (photos, labels). Labels are found in file names by ``label_regex``, or
    in a table's ``label_column``, and those in ``rename`` become others. The file ``corrections``
    holds verdicts on photos, as a review writes them. ``recipe`` may be named. The other keywords
    are those of `fursure.training.train.train_model`.

    Raises:
        FursureError: the photos, the backbone or the output cannot be used; the message says
            what was found, what is needed and what to try next.
        TypeError: ``data`` is nothing of the kind.
    """
    from fursure.python.held import data_from
    from fursure.training.train import train_model

    return train_model(
        data_from(data, label_regex, rename, corrections, label_column),
        output,
        _recipe(recipe),
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
    """Return a model ready to predict: a `.fursure` file, ``hub:ORG/NAME`` or ``pets``.

    Raises:
        BadBundle: there is none, or it is damaged.
        RiskNotCertified: it keeps no risk as low as ``max_error``.
        EngineFailed: the engine cannot run it here.
    """
    bundle = find_model(fspath(model))
    return Predictor.open(bundle, engine=engine, threads=threads, max_error=max_error)


def evaluate(
    model: Location,
    data: Any,
    *,
    include_seen: bool = False,
    engine: Engine = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    label_regex: str | None = None,
    label_column: str | None = None,
    rename: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> "Evaluated":
    """Return the figures of ``model`` on the labelled photos in ``data``, which is as for `train`.

    Photos it was made from are left out and counted, unless ``include_seen``.

    Raises:
        FursureError: the model or the data cannot be used.
    """
    from fursure.evaluation.evaluate import evaluate_model
    from fursure.python.held import data_from

    return evaluate_model(
        find_model(fspath(model)),
        data_from(data, label_regex, rename, label_column=label_column),
        Run(engine=engine, threads=threads, progress=progress),
        include_seen=include_seen,
        max_error=max_error,
    )


def check(
    data: Any,
    output: Location | None = None,
    *,
    label_studio: Location | None = None,
    backbone: str = "lite0",
    most: int = 400,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    label_column: str | None = None,
    rename: Mapping[str, str] | None = None,
    corrections: Location | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    say: Say = to_nobody,
) -> "Checked":
    """Look for what is wrong with the labelled photos in ``data``, which is as for `train`.

    ``output`` gets a page that shows at most ``most`` findings as pictures, to be decided on;
    ``label_studio`` gets them as tasks for Label Studio.

    Raises:
        FursureError: the photos, the corrections or the page cannot be used as asked.
    """
    from fursure.check.check import check_data
    from fursure.python.held import data_from

    return check_data(
        data_from(data, label_regex, rename, corrections, label_column),
        Run(engine=engine, threads=threads, progress=progress, say=say),
        backbone=backbone,
        output=output,
        label_studio=label_studio,
        most=most,
        overwrite=overwrite,
    )


def compare(
    data: Any,
    folder: Location,
    recipes: Recipe | str | Sequence[Recipe | str] = ("linear-probe", "mlp-probe"),
    *,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    curve: bool = True,
    elsewhere: Location | None = None,
    strangers: Location | None = None,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    label_column: str | None = None,
    rename: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    say: Say = to_nobody,
) -> "Ladder":
    """Train every recipe on one split of ``data``, which is as for `train`, and compare them.

    ``folder`` gets a model for each, the split, and the ladder as JSON and as a picture.

    Raises:
        FursureError: the photos, the folder or the list of recipes cannot be used.
    """
    from fursure.compare.compare import compare_recipes
    from fursure.features.division import Shares
    from fursure.python.held import data_from

    return compare_recipes(
        data_from(data, label_regex, rename, label_column=label_column),
        folder,
        list(map(_recipe, [recipes] if isinstance(recipes, Recipe | str) else recipes)),
        Run(engine=engine, threads=threads, progress=progress, say=say),
        shares=Shares(validation=validation, test=test, seed=seed),
        curve=curve,
        elsewhere=elsewhere,
        strangers=strangers,
        overwrite=overwrite,
    )


def tune(
    data: Any,
    output: Location,
    recipe: Recipe | str = "linear-probe",
    *,
    trials: int | None = None,
    minutes: float | None = None,
    backbones: str | Sequence[str] = (),
    together: bool = False,
    flips: bool = False,
    networks: bool = False,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    label_column: str | None = None,
    rename: Mapping[str, str] | None = None,
    corrections: Location | None = None,
    overwrite: bool = False,
    report: bool = False,
    progress: Progress = silent,
    say: Say = to_nobody,
) -> "Tuning":
    """Search for the recipe that suits ``data``, which is as for `train`; train ``output`` by it.

    It begins with ``recipe`` and tries as many as ``trials`` or ``minutes`` say, of which one is
    needed; the same call goes on where it was interrupted. The other keywords are those of
    `fursure.tuning.tune.tune_recipe`.

    Raises:
        FursureError: the photos, a backbone or the output cannot be used, no end of the search
            was named, or Optuna is missing.
    """
    from fursure.features.division import Shares
    from fursure.python.held import data_from
    from fursure.tuning.study import SearchLimits
    from fursure.tuning.tune import tune_recipe

    return tune_recipe(
        data_from(data, label_regex, rename, corrections, label_column),
        output,
        _recipe(recipe),
        Run(engine=engine, threads=threads, progress=progress, say=say),
        limits=SearchLimits(trials=trials, minutes=minutes),
        shares=Shares(validation=validation, test=test, seed=seed),
        backbones=[backbones] if isinstance(backbones, str) else backbones,
        together=together,
        flips=flips,
        networks=networks,
        overwrite=overwrite,
        report=report,
    )


def split(
    data: Location,
    out: Location,
    wanted: "Mapping[Split, Amount] | None" = None,
    *,
    form: "Form | FormName" = "folders",
    seed: int = 0,
    engine: Engine = "auto",
    threads: int | None = None,
    label_regex: str | None = None,
    label_column: str | None = None,
    rename: Mapping[str, str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    say: Say = to_nobody,
) -> "Divided":
    """Divide the labelled photos on disk at ``data`` into parts, and write these into ``out``.

    ``wanted`` are counts (int) or shares (float) of train, val and test; ``form`` is "folders",
    "npy", "webdataset", "parquet", or `fursure.commands.split.Folders`, `Arrays` or `Sharded` with
    what these ask; the last two also go to a URL.

    Raises:
        FursureError: the photos or the folder cannot be used as asked.
    """
    from fursure.commands.split import split_data
    from fursure.dataset.labelled import Dataset

    return split_data(
        Dataset(data, label_regex, rename or {}, label_column=label_column),
        out,
        wanted,
        Run(engine=engine, threads=threads, progress=progress, say=say),
        form=form,
        seed=seed,
        overwrite=overwrite,
    )


def export(
    model: Location,
    folder: Location,
    *,
    to: str = "web",
    precision: "StoredAs" = "fp32",
    calibrate: Location | None = None,
    batch: int | None = None,
    opset: int | None = None,
    runtime: Location | None = None,
    max_error: float | None = None,
    say: Say = to_nobody,
) -> "Exported":
    """Write what runs ``model`` elsewhere into a new ``folder``: for "web" a page that answers.

    The others are "onnx", "openvino", "triton" and "kserve". ``precision`` is of the weights, and
    int8 needs photos to ``calibrate`` on; ``batch`` photos a call are fixed, None leaves them open;
    ``opset`` is of ONNX; ``runtime`` is a folder with onnxruntime-web.

    Raises:
        FursureError: the model, the folder or something asked for cannot be used.
    """
    from fursure.commands.export import export_model
    from fursure.exporting.ported import Wishes
    from fursure.exporting.targets import TARGETS

    if to not in TARGETS:
        raise FursureError(f"nothing is called {to!r}; a model goes to {', '.join(TARGETS)}.")
    wishes = Wishes(
        precision=precision,
        calibrate=None if calibrate is None else Path(calibrate),
        batch=batch,
        opset=opset,
        runtime=None if runtime is None else Path(runtime),
    )
    bundle, run = find_model(fspath(model)), Run(say=say)
    return export_model(bundle, to, Path(folder), run, max_error=max_error, wishes=wishes)


def _recipe(recipe: Recipe | str) -> Recipe:
    """Return a recipe, by its name or that of a `.toml` file."""
    from fursure.recipes.toml import open_recipe

    return open_recipe(recipe) if isinstance(recipe, str) else recipe
