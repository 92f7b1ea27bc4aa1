"""`fursure show`: what a model is, in words, as JSON and as a picture."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from console import fursure
from onnx import numpy_helper
from PIL import Image
from samples import encoder_graph

from fursure.bundle.named import shipped
from fursure.commands.show import Described, write_confusion
from fursure.errors import BadData
from fursure.graphs.graph import attach_head, half_precision
from fursure.graphs.layers import Dense, Layers
from fursure.graphs.outline import outline_of
from fursure.photos.preprocess import Preprocess
from fursure.report.picture import PAPER, confusion_picture
from fursure.training.train import Trained


def test_the_model_of_the_package_is_shown_unasked() -> None:
    run = fursure("show")
    assert (run.returncode, run.stderr) == (0, "")
    for words in (
        "tells apart  cat, dog",
        "backbone     lite0",
        "49 Conv",
        "224 × 224 px, crop of 0.875, bicubic",
        "12,000 photos: 9,645 to learn from",
        "measured on test photos it had not seen",
        "accuracy           99.06%",
    ):
        assert words in run.stdout


def test_json_has_all_that_the_model_says_of_itself_and_every_layer(trained: Trained) -> None:
    run = fursure("show", trained.path, "--json")
    shown = json.loads(run.stdout)
    assert shown["labels"] == ["cat", "dog"]
    assert shown["model_digest"] == trained.bundle.digest
    assert shown["data"]["digest"] == trained.bundle.meta.data["digest"]
    gemm = [layer for layer in shown["network"]["layers"] if layer["kind"] == "Gemm"]
    assert [layer["shapes"] for layer in gemm] == [[[1280, 2], [2]]]
    assert gemm[0]["weights"] == 2562
    assert "cross-validation, each photo" in fursure("show", trained.path).stdout


def graph() -> bytes:
    head = Layers((Dense(np.ones((6, 70), np.float32), np.ones(70, np.float32)),))
    return attach_head(
        encoder_graph(), head, 1.0, labels=[str(n) for n in range(70)],
        preprocess=Preprocess(size=16),
    )  # fmt: skip


@pytest.mark.parametrize("half", [False, True])
def test_layers_are_those_that_onnx_reads(half: bool) -> None:
    data = half_precision(graph()) if half else graph()
    model = onnx.load_from_string(data)
    sizes = {tensor.name: numpy_helper.to_array(tensor).shape for tensor in model.graph.initializer}
    layers = outline_of(data)
    kinds = [node.op_type for node in model.graph.node]
    folded = sum(node.op_type == "Cast" and node.input[0] in sizes for node in model.graph.node)
    assert len(layers) == len(kinds) - folded
    assert {layer.kind: layer.shapes for layer in layers if layer.kind in {"Conv", "Gemm"}} == {
        "Conv": ((6, 3, 4, 4),),
        "Gemm": ((6, 70), (70,)),
    }


def test_the_confusion_is_drawn_with_the_answers_in_order() -> None:
    picture = np.asarray(confusion_picture([[9, 0], [3, 1]], ["", "WWW"]).convert("L"), int)
    side = picture.shape[0]
    margin = side - 2 * 96 - 16
    top = picture[:margin, margin : side - 16] < 120
    assert top[:, :96].sum() == 0
    assert top[:, 96:].sum() > 50
    left = picture[margin:-16, :margin] < 120
    assert left[:96].sum() == 0
    assert left[96:].sum() > 50
    corner = [
        (margin + 3 + row * 96, margin + 3 + column * 96) for row in (0, 1) for column in (0, 1)
    ]
    shades = [int(picture[place]) for place in corner]
    assert shades[0] < shades[2] < shades[3] < shades[1]
    assert shades[1] == int(np.asarray(Image.new("L", (1, 1), PAPER))[0, 0])


def test_a_hundred_classes_still_fit_on_a_screen() -> None:
    names = [f"a class with a long name {number}" for number in range(100)]
    width, height = confusion_picture(np.eye(100, dtype=int).tolist(), names).size
    assert max(width, height) < 1600


def test_the_picture_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    assert fursure("show", "--png", path).stderr == f"to look at: {path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")
    again = fursure("show", "--png", path)
    assert again.returncode == 1
    assert "already exists (a file); choose another name or pass --overwrite" in again.stderr
    assert fursure("show", "--png", path, "--overwrite").returncode == 0


def test_of_too_many_classes_there_is_no_picture(tmp_path: Path) -> None:
    bundle = shipped("pets")
    figures = {**bundle.meta.figures, "confusion": []}
    many = replace(bundle, meta=replace(bundle.meta, figures=figures))
    with pytest.raises(BadData, match="too many for a picture; its largest confusions are"):
        write_confusion(Described.of(many), tmp_path / "a.png", overwrite=False)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    run = fursure("show", tmp_path / "none.fursure")
    assert run.returncode == 1
    assert "there is no such file; `fursure train` makes one" in run.stderr


def test_showing_needs_no_extra() -> None:
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from fursure.cli import main\nmain(['show', 'pets'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
