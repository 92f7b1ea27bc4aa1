"""The work of a cluster gives the rows of this machine; workers are lost on the way."""

from pathlib import Path

import numpy as np
import pytest
from console import fursure
from crews import in_this_process

from fursure.bundle.bundle import Bundle
from fursure.cluster.workbench import Workbench, check_engine
from fursure.errors import EngineFailed
from fursure.features.cache import VECTORS, DiskCache
from fursure.recipe import Recipe
from fursure.run import Run
from fursure.training.train import Trained, train_model


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("reading", "answering"):
        monkeypatch.setattr(f"fursure.cluster.{user}.crew_of", in_this_process)


@pytest.mark.long
def test_predictions_on_a_cluster_are_those_of_this_machine(
    drawings: Path, trained: Trained, tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    asked = ("predict", "-m", trained.path, drawings, tmp_path / "torn.jpg", "-q")
    here = fursure(*asked, "--csv", tmp_path / "here.csv")
    there = fursure(*asked, "--csv", tmp_path / "there.csv", "--on", "ray")
    assert (here.returncode, there.returncode, there.stderr) == (3, 3, "")
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()


@pytest.mark.long
def test_evaluation_on_a_cluster_leaves_out_what_the_model_has_seen(
    drawings: Path, trained: Trained
) -> None:
    asked = ("evaluate", trained.path, drawings, "--json", "--no-report", "-q")
    assert fursure(*asked, "--on", "ray").stdout == fursure(*asked).stdout


@pytest.mark.long
def test_training_on_a_cluster_makes_the_same_model_bit_for_bit(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []
    for name, on in (("here", None), ("there", "ray")):
        monkeypatch.setenv("FURSURE_HOME", str(tmp_path / f"home-{name}"))  # nothing shared
        folder = tmp_path / name
        folder.mkdir()
        run = Run(engine="onnxruntime", on=on)
        models.append(train_model(drawings, folder / "m.fursure", Recipe(), run).path)
    here, there = (Bundle.read(path) for path in models)
    assert there.digest == here.digest
    assert there.meta.figures == here.meta.figures
    manifests = [path.with_name("m.manifest.jsonl").read_bytes() for path in models]
    assert manifests[0] == manifests[1]


@pytest.mark.long
def test_what_this_machine_knows_is_not_computed_again_on_a_cluster(
    drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    first = fursure("check", drawings, "--json", "--on", "ray", "-q")

    def refuse(*_: object) -> None:
        raise AssertionError("a photo was decoded again")

    monkeypatch.setattr("fursure.splitting.scan.decode", refuse)
    again = fursure("check", drawings, "--json", "--on", "ray", "-q")
    assert again.stdout == first.stdout
    assert again.returncode == first.returncode == 0


def test_a_cache_names_the_first_bytes_of_what_it_holds(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "c.sqlite", VECTORS)
    cache.update({digest * 32: np.zeros(2, np.float32) for digest in ("ff", "01")})
    assert cache.short_digests().tolist() == [0x0101010101010101, 0xFFFFFFFFFFFFFFFF]
    cache.close()


def test_a_node_with_another_version_or_another_engine_says_so() -> None:
    job = None  # never opened
    assert Workbench().open(job, "9.9", {}).startswith("it has fursure ")  # type: ignore[arg-type, union-attr]
    check_engine("onnxruntime 1.20 fp32", "onnxruntime 1.30 fp32")
    with pytest.raises(EngineFailed, match=r"onnxruntime 1\.20 fp32, and this machine on openvino"):
        check_engine("onnxruntime 1.20 fp32", "openvino 2025.1 bf16")
