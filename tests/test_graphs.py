import itertools
import json

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from samples import SIDE, WIDTH, encoder_graph

from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone
from fursure.graphs.graph import attach_head, encoder_of, half_precision
from fursure.graphs.layers import Dense, Layers
from fursure.graphs.means import levelled, with_means
from fursure.graphs.plain import from_normalised
from fursure.photos.preprocess import Preprocess
from fursure.sureness.calibration import softmax

PREPROCESS = Preprocess(size=SIDE)
LABELS = ("cat", "dog", "fox")


def pixels(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def head(*sizes: int, seed: int = 5) -> Layers:
    rng = np.random.default_rng(seed)
    return Layers(
        tuple(
            Dense(rng.normal(size=(a, b)).astype(np.float32), rng.normal(size=b).astype(np.float32))
            for a, b in itertools.pairwise(sizes)
        )
    )


@pytest.mark.parametrize("sizes", [(WIDTH, 3), (WIDTH, 8, 5, 3)])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_graph_computes_the_head_on_the_features(sizes: tuple[int, ...], count: int) -> None:
    layers = head(*sizes)
    graph = attach_head(encoder_graph(), layers, 1.7, labels=LABELS, preprocess=PREPROCESS)
    out = OnnxRuntime(graph, threads=1)(pixels(count))
    features = OnnxRuntime(encoder_graph(), threads=1)(pixels(count))["features"]
    assert np.allclose(out["features"], features, atol=1e-5)
    assert np.allclose(out["logits"], layers(features), atol=1e-4)
    assert np.allclose(out["probs"], softmax(layers(features), 1.7), atol=1e-5)


def test_the_heat_of_the_top_class_averages_to_its_logit_above_the_mean() -> None:
    layers = head(WIDTH, 3)
    graph = attach_head(encoder_graph(), layers, 1.0, labels=LABELS, preprocess=PREPROCESS)
    out = OnnxRuntime(graph, threads=1)(pixels(5))
    assert out["heat"].shape == (5, 4, 4)
    free = out["logits"] - layers.dense[0].bias_K  # the bias lies on no pixel
    top = out["logits"].argmax(axis=1)
    expected = free[np.arange(5), top] - free.mean(axis=1)
    assert np.allclose(out["heat"].mean(axis=(1, 2)), expected, atol=1e-4)


def test_a_deep_head_has_no_exact_heat_and_offers_none() -> None:
    graph = attach_head(
        encoder_graph(), head(WIDTH, 4, 3), 1.0, labels=LABELS, preprocess=PREPROCESS
    )
    assert set(OnnxRuntime(graph, threads=1)(pixels(1))) == {"probs", "logits", "features"}


def test_labels_and_preprocessing_travel_inside_the_graph() -> None:
    graph = attach_head(encoder_graph(), head(WIDTH, 3), 1.0, labels=LABELS, preprocess=PREPROCESS)
    note = {one.key: json.loads(one.value) for one in onnx.load_from_string(graph).metadata_props}
    assert note["labels"] == list(LABELS)
    assert Preprocess.from_json(note["preprocess"]) == PREPROCESS


def test_the_encoder_comes_back_out_of_a_bundle() -> None:
    graph = attach_head(encoder_graph(), head(WIDTH, 3), 1.0, labels=LABELS, preprocess=PREPROCESS)
    encoder = encoder_of(graph)
    assert len(onnx.load_from_string(encoder).graph.node) == 6
    wanted = OnnxRuntime(encoder_graph(), threads=1)(pixels(3))
    found = OnnxRuntime(encoder, threads=1)(pixels(3))
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in wanted.items()
    }
    assert (
        encoder_of(attach_head(encoder, head(WIDTH, 3), 2.0, labels=LABELS, preprocess=PREPROCESS))
        == encoder
    )


def test_half_precision_halves_the_matrices_and_moves_the_answers_little() -> None:
    small = half_precision(encoder_graph())
    stored = {one.name: one.data_type for one in onnx.load_from_string(small).graph.initializer}
    assert stored["weights.half"] == TensorProto.FLOAT16
    assert stored["scale"] == TensorProto.FLOAT
    wanted = OnnxRuntime(encoder_graph(), threads=1)(pixels(3))["features"]
    found = OnnxRuntime(small, threads=1)(pixels(3))["features"]
    assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max()


