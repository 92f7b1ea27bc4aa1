"""What runs leave under FURSURE_HOME is listed with its size, and cleared."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fursure.cli import cli
from fursure.commands.caches import cached, clear
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.features.cache import VECTORS, DiskCache
from fursure.finetuning.checkpoint import save_checkpoint
from fursure.finetuning.pixels import pixels
from fursure.photos.preprocess import Preprocess
from fursure.report import receipt

SIDE = 32  # pixels


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home of this test's own."""
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def left_behind(home: Path, drawings: Path, tmp_path: Path) -> Path:
    """Return the home after an interrupted fine-tuning, a table and a converted network."""
    with open_source(drawings) as source:
        photos = list_photos(source).photos[:3]
        pixels(source, photos, Preprocess(size=SIDE), threads=1)
    (home / "pixels" / "0123.77.part").write_bytes(bytes(1_000))  # killed while it was written
    for step in range(2):
        tensors = {"weights": torch.zeros(250_000)}
        save_checkpoint(home / "training" / "0123", tensors, {"step": step}, of={})
    table = tmp_path / "answers.csv"
    table.write_text("path,answer")
    receipt.keep(table, {}, receipt.Names(["a.jpg"]), 0)
    (home / "engines").mkdir()
    (home / "engines" / "selftest.json").write_text("{}")
    (home / "backbones").mkdir()
    for name in ("0123.onnx", "0123.json"):
        (home / "backbones" / name).write_bytes(b"converted")
    return home


def test_what_interrupted_trainings_leave_is_listed_with_its_size(left_behind: Path) -> None:
    rows = {(one.kind, Path(one.path).suffix): one for one in cached()}
    entries = {key: one.entries for key, one in rows.items()}
    assert entries == {
        ("pixels", ".npy"): 3,
        ("pixels", ".part"): 0,
        ("training", ""): 2,
        ("tables", ""): 1,
        ("engines", ""): 1,
        ("backbones", ".onnx"): 1,
    }
    assert rows["training", ""].megabytes == pytest.approx(2.0, abs=0.01)  # 250,000 x 4 bytes, 2 x
    assert rows["pixels", ".npy"].megabytes == pytest.approx(3 * SIDE**2 * 3 / 1e6, abs=2e-4)


def test_clearing_leaves_nothing_but_converted_networks(left_behind: Path) -> None:
    listed = sum(one.megabytes for one in cached() if one.kind != "backbones")
    assert clear() / 1e6 == pytest.approx(listed)
    assert [one.kind for one in cached()] == ["backbones"]
    assert {one.parent.name for one in left_behind.rglob("*") if one.is_file()} == {"backbones"}
    clear(include_backbones=True)
    assert not [one for one in left_behind.rglob("*") if one.is_file()]


def test_the_command_lists_and_clears_the_same(left_behind: Path) -> None:
    run = CliRunner().invoke(cli, ["cache", "list", "--json"])
    kinds = [json.loads(line)["kind"] for line in run.stdout.splitlines()]
    assert kinds == ["pixels", "pixels", "training", "tables", "engines", "backbones"]
    run = CliRunner().invoke(cli, ["cache", "clear"])
    assert "removed 2.0 MB" in run.stderr
    assert CliRunner().invoke(cli, ["cache"]).stdout.startswith("backbones ")


def test_the_logs_of_a_database_count_and_go_with_it(home: Path) -> None:
    with closing(DiskCache(home / "features" / "0123.sqlite", VECTORS)) as features:
        features.update({"00" * 32: np.zeros(5_000, np.float32)})  # in the log until it is closed
        (row,) = cached()
        assert row.entries == 1
        assert row.megabytes > 0.01
        assert clear() / 1e6 == pytest.approx(row.megabytes)
        assert not list((home / "features").iterdir())


def test_pixels_that_a_training_still_reads_may_be_cleared(left_behind: Path) -> None:
    (path,) = (left_behind / "pixels").glob("*.npy")
    pixels_NHWC = np.load(path, mmap_mode="r")
    before = np.array(pixels_NHWC)
    clear()
    assert np.array_equal(pixels_NHWC, before)
