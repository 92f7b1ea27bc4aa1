"""Material made by code: a network built by hand, and folders of drawn pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fursure.drawings.draw import draw, jpeg

FORMAT_1 = Path(__file__).parent / "data" / "format-1.fursure"  # as the first fursure wrote it
SIDE, WIDTH = 16, 6  # pixels and features of the hand-built encoder


def encoder_graph(*, seed: int = 0) -> bytes:
    """Return an encoder: a 4x4 convolution with stride 4, a ReLU, and the mean of its map."""
    weights = np.random.default_rng(seed).normal(size=(WIDTH, 3, 4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "weights"], ["conv"], strides=[4, 4]),
        helper.make_node("Relu", ["conv"], ["map"]),
        helper.make_node("ReduceMean", ["map", "axes"], ["features"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(np.array(1 / 255, np.float32), "scale"),
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([2, 3]), "axes"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", WIDTH, 4, 4]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def network_into(
    folder: Path, *, seed: int = 0, opset: int = 18, stride: int = 4, **cfg: Any
) -> str:
    """Write a plain network that takes any size, and its config.json; return the network's path."""
    kernel = np.random.default_rng(seed).normal(size=(WIDTH, 3, 4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["conv"], strides=[stride, stride]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "top"], ["scores"]),
    ]
    top = numpy_helper.from_array(np.ones((WIDTH, 10), np.float32), "top")
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(kernel, "kernel"), top],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    folder.mkdir()
    path = folder / f"{folder.name}.onnx"
    path.write_bytes(model.SerializeToString())
    values = {"input_size": [3, SIDE, SIDE], "mean": [0.4] * 3, "std": [0.2] * 3} | cfg
    (folder / "config.json").write_text(json.dumps({"pretrained_cfg": values}))
    return str(path)


def draw_into(
    folder: Path, *, count: int, kinds: tuple[str, ...] = ("cat", "dog"), first: int = 0
) -> Path:
    """Fill a class folder for each kind with ``count`` drawings, from the seed ``first`` on."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            data = jpeg(draw(kind, seed, size=96))  # type: ignore[arg-type]
            (folder / kind / f"{kind}.{seed}.jpg").write_bytes(data)
    return folder
