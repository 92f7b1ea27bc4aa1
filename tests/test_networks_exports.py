"""ONNX exports as the hub has them (transformers' names, Xenova's and onnx-community's folders)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hub_server import Hub, Repo
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from samples import SIDE, WIDTH
from test_backbones import features, pixels, without_torch

from fursure.backbones.backbone import Backbone
from fursure.backbones.kinds import load_backbone
from fursure.errors import BadBackbone
from fursure.graphs.graph import attach_head
from fursure.graphs.layers import Dense, Layers
from fursure.networks.processor import as_timm

pytest.importorskip("huggingface_hub")

KERNEL = np.random.default_rng(0).normal(size=(WIDTH, 3, 4, 4)).astype(np.float32)
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
PROCESSOR = {
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "image_mean": MEAN,
    "image_std": STD,
}
CARD = b"---\nlicense: other\nlicense_name: dinov3-license\n---\n# A network\n"
NODES: dict[
    str, list[tuple[str, list[str], str, dict[str, Any]]]
] = {  # an output of transformers -> what makes it of map, tokens and twice their mean
    "map": [("Identity", ["maps"], "last_hidden_state", {})],
    "tokens": [("Identity", ["tokens"], "last_hidden_state", {})],
    "with its own": [("Concat", ["twice", "tokens"], "last_hidden_state", {"axis": 1})],
    "pooler_output": [("Flatten", ["twice"], "flat", {}), ("Tanh", ["flat"], "pooler_output", {})],
    "image_embeds": [("Flatten", ["twice"], "flat", {}), ("Neg", ["flat"], "image_embeds", {})],
    "logits": [("Flatten", ["twice"], "flat", {}), ("Gemm", ["flat", "top"], "logits", {})],
}
SHAPES: dict[str, list[str | int]] = {
    "map": ["N", WIDTH, 4, 4],
    "tokens": ["N", 16, WIDTH],
    "with its own": ["N", 17, WIDTH],
    "pooler_output": ["N", WIDTH],
    "image_embeds": ["N", WIDTH],
    "logits": ["N", 10],
}


def network(*outputs: str, opset: int = 14, inputs: tuple[str, ...] = ("pixel_values",)) -> bytes:
    """Return a network with these of `NODES` as its outputs."""
    nodes = [
        helper.make_node("Conv", ["pixel_values", "kernel"], ["maps"], strides=[4, 4]),
        helper.make_node("Reshape", ["maps", "flat shape"], ["cells"]),
        helper.make_node("Transpose", ["cells"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("GlobalAveragePool", ["cells"], ["mean"]),
        helper.make_node("Add", ["mean", "mean"], ["double"]),
        helper.make_node("Transpose", ["double"], ["twice"], perm=[0, 2, 1]),
    ]
    made: dict[str, onnx.NodeProto] = {}
    for output in outputs:
        for kind, read, name, knobs in NODES[output]:
            made[name] = helper.make_node(kind, read, [name], **knobs)
    shape: list[str | int] = ["N", 3, SIDE, SIDE]
    graph = helper.make_graph(
        [*nodes, *made.values()],
        "export",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [
            helper.make_tensor_value_info(NODES[name][-1][2], TensorProto.FLOAT, SHAPES[name])
            for name in outputs
        ],
        [
            numpy_helper.from_array(KERNEL, "kernel"),
            numpy_helper.from_array(np.array([0, WIDTH, 16]), "flat shape"),
            numpy_helper.from_array(np.ones((WIDTH, 10), np.float32), "top"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def mean_of_map(count: int) -> NDArray[np.float64]:
    """Return what the convolution comes to on the pixels of `features`, its cells averaged."""
    batch = (pixels(count) / 255 - np.array(MEAN)) / np.array(STD)
    cells = batch.transpose(0, 3, 1, 2).reshape(count, 3, 4, 4, 4, 4)  # N C h y w x
    return np.einsum("nchywx,dcyx->nd", cells, KERNEL) / 16  # type: ignore[no-any-return]


def loaded(hub: Hub, files: dict[str, bytes], model_type: str = "", **changed: Any) -> Backbone:
    """Return the backbone of a repository with an export in transformers' layout."""
    beside = {
        "config.json": json.dumps({"model_type": model_type}).encode(),
        "preprocessor_config.json": json.dumps(PROCESSOR | changed).encode(),
        "model.safetensors": b"of torch",
        "onnx/model_quantized.onnx": b"smaller",
    }
    hub.repos["org/net"] = Repo(beside | files)
    return load_backbone("hub:org/net")