def one_convolution(*, groups: int, bias: bool) -> bytes:
    """Return a network whose only layer gives six channels of twelve, three of them colours."""
    rng = np.random.default_rng(8)
    weights = rng.normal(size=(6, 12 // groups, 3, 3)).astype(np.float32)
    constants = {"weights": weights, "bias": rng.normal(size=6).astype(np.float32)}
    names = ["nchw", "weights", "bias"][: 2 + bias]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["colours"], perm=[0, 3, 1, 2]),
        helper.make_node("Concat", ["colours"] * 4, ["nchw"], axis=1),
        helper.make_node("Conv", names, ["features"], group=groups),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6, 14, 14])],
        [numpy_helper.from_array(constants[name], name) for name in names[1:]],
    )
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 3, 6])
def test_a_rounded_convolution_gives_on_average_what_it_gave(groups: int, bias: bool) -> None:
    exact = one_convolution(groups=groups, bias=bias)
    small = half_precision(exact)
    means = OnnxRuntime(with_means(exact), threads=1)(pixels(9))
    off = {}
    for name, graph in {"rounded": small, "levelled": levelled(small, exact, means)}.items():
        given, wanted = (OnnxRuntime(data, threads=1)(pixels(9)) for data in (graph, exact))
        change = given["features"].astype(np.float64) - wanted["features"]
        off[name] = float(np.abs(change.mean(axis=(0, 2, 3))).max())
    assert off["levelled"] < 0.05 * off["rounded"]  # what is left is the border


def test_convolutions_that_share_their_weights_get_a_bias_each() -> None:
    kernel = np.random.default_rng(2).normal(size=(3, 3, 5, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel"], ["first"]),
        helper.make_node("Conv", ["first", "kernel"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3, None, None])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    opset = [helper.make_opsetid("", 18)]
    exact = helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    means = OnnxRuntime(with_means(exact), threads=1)(pixels(9))
    level = levelled(half_precision(exact, smallest=1), exact, means)
    biases = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(level).graph.initializer
        if tensor.name.endswith(".bias")
    }
    first, second = biases.values()
    assert not np.allclose(first, second)


def plain_network(*, pooled: bool = True, dense: bool = True) -> onnx.ModelProto:
    """Return a network as others export it: float N,C,H,W in, class scores out."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(WIDTH, 3, 4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["conv"], strides=[4, 4]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool" if pooled else "GlobalMaxPool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
    ]
    constants = [numpy_helper.from_array(kernel, "kernel")]
    if dense:
        nodes.append(helper.make_node("Gemm", ["flat", "top"], ["scores"]))
        constants.append(numpy_helper.from_array(np.ones((WIDTH, 10), np.float32), "top"))
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", "K"])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_plain_network_becomes_an_encoder_on_raw_pixels() -> None:
    preprocess = Preprocess(size=SIDE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    encoder = from_normalised(plain_network(), preprocess, features=None, name="plain.onnx")
    found = OnnxRuntime(encoder, threads=1)(pixels(3))
    import onnxruntime

    by_hand = (pixels(3) / 255 - np.array(preprocess.mean)) / np.array(preprocess.std)
    model = plain_network()
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["N", "D"]))
    reference = onnxruntime.InferenceSession(model.SerializeToString())
    batch = by_hand.transpose(0, 3, 1, 2).astype(np.float32)
    wanted = reference.run(["flat"], {"input": batch})[0]
    assert np.allclose(found["features"], wanted, atol=1e-4)
    assert np.allclose(found["map"].mean(axis=(2, 3)), wanted, atol=1e-4)


def test_features_that_are_no_mean_of_a_map_have_no_map() -> None:
    encoder = from_normalised(
        plain_network(pooled=False), PREPROCESS, features=None, name="plain.onnx"
    )
    assert set(OnnxRuntime(encoder, threads=1)(pixels(1))) == {"features"}


def test_a_network_without_a_dense_end_asks_for_the_tensor() -> None:
    with pytest.raises(BadBackbone, match="--features-output"):
        from_normalised(plain_network(dense=False), PREPROCESS, features=None, name="plain.onnx")
    encoder = from_normalised(
        plain_network(dense=False), PREPROCESS, features="pool", name="plain.onnx"
    )
    assert OnnxRuntime(encoder, threads=1)(pixels(2))["features"].shape == (2, WIDTH)


def test_a_tensor_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(BadBackbone, match=r"no tensor 'embedding'.*flat"):
        from_normalised(plain_network(), PREPROCESS, features="embedding", name="plain.onnx")
