"""Material made by code: a network built by hand, and folders of drawn pictures."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fursure.images.drawings import draw, jpeg

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


def draw_into(folder: Path, *, count: int, kinds: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Fill a class folder for each kind with ``count`` drawings."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for seed in range(count):
            data = jpeg(draw(kind, seed, size=96))  # type: ignore[arg-type]
            (folder / kind / f"{kind}.{seed}.jpg").write_bytes(data)
    return folder