LAYOUTS = [  # repository, model_type, outputs, features of the mean of the map
    ("dinov2", "dinov2", ["with its own"], lambda mean: 2 * mean),
    ("dinov3", "dinov3_vit", ["with its own", "pooler_output"], lambda mean: np.tanh(2 * mean)),
    ("a transformer of timm's", "swin", ["tokens"], lambda mean: mean),
    ("resnet", "resnet", ["map"], lambda mean: mean),
    ("convnext", "convnext", ["logits"], lambda mean: 2 * mean),
    ("vit with logits", "vit", ["with its own", "logits"], lambda mean: 2 * mean),
]


@pytest.mark.parametrize(
    ("model_type", "outputs", "wanted"),
    [layout[1:] for layout in LAYOUTS],
    ids=[layout[0] for layout in LAYOUTS],
)
def test_the_features_are_what_the_network_says_of_the_whole_photo(
    model_type: str, outputs: list[str], wanted: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(monkeypatch)
    backbone = loaded(hub, {"onnx/model.onnx": network(*outputs)}, model_type)
    assert np.allclose(features(backbone, 3), wanted(mean_of_map(3)), atol=1e-4)
    hub.close()
    assert load_backbone("hub:org/net") == backbone


@pytest.mark.parametrize("output", ["pooler_output", "image_embeds"])
def test_of_pictures_and_words_the_part_that_sees_pictures_is_taken(output: str, hub: Hub) -> None:
    """SigLIP 2's part pools by attention, CLIP's and MobileCLIP's projects."""
    both = network("image_embeds", inputs=("input_ids", "pixel_values"))
    files = {"onnx/model.onnx": both, "onnx/text_model.onnx": b"words"}
    backbone = loaded(hub, files | {"onnx/vision_model.onnx": network("tokens", output)}, "clip")
    twice = 2 * mean_of_map(3)
    wanted = np.tanh(twice) if output == "pooler_output" else -twice
    assert np.allclose(features(backbone, 3), wanted, atol=1e-4)


def test_a_network_of_pictures_and_words_alone_is_refused(hub: Hub) -> None:
    both = network("image_embeds", inputs=("input_ids", "pixel_values"))
    with pytest.raises(BadBackbone, match="needs one input of shape N,3,H,W and has 2 inputs"):
        loaded(hub, {"onnx/model.onnx": both})


@pytest.mark.parametrize("opset", [11, 14, 18])
def test_exports_of_older_operator_sets_still_show_where_they_looked(opset: int, hub: Hub) -> None:
    backbone = loaded(hub, {"onnx/model.onnx": network("map", opset=opset)}, "resnet")
    head = Layers((Dense(np.ones((WIDTH, 2), np.float32), np.zeros(2, np.float32)),))
    graph = attach_head(
        backbone.onnx, head, 1.0, labels=["cat", "dog"], preprocess=backbone.preprocess
    )
    outputs = [output.name for output in onnx.load_from_string(graph).graph.output]
    assert "heat" in outputs


def outside(graph: bytes, location: str) -> tuple[bytes, bytes]:
    """Return an export and the weights that it keeps in the file ``location``."""
    model, data = onnx.load_from_string(graph), b"."  # that an offset counts shows by one byte
    for tensor in model.graph.initializer:
        if tensor.name != "kernel":
            continue
        values = numpy_helper.to_array(tensor).tobytes()
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, "offset": 1, "length": len(values)}.items():
            tensor.external_data.add(key=key, value=str(value))
        data += values
    return bytes(model.SerializeToString()), data


def test_weights_beside_an_export_are_taken_into_the_graph(hub: Hub) -> None:
    graph, data = outside(network("pooler_output"), "model.onnx_data")
    backbone = loaded(hub, {"onnx/model.onnx": graph, "onnx/model.onnx_data": data})
    assert np.allclose(features(backbone, 3), np.tanh(2 * mean_of_map(3)), atol=1e-4)
    hub.served = 0
    assert load_backbone("hub:org/net") == backbone
    assert hub.served == 0


