"""What trackers of experiments are told of a training, read back with their own tools."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest import mock

import pytest
from console import fursure

from fursure.errors import MissingExtra, TrackerFailed
from fursure.training import trackers
from fursure.training.trackers import Tracked, Tracker, track
from fursure.training.train import Trained

EPOCHS = [
    {"run": 1, "stage": 1, "number": 0, "train_loss": None, "val_loss": 0.7, "val_accuracy": 0.5},
    {"run": 1, "stage": 1, "number": 1, "train_loss": 0.6, "val_loss": 0.4, "val_accuracy": 0.8},
    {"run": 2, "stage": 1, "number": 0, "train_loss": None, "val_loss": 0.3, "val_accuracy": 0.9},
]


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Put back what a tracker was told by variables."""
    names = ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY")
    rest = {name: value for name, value in os.environ.items() if name not in names}
    with mock.patch.dict(os.environ, rest, clear=True):
        yield


@pytest.fixture
def finished(trained: Trained, tmp_path: Path) -> Trained:
    """Return a training with curves of two runs and a page, in a folder of its own."""
    path = tmp_path / "drawn.fursure"
    shutil.copy(trained.path, path)
    curve = [{"knob": 1.0, "validation_log_loss": 0.5}, {"knob": 0.3, "validation_log_loss": 0.25}]
    metrics = {"curve": curve, "epochs": EPOCHS}
    (tmp_path / "drawn.metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "drawn.report.html").write_text("<h1>drawn</h1>")
    return replace(trained, path=path)


def figure(trained: Trained) -> dict[str, float]:
    return trained.bundle.meta.figures["accuracy"]  # type: ignore[no-any-return]


def test_a_training_is_knobs_passes_and_figures_with_their_intervals(finished: Trained) -> None:
    tracked = Tracked.of(finished)
    assert tracked.knobs["head.kind"] == "LogisticRegression"
    assert tracked.knobs["flips"] == "false"
    assert "tune" not in tracked.knobs  # at rest
    assert tracked.figures["accuracy.low"] == figure(finished)["low"]
    assert tracked.passes == (
        (0, {"head/knob": 1.0, "head/validation_log_loss": 0.5}),
        (1, {"head/knob": 0.3, "head/validation_log_loss": 0.25}),
        (0, {"run1/stage": 1, "run1/val_loss": 0.7, "run1/val_accuracy": 0.5}),
        (
            1,
            {"run1/stage": 1, "run1/train_loss": 0.6, "run1/val_loss": 0.4}
            | {"run1/val_accuracy": 0.8},
        ),
        (0, {"run2/stage": 1, "run2/val_loss": 0.3, "run2/val_accuracy": 0.9}),
    )


def test_tensorboard_reads_curves_figures_and_recipe(finished: Trained) -> None:
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    said = track(finished, "tensorboard")
    track(finished, "tensorboard")  # the same model is the same run
    runs = finished.path.parent / "runs"
    (folder,) = runs.iterdir()
    assert said == f"tensorboard --logdir {runs} shows the run {folder.name}"
    events = accumulator.EventAccumulator(str(folder)).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("run1/val_loss")]
    assert losses == [(0, pytest.approx(0.7)), (1, pytest.approx(0.4))]
    (accuracy,) = events.Scalars("figures/accuracy")
    assert accuracy.value == pytest.approx(figure(finished)["value"])
    (text,) = events.Tensors("recipe/text_summary")
    assert "| head.kind | LogisticRegression |" in text.tensor_proto.string_val[0].decode()


