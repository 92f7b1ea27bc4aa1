"""Networks of strangers in a model whose sums fit: refused in words, and within bounds."""

import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from samples import draw_into, network_into
from test_bundle_hostile import Members, written
from watching import RUNNING, watched

from fursure.cli import _run
from fursure.commands.api import train
from fursure.recipe import Recipe


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with a network of a few nodes, and photos beside it."""
    folder = tmp_path_factory.mktemp("networks")
    photos = draw_into(folder / "photos", count=12)
    recipe = Recipe(backbone=network_into(folder / "net"))
    return train(photos, folder / "m.fursure", recipe, engine="onnxruntime").path


def outside(location: str) -> Callable[[Any], None]:
    """Return what moves the largest tensor to another file."""

    def change(model: Any) -> None:
        tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
        onnx.external_data_helper.set_external_data(tensor, location=location)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL

    return change


def node(kind: str, domain: str, **attributes: Any) -> Callable[[Any], None]:
    """Return what adds a node."""

    def change(model: Any) -> None:
        added = helper.make_node(kind, [], ["aside"], domain=domain, **attributes)
        model.graph.node.append(added)
        model.opset_import.append(helper.make_opsetid(domain, 1))

    return change


def huge_shape(model: Any) -> None:
    size = helper.make_tensor("size", TensorProto.INT64, [1], [2**40])
    model.graph.initializer.append(size)
    for other in model.graph.node:
        other.output[:] = ["less" if name == "logits" else name for name in other.output]
        other.input[:] = ["less" if name == "logits" else name for name in other.input]
    model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["huge"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0))
    model.graph.node.append(helper.make_node("Add", ["less", "sum"], ["logits"]))


def huge_weights(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [2**20, 2**20]


def no_numbers(model: Any) -> None:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.raw_data) > 64:
            tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()


def a_circle(model: Any) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def graphs_in_graphs(model: Any) -> None:
    inner = helper.make_graph([], "leaf", [], [])
    for number in range(25):  # protobuf reads no more than a hundred messages deep
        branch = helper.make_node("If", ["c"], ["y"], then_branch=inner)
        inner = helper.make_graph([branch], f"g{number}", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["aside"], then_branch=inner))


def renamed(which: str) -> Callable[[Any], None]:
    """Return what gives an input or an output another name."""

    def change(model: Any) -> None:
        getattr(model.graph, which)[0].name = "other"

    return change


def of_text(which: str) -> Callable[[Any], None]:
    """Return what says that an input or an output is text."""

    def change(model: Any) -> None:
        getattr(model.graph, which)[0].type.tensor_type.elem_type = TensorProto.STRING

    return change


def of_version(version: int) -> Callable[[Any], None]:
    """Return what names another version of the operators."""

    def change(model: Any) -> None:
        model.opset_import[0].version = version

    return change


def without(field: str) -> Callable[[Any], None]:
    """Return what removes all nodes, or all weights."""
    return lambda model: model.graph.ClearField(field)


def a_function(model: Any) -> None:
    body = [helper.make_node("Identity", ["a"], ["b"])]
    ids = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("mine", "F", ["a"], ["b"], body, ids))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    added = helper.make_node("F", [model.graph.input[0].name], ["aside"], domain="mine")
    model.graph.node.append(added)


NETWORKS: dict[str, Callable[[Any], None]] = {
    "weights beside it": outside("weights.bin"),
    "weights above it": outside("../../weights.bin"),
    "weights anywhere": outside("/etc/passwd"),
    "weights at an address": outside("http://127.0.0.1:1/weights"),
    "nobody's operator": node("Evil", "evil.example"),
    "an operator in Python": node("PyOp", "ai.onnx.contrib", code="import os"),
    "graphs in graphs": graphs_in_graphs,
    "a shape of 2^40": huge_shape,
    "weights of 2^40": huge_weights,
    "weights that are no numbers": no_numbers,
    "a circle": a_circle,
    "another input": renamed("input"),
    "another output": renamed("output"),
    "an input of text": of_text("input"),
    "an output of text": of_text("output"),
    "operators of the future": of_version(999),
    "operators of no time": of_version(-1),
    "no nodes": without("node"),
    "no weights": without("initializer"),
    "a function of its own": a_function,
}


@pytest.mark.long
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_strange_network_is_refused_in_words_or_answers_within_bounds(
    kind: str,
    made: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(NETWORKS) == 20
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(100_000))
    with zipfile.ZipFile(made) as archive:
        members: Members = {name: archive.read(name) for name in archive.namelist()}
    model = onnx.load_from_string(members["model.onnx"])
    NETWORKS[kind](model)
    path = written(tmp_path / "m.fursure", members | {"model.onnx": model.SerializeToString()})
    photo = made.with_name("photos") / "cat" / "cat.0.jpg"
    began = time.process_time()
    with watched() as events:
        code = _run(["predict", "-m", str(path), "--json", str(photo)])
    told = capfd.readouterr()
    assert time.process_time() - began < 5
    assert not [event for event in events if event[0] in RUNNING]
    assert code == 1 or kind == "a function of its own", told
    assert "Traceback" not in told.err
    assert code == 0 or told.err.startswith("fursure: ")