@pytest.mark.parametrize(
    ("location", "lost", "words"),
    [
        ("model.onnx_data", 1, r"model\.onnx_data has \d+ bytes and kernel of model\.onnx would"),
        ("../config.json", 0, "keeps its weights in another file; save it as one file"),
        ("/etc/passwd", 0, "keeps its weights in another file"),
    ],
)
def test_weights_that_are_not_wholly_beside_it_or_lie_elsewhere_are_refused(
    location: str, lost: int, words: str, hub: Hub
) -> None:
    graph, data = outside(network("pooler_output"), location)
    data = data[: len(data) - lost]
    with pytest.raises(BadBackbone, match=words):
        loaded(hub, {"onnx/model.onnx": graph, "onnx/model.onnx_data": data})


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (CARD, "dinov3-license"),
        (b"---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        (b"# A network", "unknown"),
        (b"---\nlicense: [a, b]\n---\n", "unknown"),
        (b"---\n{: no yaml\n---\n", "unknown"),
        (b"\xff\xfe", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_licence_is_that_of_the_repositorys_card(
    card: bytes | None, licence: str, hub: Hub
) -> None:
    files = {"onnx/model.onnx": network("pooler_output")}
    assert loaded(hub, files | ({"README.md": card} if card else {})).licence == licence


def test_of_a_repository_in_timms_layout_no_card_is_fetched(hub: Hub) -> None:
    cfg = {"input_size": [3, SIDE, SIDE], "mean": MEAN, "std": STD, "license": "cc0"}
    config = json.dumps({"pretrained_cfg": cfg}).encode()
    hub.repos["org/net"] = Repo(
        {"config.json": config, "model.onnx": network("logits"), "README.md": CARD}
    )
    assert load_backbone("hub:org/net").licence == "cc0"
    assert not [asked for asked in hub.requests if asked.path.endswith("README.md")]


# What an image processor says


@pytest.mark.parametrize(
    ("change", "mean", "std"),
    [
        ({}, MEAN, STD),
        ({"rescale_factor": 0.00392156862745098}, MEAN, STD),
        ({"do_normalize": False}, [0.0] * 3, [1.0] * 3),  # MobileCLIP: pixels in [0, 1]
        ({"do_normalize": False, "do_rescale": False}, [0.0] * 3, [1 / 255] * 3),  # in [0, 255]
        (
            {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3},
            [0.5] * 3,
            [0.5] * 3,
        ),
        (  # EfficientNet of Keras: pixels in [-1, 1]
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            [0.5] * 3,
            [0.5] * 3,
        ),
    ],
)
def test_any_range_of_pixels_is_a_mean_and_a_deviation(
    change: dict[str, Any], mean: list[float], std: list[float], tmp_path: Path
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(PROCESSOR | change))
    told = as_timm(path)
    assert told["mean"] == pytest.approx(mean, abs=1e-6)
    assert told["std"] == pytest.approx(std, abs=1e-6)


@pytest.mark.parametrize(
    ("processor", "wanted"),
    [
        (  # DINOv2
            {
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
                "resample": 3,
            },
            (224, "center", 0.875, "bicubic"),
        ),
        (  # DINOv3: what is not used is null
            {"size": {"height": 224, "width": 224}, "do_center_crop": None, "crop_size": None},
            (224, "squash", 1.0, "bilinear"),
        ),
        (  # MobileCLIP
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 256},
            (256, "center", 1.0, "bilinear"),
        ),
        (  # ConvNeXt up to 384 px, and from there
            {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3},
            (224, "center", 0.875, "bicubic"),
        ),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, "squash", 0.875, "bilinear")),
        ({"size": {"shortest_edge": 224}}, (224, "center", 1.0, "bilinear")),
    ],
)
def test_the_crop_is_that_of_the_image_processor(
    processor: dict[str, Any], wanted: tuple[int, str, float, str], tmp_path: Path
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(PROCESSOR | processor))
    told = as_timm(path)
    assert (
        told["input_size"][-1],
        told["crop_mode"],
        told["crop_pct"],
        told["interpolation"],
    ) == wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"do_pad": True}, "its do_pad is on"),
        ({"do_flip_channel_order": True}, "its do_flip_channel_order is on"),
        ({"do_resize": False}, "it resizes no photo"),
        ({"resample": 0}, "its resample is 0; 1, 2 and 3 are known"),
        ({"rescale_factor": 0}, "its rescale_factor is 0"),
        ({"size": {"max_pixels": 9}}, "it says no 'height'"),
        ({"do_center_crop": True}, "it says no 'crop_size'"),
    ],
)
def test_what_cannot_be_prepared_that_way_is_a_sentence(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(PROCESSOR | change))
    with pytest.raises(BadBackbone, match=f"in a way that fursure has: {words}"):
        as_timm(path)
