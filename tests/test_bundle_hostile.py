"""Bundles that a stranger changed and summed anew: each command ends in a sentence, or answers."""

import io
import json
import os
import random
import time
import tokenize
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from samples import draw_into, network_into

from fursure.bundle.bundle import Bundle
from fursure.cli import _run
from fursure.commands.api import train
from fursure.connections.limits import ServiceLimits
from fursure.errors import BadBackbone, BadBundle, FursureError
from fursure.graphs.plain import parsed_graph
from fursure.recipe import Recipe
from fursure.service.models import Models, Opening, described
from fuzzing.shapes import TEXTS, summed, zipped
from fuzzing.targets import opened

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of 12 drawn cats and 12 drawn dogs."""
    return draw_into(tmp_path_factory.mktemp("few"), count=12)


@pytest.fixture(scope="module")
def members(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Members:
    """Return the members of a model with a network so small that thousands are tried in a while."""
    folder = tmp_path_factory.mktemp("small")
    recipe = Recipe(backbone=network_into(folder / "net"))
    made = train(data, folder / "m.fursure", recipe, engine="onnxruntime")
    with zipfile.ZipFile(made.path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, members: Members) -> Path:
    """Write a bundle whose sums fit whatever its members are."""
    path.write_bytes(zipped(summed(members)))
    return path


def with_text(members: Members, old: str, new: str) -> Members:
    text = members["bundle.json"].decode()
    assert old in text
    return members | {"bundle.json": text.replace(old, new, 1).encode()}


def changed(members: Members, **values: object) -> Members:
    return members | {
        "bundle.json": json.dumps(json.loads(members["bundle.json"]) | values).encode()
    }


def arrays_of(members: Members, name: str) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(io.BytesIO(members[name])) as arrays:
        return dict(arrays)


def packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


# One flaw each


@pytest.mark.parametrize("text", TEXTS)
def test_a_number_or_word_that_is_none_is_refused(
    members: Members, tmp_path: Path, text: str
) -> None:
    value = json.loads(members["bundle.json"])["temperature"]
    forged = with_text(members, f'"temperature": {value}', f'"temperature": {text}')
    with pytest.raises(BadBundle):
        Bundle.read(written(tmp_path / "m.fursure", forged))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("figures", [], "figures is no table"),
        ("figures", {"accuracy": 1}, "figures lacks balanced_accuracy"),
        ("recipe", {"name": 1}, "recipe lacks backbone"),
        ("data", {}, "data lacks backbone, digest"),
        ("versions", {"numpy": 2}, "versions.numpy is no text"),
        ("features", 7, "do not fit a network with 7"),
        ("features", 6.0, "features is no whole number"),
        ("name", ["pets"], "name is no text"),
    ],
)
def test_a_value_of_another_type_is_named(
    members: Members, tmp_path: Path, name: str, value: object, words: str
) -> None:
    path = written(tmp_path / "m.fursure", changed(members, **{name: value}))
    with pytest.raises(BadBundle, match=words):
        Bundle.read(path)


@pytest.mark.parametrize(
    "figure", ["accuracy", "n", "classes", "confusion", "labels", "log_loss", "basis"]
)
@pytest.mark.parametrize("value", [[], [[1]], "many", {"value": [1]}])
def test_figures_of_another_shape_are_refused(
    members: Members, tmp_path: Path, figure: str, value: object
) -> None:
    figures = json.loads(members["bundle.json"])["figures"] | {figure: value}
    may_be = (figure == "basis" and value == "many") or (figure == "classes" and value == [])
    if may_be or (figure == "confusion" and value == []):
        return
    path = written(tmp_path / "m.fursure", changed(members, figures=figures))
    with pytest.raises(BadBundle, match=r"figures"):
        Bundle.read(path)


def test_an_array_that_claims_a_terabyte_is_refused_before_it_is_made(
    members: Members, tmp_path: Path
) -> None:
    pixels = arrays_of(members, "golden.npz")["pixels"]
    shape = str(pixels.shape).encode()
    huge = shape.replace(b"(2,", b"(2000000000,")
    with zipfile.ZipFile(io.BytesIO(members["golden.npz"])) as archive:
        inner = {name: archive.read(name) for name in archive.namelist()}
    old = inner["pixels.npy"]
    longer = old.replace(shape, huge).replace(b" " * (len(huge) - len(shape)) + b"\n", b"\n", 1)
    assert len(longer) == len(old)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in (inner | {"pixels.npy": longer}).items():
            archive.writestr(name, member)
    path = written(tmp_path / "m.fursure", members | {"golden.npz": buffer.getvalue()})
    with pytest.raises(BadBundle, match="unlike its shape"):
        Bundle.read(path)


def test_a_header_that_python_cannot_even_split_into_words_is_refused(
    members: Members, tmp_path: Path
) -> None:
    """NumPy's own reader raises tokenize.TokenError here."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, ".ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pixels.npy", array)
    path = written(tmp_path / "m.fursure", members | {"golden.npz": buffer.getvalue()})
    with pytest.raises(BadBundle, match="of no kind that a bundle holds"):
        Bundle.read(path)


@pytest.mark.skipif(os.name == "nt", reason="no named pipes among files")
def test_a_pipe_as_a_model_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.fursure")
    with pytest.raises(BadBundle, match="a device or a pipe"):
        Bundle.read(tmp_path / "m.fursure")


