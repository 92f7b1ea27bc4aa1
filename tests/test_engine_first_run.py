"""A network of a stranger is run first in a child: it may ask for terabytes, or for years."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from samples import network_into

from fursure.backbones.kinds import load_backbone
from fursure.engine import first_run
from fursure.engine.first_run import check_first_run
from fursure.engine.predictor import Predictor
from fursure.errors import EngineFailed
from fursure.training.train import Trained


@pytest.fixture(autouse=True)
def _new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))


def greedy(*, elements: int = 64, products: int = 0) -> bytes:
    """Return a network that makes a tensor, and multiplies another with itself again and again."""
    side = 4_000
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("Expand", ["one", "square"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{n}", "m0"], [f"m{n + 1}"]) for n in range(products)),
        helper.make_node("ReduceMax", [f"m{products}"], ["last"], keepdims=0),
        helper.make_node("Add", ["most", "last"], ["both"]),
        helper.make_node("Add", ["means", "both"], ["features"]),
    ]
    constants = {
        "shape": np.array([elements]),
        "axes": np.array([1, 2]),
        "one": np.zeros((1, 1), np.float32),
        "square": np.array([side if products else 1] * 2),
    }
    graph = helper.make_graph(
        nodes,
        "greedy",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def no_child(*_args: Any, **_options: Any) -> None:
    raise AssertionError("a child was started")


def test_a_network_that_ran_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    check_first_run(greedy())
    monkeypatch.setattr("subprocess.run", no_child)
    check_first_run(greedy())
    with pytest.raises(AssertionError, match="a child was started"):
        check_first_run(greedy(elements=65))


def test_a_network_that_asks_for_ten_terabytes_is_refused() -> None:
    with pytest.raises(EngineFailed, match=r"asks for more than 4\.0 GiB of memory for 2 photos"):
        check_first_run(greedy(elements=10**13 // 4))


@pytest.mark.long
def test_a_network_that_multiplies_for_hours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = greedy(products=15_625)  # of 6.4e10 each: 1e15
    monkeypatch.setattr(first_run, "SECONDS", 0.5)
    with pytest.raises(EngineFailed, match="not done with 2 photos after 1 seconds"):
        check_first_run(hours)


def test_a_network_that_ends_its_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr(first_run, "FIRST_RUN_COMMAND", dies)
    with pytest.raises(EngineFailed, match="ends the process that runs it"):
        check_first_run(greedy())


def test_what_the_engine_refuses_in_words_is_left_to_whoever_opens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_first_run(b"no network")
    monkeypatch.setattr("subprocess.run", no_child)
    with pytest.raises(AssertionError):  # nor is it remembered
        check_first_run(b"no network")


def test_models_and_backbones_of_strangers_are_tried(trained: Trained, tmp_path: Path) -> None:
    endless = greedy(elements=10**13 // 4)
    with pytest.raises(EngineFailed, match="GiB of memory"):
        Predictor.open(replace(trained.bundle, model=endless))
    path = Path(network_into(tmp_path / "net"))
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([10**13]), "shape"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["large"]))
    model.graph.node.insert(1, helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0))
    model.graph.node.insert(2, helper.make_node("Add", ["input", "most"], ["more"]))
    model.graph.node[3].input[0] = "more"
    onnx.save(model, path)
    with pytest.raises(EngineFailed, match="GiB of memory"):
        load_backbone(str(path))


def test_what_ships_with_fursure_and_what_was_trained_here_starts_no_child(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_run.mark_as_run(
        trained.bundle.model
    )  # into the home of this test, as `train` did into its own
    monkeypatch.setattr("subprocess.run", no_child)
    from fursure.bundle.named import shipped

    Predictor.open(trained.bundle, engine="onnxruntime")
    Predictor.open(shipped("pets"), engine="onnxruntime")
