"""A finished training → a run in TensorBoard, MLflow or Weights & Biases.

Each is imported only where it is asked for, without the reports that it would send its makers. A
run lies beside the model until its own tool sends it anywhere, unless the tool's own variables
(``MLFLOW_TRACKING_URI``, ``WANDB_MODE`` or ``WANDB_API_KEY``) name a server.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from fursure.errors import MissingExtra, TrackerFailed
from fursure.files import FORBIDDEN, offline
from fursure.training.train import Trained

Tracker = Literal["tensorboard", "mlflow", "wandb"]
TRACKERS: tuple[Tracker, ...] = get_args(Tracker)  # the names of their extras too
_MODULES: dict[Tracker, str] = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
_SILENT = {  # no tool tells its makers what runs here
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
}
_LONGEST = 500  # characters of a knob, which is what MLflow takes
_PROJECT = "fursure"

Value = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What a tracker is told of a training."""

    name: str
    digest: str  # of the model: the same one is one run
    knobs: Mapping[str, Value]  # of the recipe
    figures: Mapping[str, float]  # with the ends of their intervals
    passes: tuple[tuple[int, Mapping[str, float]], ...]  # step, values
    card: str
    page: Path | None
    folder: Path  # of the model

    @classmethod
    def of(cls, trained: Trained) -> "Tracked":
        """Return what there is to tell, the curves as they lie beside the model."""
        meta, path = trained.bundle.meta, trained.path
        metrics = path.with_name(f"{path.stem}.metrics.json")
        curves = json.loads(metrics.read_text("utf-8")) if metrics.is_file() else {}
        page = path.with_name(f"{path.stem}.report.html")
        knobs = dict(_flat("", meta.recipe)) | {"photos digest": meta.data["digest"][:16]}
        return cls(
            name=meta.name,
            digest=trained.bundle.digest,
            knobs=knobs,
            figures=dict(_figures(meta.figures)),
            passes=tuple(_passes(curves)),
            card=trained.bundle.card,
            page=page if page.is_file() else None,
            folder=path.parent.resolve(),
        )


def check_trackers(trackers: Iterable[Tracker]) -> None:
    """Refuse early what could not be told late.

    Raises:
        MissingExtra: a tracker is not installed.
    """
    for tracker in trackers:
        if find_spec(_MODULES[tracker]) is None:
            raise MissingExtra(f"--log {tracker}", tracker)


def track(trained: Trained, tracker: Tracker) -> str:
    """Tell a tracker of a training, and return where its run lies.

    Raises:
        TrackerFailed: it did not take the run; the model is written all the same.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in _SILENT.items()})
    tracked = Tracked.of(trained)
    try:
        match tracker:
            case "tensorboard":
                return _into_tensorboard(tracked)
            case "mlflow":
                return _into_mlflow(tracked)
            case "wandb":
                return _into_wandb(tracked)
    except Exception as error:  # each has errors of its own: servers, files, versions
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise TrackerFailed(
            f"{trained.path} is written, but {tracker} did not take its run ({reason}); the same "
            "command tries that again, without training."
        ) from error


def _into_tensorboard(tracked: Tracked) -> str:
    from tensorboardX import SummaryWriter

    runs = tracked.folder / "runs"
    folder = runs / f"{tracked.name}-{tracked.digest[:8]}"
    if not folder.exists():
        with SummaryWriter(logdir=str(folder)) as writer:
            for step, values in tracked.passes:
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
            for name, value in tracked.figures.items():
                writer.add_scalar(f"figures/{name}", value, 0)
            rows = [f"| {name} | {value} |" for name, value in tracked.knobs.items()]
            writer.add_text("recipe", "\n".join(["| knob | value |", "|---|---|", *rows]))
            writer.add_text("card", tracked.card)
            if tracked.page:
                writer.add_text("report", str(tracked.page.resolve()))
    return f"tensorboard --logdir {runs} shows the run {folder.name}"


def _into_mlflow(tracked: Tracked) -> str:
    server = os.environ.get("MLFLOW_TRACKING_URI")
    if server is None:
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # a database needs more than its client
    elif offline() and not server.startswith(("file:", "sqlite:", "/")):
        raise ConnectionError(f"{FORBIDDEN}, and MLFLOW_TRACKING_URI is {server}")
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    place = server or (tracked.folder / "mlruns").as_uri()
    client = MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name(_PROJECT)
    number = experiment.experiment_id if experiment else client.create_experiment(_PROJECT)
    same = f"tags.`fursure.digest` = '{tracked.digest}' and attributes.status = 'FINISHED'"
    if not client.search_runs([number], same):
        tags = {"fursure.digest": tracked.digest, "mlflow.note.content": tracked.card}
        run = client.create_run(number, run_name=tracked.name, tags=tags).info.run_id
        metrics = [
            Metric(name, value, 0, step)
            for step, values in [*tracked.passes, (0, tracked.figures)]
            for name, value in values.items()
        ]
        params = [Param(name, str(value)) for name, value in tracked.knobs.items()]
        client.log_batch(run, params=params)
        for first in range(0, len(metrics), 1000):  # the most that a server takes at once
            client.log_batch(run, metrics=metrics[first : first + 1000])
        if tracked.page:
            client.log_artifact(run, str(tracked.page))
        client.set_terminated(run)
    return f"mlflow has the run {tracked.name} in {place}"


def _into_wandb(tracked: Tracked) -> str:
    import wandb

    online = not offline() and {"WANDB_MODE", "WANDB_API_KEY"} & os.environ.keys()
    run = wandb.init(
        project=_PROJECT,
        name=tracked.name,
        id=tracked.digest[:16],
        resume="allow" if online else None,
        dir=str(tracked.folder),
        config=dict(tracked.knobs),
        mode=None if online else "offline",
        settings=wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True),
    )
    for step, values in tracked.passes:
        run.log({"pass": step, **values})
    if tracked.page:
        run.log({"report": wandb.Html(tracked.page.read_text("utf-8"), inject=False)})
    run.summary.update(dict(tracked.figures))
    folder = Path(run.dir).parent
    run.finish()
    return str(run.url) if online else f"wandb sync {folder} sends the run {tracked.name}"


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield each knob by its dotted name; those at rest are left out."""
    for name, value in values.items():
        match value:
            case None:
                continue
            case dict():
                yield from _flat(f"{prefix}{name}.", value)
            case bool() | list() | tuple():
                yield f"{prefix}{name}", json.dumps(value)[:_LONGEST]
            case int() | float():
                yield f"{prefix}{name}", value
            case _:
                yield f"{prefix}{name}", str(value)[:_LONGEST]


def _figures(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, figure in figures.items():
        if isinstance(figure, dict) and figure.get("value") is not None:
            yield name, figure["value"]
            yield f"{name}.low", figure["low"]
            yield f"{name}.high", figure["high"]


def _passes(curves: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the steps of the head, then the passes of each run of the network."""
    for step, point in enumerate(curves.get("curve", ())):
        numbers = {name: value for name, value in point.items() if isinstance(value, int | float)}
        yield step, {f"head/{name}": value for name, value in numbers.items()}
    steps: dict[int, int] = {}
    for epoch in curves.get("epochs", ()):
        number = epoch["run"]
        step = steps[number] = steps.get(number, -1) + 1
        named = ("stage", "train_loss", "val_loss", "val_accuracy", "seconds")
        values = {name: epoch[name] for name in named if epoch.get(name) is not None}
        yield step, {f"run{number}/{name}": value for name, value in values.items()}
