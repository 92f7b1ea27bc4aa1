"""Operators of ONNX in LiteRT and Core ML, each against ONNX Runtime."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fursure.engine.runtime import OnnxRuntime, Outputs, Pixels
from fursure.errors import ExportFailed
from fursure.graphs.graph import IR_VERSION, OPSET
from fursure.phones.gelu import with_gelus
from fursure.phones.straight import Straight, simplified, straightened

Part = tuple[str, dict[str, Any], list[Any]]  # an operator, its attributes, its further inputs
SIDE, CHANNELS = 11, 6


def weight(*shape: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype(np.float32)


def conv(*shape: int, **attributes: Any) -> Part:
    return "Conv", attributes, [weight(*shape), weight(shape[0])]


PARTS: Mapping[str, list[Part]] = {
    "conv, valid": [conv(4, 6, 3, 3)],
    "conv, SAME_UPPER on an odd side": [conv(4, 6, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2])],
    "conv, SAME_UPPER, the odd cell last": [
        conv(4, 6, 4, 2, auto_pad="SAME_UPPER", strides=[2, 2])
    ],
    "conv, as torch pads": [conv(4, 6, 3, 3, pads=[1, 1, 1, 1], strides=[2, 2])],
    "conv, uneven margins": [conv(4, 6, 3, 5, pads=[0, 2, 1, 3], strides=[1, 2])],
    "conv with gaps": [conv(4, 6, 3, 3, pads=[2, 2, 2, 2], dilations=[2, 2])],
    "conv, each channel alone": [conv(6, 1, 3, 3, group=6, auto_pad="SAME_UPPER")],
    "conv, two outputs a channel": [conv(12, 1, 5, 5, group=6, pads=[2, 2, 2, 2])],
    "conv in groups": [conv(4, 3, 3, 3, group=2)],
    "conv without bias": [("Conv", {}, [weight(4, 6, 1, 1)])],
    "normalised": [
        conv(4, 6, 1, 1),
        ("BatchNormalization", {}, [weight(4), weight(4), weight(4), np.abs(weight(4))]),
    ],
    "clipped on both sides": [("Clip", {}, [np.float32(0), np.float32(6)])],
    "clipped below": [("Clip", {}, [np.float32(0)])],
    "clipped elsewhere": [("Clip", {}, [np.float32(-1), np.float32(2)])],
    "rectified": [("Relu", {}, [])],
    "sigmoid": [("Sigmoid", {}, [])],
    "tanh": [("Tanh", {}, [])],
    "hard sigmoid": [("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, [])],
    "hard swish": [("HardSwish", {}, [])],
    "a root": [("Clip", {}, [np.float32(0)]), ("Sqrt", {}, [])],
    "scaled a channel": [("Mul", {}, [weight(CHANNELS, 1, 1)])],
    "scaled a column": [("Div", {}, [weight(SIDE)])],
    "a row of numbers": [("Add", {}, [np.float32(0.5)]), ("Max", {}, [weight(SIDE, 1)])],
    "largest": [("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [])],
    "largest, uneven": [("MaxPool", {"kernel_shape": [2, 3], "pads": [0, 0, 1, 2]}, [])],
    "average": [("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, [])],
    "average, margins count": [
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, [])
    ],
    "average, margins do not": [
        ("AveragePool", {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}, [])
    ],
    "padded": [("Pad", {}, [np.array([0, 0, 1, 2, 0, 0, 0, 3]), np.float32(2)])],
    "squeezed, as attention does it": [
        ("ReduceMean", {"keepdims": 1}, [np.array([2, 3])]),
        conv(6, 6, 1, 1),
    ],
    "mean of channels": [("ReduceMean", {"keepdims": 0}, [np.array([1])])],
    "mean of all": [("GlobalAveragePool", {}, []), ("Flatten", {"axis": 1}, [])],
    "flat": [("Flatten", {"axis": 1}, []), ("Gemm", {}, [weight(726, 5), weight(5)])],
    "flat, turned": [("Flatten", {"axis": 1}, []), ("Gemm", {"transB": 1}, [weight(5, 726)])],
    "tokens": [
        ("Reshape", {}, [np.array([1, CHANNELS, SIDE * SIDE])]),
        ("Transpose", {"perm": [0, 2, 1]}, []),
        ("LayerNormalization", {"axis": -1}, [weight(CHANNELS), weight(CHANNELS)]),
        ("MatMul", {}, [weight(CHANNELS, 4)]),
        ("Softmax", {"axis": -1}, []),
    ],
    "channels last, as in ConvNeXt": [
        ("Transpose", {"perm": [0, 2, 3, 1]}, []),
        ("LayerNormalization", {"axis": -1, "epsilon": 1e-6}, [weight(6), weight(6)]),
        ("Transpose", {"perm": [0, 3, 1, 2]}, []),
        conv(4, 6, 2, 2),
    ],
    "turned otherwise": [("Transpose", {"perm": [0, 1, 3, 2]}, []), conv(4, 6, 3, 1)],
    "a part": [("Slice", {}, [np.array([1, -4]), np.array([5, 99]), np.array([1, 3])])],
    "joined": [("Concat", {"axis": 1}, [weight(1, 2, SIDE, SIDE)])],
    "one of them": [("Gather", {"axis": 1}, [np.array([4, 0])])],
}


def network(parts: list[Part]) -> bytes:
    """Return a network of ``parts`` one after the other, on maps of pixels."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "spread"], ["map"]),
    ]
    constants = {
        "middle": np.array(127, np.float32),
        "scale": np.array(1 / 64, np.float32),
        "spread": weight(CHANNELS, 3, 1, 1),
    }
    below = "map"
    for row, (kind, attributes, further) in enumerate(parts):
        names = {f"{row}.{place}": np.asarray(value) for place, value in enumerate(further)}
        constants |= names
        above = "probs" if row == len(parts) - 1 else f"value{row}"
        nodes.append(helper.make_node(kind, [below, *names], [above], **attributes))
        below = above
    graph = helper.make_graph(
        nodes,
        "part",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


def same_answers(
    parts: list[Part], opened: Callable[[Straight], Callable[[Pixels], Outputs]]
) -> None:
    plain = network(parts)
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    expected = OnnxRuntime(plain, threads=1)(pixels_NHWC)["probs"]
    found = opened(straightened(simplified(plain)))(pixels_NHWC)["probs"]
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", PARTS)
def test_litert_computes_each_operator_as_onnx_runtime_does(name: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    from fursure.phones.litert import LiteRt, litert_model

    same_answers(PARTS[name], lambda made: LiteRt(litert_model(made)))


@pytest.mark.long
@pytest.mark.parametrize("name", PARTS)
def test_a_core_ml_package_holds_each_operator_as_onnx_runtime_computes_it(name: str) -> None:
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    from fursure.phones.coreml import ReadBack, coreml_package

    same_answers(PARTS[name], lambda made: ReadBack(coreml_package(made)))


GELU: list[Part] = [("Div", {}, [np.float32(np.sqrt(2))]), ("Erf", {}, [])]


def gelu() -> bytes:
    """Return a network with a GELU as torch writes it."""
    model = onnx.load_from_string(network([*GELU, ("Add", {}, [np.float32(1)])]))
    half = numpy_helper.from_array(np.array(0.5, np.float32), "half")
    model.graph.initializer.append(half)
    model.graph.node[-1].output[0] = "sum"
    model.graph.node.append(helper.make_node("Mul", ["sum", "half"], ["halved"]))
    model.graph.node.append(helper.make_node("Mul", ["map", "halved"], ["probs"]))
    return bytes(model.SerializeToString())


def test_a_gelu_is_seen_as_one_and_another_erf_is_not() -> None:
    kinds = [step.kind for step in with_gelus(straightened(simplified(gelu()))).steps]
    assert kinds[-1] == "Gelu"
    assert "Erf" not in kinds
    other = straightened(simplified(network([*GELU, ("Add", {}, [np.float32(2)])])))
    assert "Erf" in [step.kind for step in with_gelus(other).steps]


def test_litert_computes_a_gelu() -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    from fursure.phones.litert import LiteRt, litert_model

    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    expected = OnnxRuntime(gelu(), threads=1)(pixels_NHWC)["probs"]
    found = LiteRt(litert_model(straightened(simplified(gelu()))))(pixels_NHWC)["probs"]
    assert np.allclose(found, expected, atol=1e-5)


UNKNOWN: Mapping[str, tuple[str, list[Part]]] = {
    "an operator": ("the operator Softplus", [("Softplus", {}, [])]),
    "a rare margin": (
        "Conv with margins of the kind SAME_LOWER",
        [conv(4, 6, 3, 3, auto_pad="SAME_LOWER", strides=[2, 2])],
    ),
    "a pool that rounds up": (
        "MaxPool that rounds up",
        [("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, [])],
    ),
    "a scaled product": (
        "a scaled or turned Gemm",
        [("Flatten", {"axis": 1}, []), ("Gemm", {"alpha": 2.0}, [weight(726, 5)])],
    ),
    "a mirror": (
        "a Pad of another kind",
        [("Pad", {"mode": "reflect"}, [np.array([0, 0, 1, 1, 0, 0, 1, 1])])],
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_translation_is_named(name: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    from fursure.phones.litert import litert_model

    what, parts = UNKNOWN[name]
    with pytest.raises(ExportFailed, match=rf"holds {what}.*--to onnx"):
        litert_model(straightened(simplified(network(parts))))


def test_the_numbers_of_a_litert_model_begin_where_it_lets_them() -> None:
    """Unaligned, they are refused by some processors and by the library's own check."""
    pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    from ai_edge_litert import schema_py_generated as schema

    from fursure.phones.litert import litert_model

    data = litert_model(straightened(simplified(network([conv(4, 6, 3, 3)]))))
    assert data[4:8] == b"TFL3"
    model = schema.Model.GetRootAs(data)
    buffers = [model.Buffers(row) for row in range(model.BuffersLength())]
    starts = [
        buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()
    ]
    assert len(starts) > 4
    assert all(start % 16 == 0 for start in starts)