@pytest.mark.long
def test_mlflow_reads_curves_figures_recipe_and_page(finished: Trained) -> None:
    mlflow = pytest.importorskip("mlflow")
    track(finished, "mlflow")
    track(finished, "mlflow")  # the same model is the same run
    client = mlflow.MlflowClient((finished.path.parent / "mlruns").as_uri())
    number = client.get_experiment_by_name("fursure").experiment_id
    (run,) = client.search_runs([number])
    assert (run.info.run_name, run.info.status) == ("drawn", "FINISHED")
    assert run.data.params["head.kind"] == "LogisticRegression"
    assert run.data.metrics["accuracy"] == pytest.approx(figure(finished)["value"])
    history = client.get_metric_history(run.info.run_id, "run1/val_loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.7), (1, 0.4)]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["drawn.report.html"]


@pytest.mark.long
def test_wandb_keeps_curves_figures_recipe_and_page_offline(finished: Trained) -> None:
    pytest.importorskip("wandb")
    protocol: Any = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    said = track(finished, "wandb")
    (folder,) = (finished.path.parent / "wandb").glob("offline-run-*")
    assert said == f"wandb sync {folder} sends the run drawn"
    history: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for record in _whole_log(next(folder.glob("*.wandb")), protocol.Record):
        history += [_items(record.history.item)] if record.history.item else []
        summary |= _items(record.summary.update)
        config |= _items(record.run.config.update)
    losses = [(row["pass"], row["run1/val_loss"]) for row in history if "run1/val_loss" in row]
    assert losses == [(0, 0.7), (1, 0.4)]
    assert summary["accuracy"] == pytest.approx(figure(finished)["value"])
    assert config["head.kind"] == "LogisticRegression"
    (page,) = folder.rglob("*.html")
    assert page.read_text() == "<h1>drawn</h1>"


def _whole_log(path: Path, kind: Any) -> list[Any]:
    """Return the records of a run, once the process that writes them has written the last one."""
    patience = monotonic() + 30
    while monotonic() < patience:
        records = [kind.FromString(data) for data in _log_records(path.read_bytes())]
        if any(record.HasField("exit") for record in records):
            return records
        sleep(0.05)
    raise AssertionError(f"{path} has no end")


def _log_records(data: bytes) -> Iterator[bytes]:
    """Yield what a log of LevelDB holds, in blocks of 32 KiB behind a header of 7 bytes."""
    block, whole, at = 2**15, b"", 7
    while at + 7 < len(data):
        if block - at % block < 7:  # no room for another head
            at += block - at % block
            continue
        size, kind = struct.unpack_from("<4xHB", data, at)
        if at + 7 + size > len(data):  # it is being written
            return
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in {1, 4}:  # all of a record, or its last part
            yield whole
            whole = b""


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_a_tracker_that_is_not_installed_is_told_before_training(
    monkeypatch: pytest.MonkeyPatch, drawings: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _name: None)
    output = tmp_path / "net.fursure"
    run = fursure("train", drawings, "-o", output, "--log", "mlflow")
    assert run.returncode == 1
    assert "--log mlflow needs the extra 'mlflow'; run: pip install 'fursure[mlflow]'" in run.stderr
    assert not output.exists()
    with pytest.raises(MissingExtra, match="wandb"):
        trackers.check_trackers(["wandb"])


def test_a_tracker_that_fails_leaves_the_model_and_says_so(
    finished: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_tracked: Tracked) -> str:
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(trackers, "_into_mlflow", fails)
    words = r"drawn\.fursure is written, but mlflow did not take its run \(nobody is there\)"
    with pytest.raises(TrackerFailed, match=words):
        track(finished, "mlflow")


def test_offline_no_server_is_told(finished: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURSURE_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    with pytest.raises(TrackerFailed, match="FURSURE_OFFLINE or HF_HUB_OFFLINE forbids the netw"):
        track(finished, "mlflow")


def test_training_tells_the_tracker_that_was_named(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Tracker] = []

    def tell(_trained: Trained, tracker: Tracker) -> str:
        told.append(tracker)
        return "told"

    monkeypatch.setattr(trackers, "track", tell)
    args = ("-o", tmp_path / "net.fursure", "--image-size", "96", "--no-report")
    run = fursure("train", drawings, *args, "--log", "tensorboard")
    assert run.returncode == 0, run.stderr
    assert told == ["tensorboard"]
    assert "told\n" in run.stderr


def test_no_tracker_is_imported_unless_it_is_asked_for() -> None:
    names = ["tensorboardX", "mlflow", "wandb"]
    code = (
        f"import sys, fursure.cli.train, fursure.training.trackers as t; "
        f"t.check_trackers({['tensorboard']}); print([m for m in {names} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