def test_a_zip_of_very_many_files_is_refused_before_its_directory_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.fursure"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2000):
            archive.writestr(str(number), b"")
    began = time.process_time()
    with pytest.raises(BadBundle, match="more than the 7 files"):
        Bundle.read(path)
    assert time.process_time() - began < 0.1  # seconds; a million took 7


def forever() -> bytes:
    """Return a network that counts to 10^15 before it answers."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Identity", ["held"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1]),
        ],
    )
    nodes = [helper.make_node("Loop", ["turns", "yes", "x"], ["out"], body=body)]
    graph = helper.make_graph(
        nodes,
        "forever",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
        [
            helper.make_tensor("turns", TensorProto.INT64, [], [10**15]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ],
    )
    return bytes(helper.make_model(graph).SerializeToString())


def test_a_network_that_may_never_end_is_refused_wherever_it_comes_from(
    members: Members, tmp_path: Path
) -> None:
    path = written(tmp_path / "m.fursure", members | {"model.onnx": forever()})
    with pytest.raises(BadBundle, match="may never end"):
        Bundle.read(path)
    with pytest.raises(BadBackbone, match="may never end"):
        parsed_graph(forever(), tmp_path / "net.onnx")


@pytest.mark.parametrize("cut", ["features", "probs"])
def test_a_network_of_other_outputs_is_a_sentence(
    members: Members, tmp_path: Path, data: Path, cut: str
) -> None:
    model = onnx.load_from_string(members["model.onnx"])
    node = next(node for node in model.graph.node if cut in node.output)
    node.output[list(node.output).index(cut)] = "whole"
    for other in model.graph.node:
        other.input[:] = ["whole" if name == cut else name for name in other.input]
    axis = helper.make_tensor("cut.axis", TensorProto.INT64, [1], [1])
    one = helper.make_tensor("cut.one", TensorProto.INT64, [1], [1])
    zero = helper.make_tensor("cut.zero", TensorProto.INT64, [1], [0])
    model.graph.initializer.extend([axis, one, zero])
    inputs = ["whole", "cut.zero", "cut.one", "cut.axis"]
    model.graph.node.append(helper.make_node("Slice", inputs, [cut]))
    for output in model.graph.output:
        if output.name == cut:
            output.type.tensor_type.shape.dim[1].dim_param = "cut"
    forged = members | {"model.onnx": model.SerializeToString()}
    path = written(tmp_path / "m.fursure", forged)
    with pytest.raises(FursureError, match=f"{cut} have the shape"):
        Models([str(path)], Opening(engine="onnxruntime"), ServiceLimits())
    assert _run(["predict", "-m", str(path), str(data / "cat" / "cat.0.jpg")]) == 1


def test_a_refused_swap_is_counted_whatever_was_wrong(
    members: Members, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "m.fursure", members)
    models = Models([str(path)], Opening(engine="onnxruntime"), ServiceLimits())
    before = models[None].predictor
    written(path, changed(members, figures={"accuracy": [1]}))
    [(name, problem)] = models.swap()
    assert name == "m"
    assert "figures lacks" in str(problem)

    def unforeseen(_path: Path) -> Bundle:
        raise tokenize.TokenError("EOF in multi-line statement")

    monkeypatch.setattr(Bundle, "read", unforeseen)
    assert [(name, bool(problem)) for name, problem in models.swap()] == [("m", True)]
    assert models[None].predictor is before


# Very many flaws


def survives(path: Path, data: Path, folder: Path) -> None:
    """Run each command on a bundle: what it raises beside sentences is a failure."""
    photo = str(data / "cat" / "cat.0.jpg")
    for args in (
        ["predict", "-m", str(path), photo, "--json"],
        ["evaluate", str(path), str(data), "--include-seen", "-q", "--report",
         str(folder / "r.html"), "--overwrite"],
        ["train", str(data), "-o", str(path), "-q", "--engine", "onnxruntime"],
        ["train", str(data), "--backbone", str(path), "-o", str(folder / "n.fursure"), "-q",
         "--overwrite", "--engine", "onnxruntime"],
    ):  # fmt: skip
        assert _run(args) in {0, 1, 3}
    try:
        models = Models([str(path)], Opening(engine="onnxruntime"), ServiceLimits())
    except FursureError:
        return
    json.dumps(described(models[None]), allow_nan=False)


@pytest.mark.parametrize(
    ("count", "tried"),
    [
        pytest.param(300, 3, marks=pytest.mark.long),
        pytest.param(5000, 400, marks=pytest.mark.slow),
    ],
)
def test_mutated_bundles_end_in_a_sentence_in_every_command(
    members: Members, data: Path, tmp_path: Path, count: int, tried: int
) -> None:
    accepted, whole, path = 0, zipped(members), tmp_path / "m.fursure"
    change = replace(opened("bundle"), seeds=[whole]).mutator()
    for seed in range(count):
        path.write_bytes(change(whole, random.Random(seed)))
        try:
            Bundle.read(path)
        except BadBundle:
            continue
        accepted += 1
        if accepted <= tried:
            try:
                survives(path, data, tmp_path)
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise
    assert accepted >= tried  # or the loop tests the door alone
