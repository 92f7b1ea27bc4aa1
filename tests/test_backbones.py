"""A backbone's name → an encoder, with torch and without; weights are random, so all is offline."""

import builtins
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from samples import FORMAT_1, SIDE, WIDTH

from fursure.backbones.backbone import Backbone
from fursure.backbones.kinds import at_hand, load_backbone
from fursure.backbones.measured import stronger
from fursure.bundle.named import shipped
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone, MissingExtra, UnknownBackbone
from fursure.graphs.graph import encoder_of
from fursure.photos.preprocess import Preprocess

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
CFG = {
    "input_size": [3, SIDE, SIDE],
    "mean": list(MEAN),
    "std": list(STD),
    "interpolation": "bilinear",
    "crop_pct": 0.9,
    "crop_mode": "squash",
    "license": "cc0",
}
Edit = Callable[[onnx.ModelProto], None]


@pytest.fixture
def home(own_home: Path) -> Path:
    """Return an empty folder of fursure's own, where conversions are kept."""
    return own_home


def pixels(count: int, side: int = SIDE) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def features(backbone: Backbone, count: int) -> NDArray[np.float32]:
    session = OnnxRuntime(backbone.onnx, threads=1)
    return session(pixels(count, backbone.preprocess.size))["features"]


# A plain network in an .onnx file


def network() -> onnx.ModelProto:
    """Return a network as others export it: float N,C,H,W in, class scores out."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(WIDTH, 3, 4, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["conv"], strides=[4, 4]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "top"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "plain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.ones((WIDTH, 10), np.float32), "top"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def network_in(folder: Path, edit: Edit = lambda model: None, **cfg: Any) -> Path:
    """Write the network and its config.json, and return the network's path."""
    model = network()
    edit(model)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    config = {"architecture": "none", "pretrained_cfg": CFG | cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "net.onnx"


def test_an_onnx_file_is_prepared_as_the_config_beside_it_says(tmp_path: Path) -> None:
    found = load_backbone(str(network_in(tmp_path)))
    assert (found.name, found.licence) == ("net", "cc0")
    assert found.preprocess == Preprocess(
        size=SIDE, mode="squash", crop=0.9, interpolation="bilinear", mean=MEAN, std=STD
    )
    batch_NCHW = ((pixels(3) / 255 - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2)
    kernel = numpy_helper.to_array(network().graph.initializer[0])
    cells = batch_NCHW.reshape(3, 3, 4, 4, 4, 4)  # N C h y w x: the kernel's stride is its size
    map_NDhw = np.einsum("nchywx,dcyx->ndhw", cells, kernel).clip(0)
    assert np.allclose(features(found, 3), map_NDhw.mean(axis=(2, 3)), atol=1e-4)


def test_the_tensor_of_the_features_and_the_resize_can_be_named(tmp_path: Path) -> None:
    found = load_backbone(str(network_in(tmp_path)), features="scores", resize="pad")
    assert features(found, 2).shape == (2, 10)
    assert found.preprocess.mode == "pad"
    with pytest.raises(BadBackbone, match=r"net\.onnx has no tensor 'top9'; the last ones are"):
        load_backbone(str(tmp_path / "net.onnx"), features="top9")


def test_an_onnx_file_without_a_config_says_what_it_needs(tmp_path: Path) -> None:
    path = network_in(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(BadBackbone, match=r"has no config\.json; it needs one in the timm layout"):
        load_backbone(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"architecture": "x"}', "has no pretrained_cfg, which says how to prepare a photo"),
        ("[]", "has no pretrained_cfg"),
        ("{", "cannot be read"),
        ('{"pretrained_cfg": {}}', "does not say how to prepare a photo: 'input_size'"),
        ('{"pretrained_cfg": {"input_size": []}}', "does not say how to prepare a photo"),
        (
            '{"pretrained_cfg": {"input_size": [3, 16, 16], "mean": [0, 0], "std": [1, 1, 1]}}',
            "mean",
        ),
        (
            '{"pretrained_cfg": {"input_size": [3, 16, 16], "mean": [0, 0, 0], "std": [1, 1, 1],'
            ' "crop_mode": "random"}}',
            "random",
        ),
    ],
)
def test_a_config_that_does_not_prepare_a_photo_is_refused(
    tmp_path: Path, text: str, words: str
) -> None:
    path = network_in(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BadBackbone, match=words):
        load_backbone(str(path))


@pytest.mark.parametrize("data", [b"my thesis, chapter one", b"\x08\x0a\x12", b""])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, data: bytes) -> None:
    path = network_in(tmp_path)
    path.write_bytes(data)
    with pytest.raises(BadBackbone, match=r"net\.onnx (is not an ONNX file|needs one input)"):
        load_backbone(str(path))


def _elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    tensor.ClearField("raw_data")


def _unheard_of(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Teleport"


def _one_photo_only(model: onnx.ModelProto) -> None:
    shape = numpy_helper.from_array(np.array([1, -1]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node[3].CopyFrom(helper.make_node("Reshape", ["pool", "shape"], ["flat"]))


@pytest.mark.parametrize(
    ("edit", "cfg", "words"),
    [
        (_elsewhere, {}, "keeps its weights in another file; save it as one file"),
        (_unheard_of, {}, r"net\.onnx is no valid network .*Teleport"),
        (_one_photo_only, {}, r"shape \(1, 12\) for two photos.*free batch dimension"),
        (None, {"input_size": [3, 2, 2]}, "does not run on photos of 2 px"),
    ],
)
def test_a_network_that_cannot_be_an_encoder_says_why(
    tmp_path: Path, edit: Edit | None, cfg: dict[str, Any], words: str
) -> None:
    path = network_in(tmp_path, edit or (lambda model: None), **cfg)
    with pytest.raises(BadBackbone, match=words):
        load_backbone(str(path))


def test_an_export_of_one_size_names_the_flag_and_what_did_not_fit(tmp_path: Path) -> None:
    def positioned(model: onnx.ModelProto) -> None:
        places = np.ones((1, WIDTH, SIDE // 4, SIDE // 4), np.float32)
        model.graph.initializer.append(numpy_helper.from_array(places, "places"))
        model.graph.node[1].input[0] = "placed"
        model.graph.node.insert(1, helper.make_node("Add", ["conv", "places"], ["placed"]))

    path = network_in(tmp_path, positioned)
    with pytest.raises(BadBackbone, match=r"of 32 px \(Node.*Add.*--image-size out, for"):
        load_backbone(str(path), image_size=32)


# Names and files that need no torch


def test_an_unknown_name_suggests_the_nearest(home: Path) -> None:
    with pytest.raises(UnknownBackbone, match=r"no backbone 'light0'.*Did you mean 'lite0'\?"):
        load_backbone("light0")
    with pytest.raises(UnknownBackbone, match="`fursure backbones` lists those at hand"):
        load_backbone("resnet50")


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.BIN", "w.ckpt", "w.pkl"])
def test_a_pickle_is_refused_with_the_line_that_converts_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    words = rf"python -c \"import torch.*torch\.load\('{name}', weights_only=True\)"
    with pytest.raises(BadBackbone, match=words):
        load_backbone(str(tmp_path / name))


def test_a_folder_without_safetensors_says_so(tmp_path: Path) -> None:
    network_in(tmp_path)
    with pytest.raises(BadBackbone, match=r"has no model\.safetensors; it needs the weights as"):
        load_backbone(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(BadBackbone, match=r"has only pytorch_model\.bin, which may hold a pickle"):
        load_backbone(str(tmp_path))


def test_lite0_is_the_encoder_of_the_bundle_in_the_wheel() -> None:
    found, bundle = load_backbone("lite0"), shipped("pets")
    assert found.onnx == encoder_of(bundle.model)
    assert found.preprocess == bundle.meta.preprocess
    assert features(found, 2).shape == (2, bundle.meta.features)


def test_the_encoder_of_a_bundle_keeps_its_size() -> None:
    size = 160
    assert load_backbone(str(FORMAT_1), image_size=size).preprocess.size == size
    words = rf"of {FORMAT_1.name} takes {size} px and no other size; leave"
    with pytest.raises(BadBackbone, match=words):
        load_backbone(str(FORMAT_1), image_size=size + 32)


def test_looking_for_a_backbone_loads_no_torch(tmp_path: Path) -> None:
    path = network_in(tmp_path)
    code = (
        "import sys; from fursure.backbones.kinds import at_hand, load_backbone\n"
        f"list(at_hand()); load_backbone('lite0'); load_backbone({str(path)!r})\n"
        "print([m for m in ('torch', 'timm', 'safetensors') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_weights_without_torch_name_the_extra(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network_in(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.delitem(sys.modules, "fursure.networks.build", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fursure\[torch\]'"):
        load_backbone(str(tmp_path))


# Weights that torch converts


@pytest.fixture(scope="module")
def timm() -> Any:
    """Return timm, with torch behind it, or skip."""
    pytest.importorskip("torch")
    return pytest.importorskip("timm")


def weights_in(folder: Path, timm: Any, architecture: str, **model_args: Any) -> Path:
    """Write a network with random weights, and random statistics where it has any."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    args = ({"img_size": 64} if "vit" in architecture else {}) | model_args
    net = timm.create_model(architecture, pretrained=False, **args)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
    folder.mkdir()
    save_file(net.state_dict(), folder / "model.safetensors")
    cfg = CFG | {"input_size": [3, 64, 64], "crop_mode": "center"}
    config = {"architecture": architecture, "model_args": args, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def weights(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the weights of a small convolutional network."""
    return weights_in(tmp_path_factory.mktemp("weights") / "convnet", timm, "test_resnet")


@pytest.fixture(scope="module")
def kept(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which those weights are converted already; read only, please."""
    home = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FURSURE_HOME", str(home))
        load_backbone(str(weights))
    return home


@pytest.fixture
def kept_home(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that home, in use."""
    home = tmp_path / "kept"
    shutil.copytree(kept, home)
    monkeypatch.setenv("FURSURE_HOME", str(home))
    return home


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing import torch or timm from here on."""
    real = builtins.__import__

    def guarded(name: str, *args: Any, **kwargs: Any) -> Any:
        torchy = name.partition(".")[0] in {"torch", "timm", "safetensors"}
        if torchy or name == "fursure.networks.build":
            raise AssertionError(f"{name} was imported")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "fursure.networks.build", raising=False)
    monkeypatch.setattr(builtins, "__import__", guarded)


def by_torch(folder: Path, timm: Any, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return pooled features and the last map, as timm itself computes them."""
    import torch
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    net = timm.create_model(config["architecture"], num_classes=0, **config["model_args"]).eval()
    net.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    batch = (pixels(count, 64) / 255 - np.array(MEAN)) / np.array(STD)
    x_NCHW = torch.from_numpy(batch.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        return net(x_NCHW).numpy(), net.forward_features(x_NCHW).numpy()


def close(found: NDArray[Any], wanted: NDArray[Any], share: float = 1e-4) -> bool:
    return bool(np.abs(found - wanted).max() <= share * np.abs(wanted).max())


def test_converted_weights_give_the_features_of_torch(
    weights: Path, timm: Any, kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        without_torch(patch)  # it was converted before, and that is enough
        found = load_backbone(str(weights))
    assert (found.name, found.licence, found.preprocess.size) == ("convnet", "cc0", 64)
    session = OnnxRuntime(found.onnx, threads=1)
    for count in (1, 3, 8):
        features_ND, map_NDhw = by_torch(weights, timm, count)
        out = session(pixels(count, 64))
        assert close(out["features"], features_ND)
        assert close(out["map"], map_NDhw)


@pytest.mark.long
def test_a_conversion_prints_nothing_where_results_go(
    weights: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load_backbone(str(weights))
    assert capfd.readouterr().out == ""


@pytest.mark.long
def test_a_network_without_a_map_has_none(timm: Any, tmp_path: Path, home: Path) -> None:
    folder = weights_in(tmp_path / "transformer", timm, "test_vit")
    session = OnnxRuntime(load_backbone(str(folder)).onnx, threads=1)
    for count in (1, 3, 8):
        out = session(pixels(count, 64))
        assert set(out) == {"features"}
        assert close(out["features"], by_torch(folder, timm, count)[0])


def test_a_kept_conversion_is_at_hand_by_its_name(
    kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(monkeypatch)
    sizes = {backbone.name: backbone.size for backbone in at_hand()}
    assert sizes["convnet"] == 64
    assert load_backbone("convnet").preprocess.size == 64
    with pytest.raises(UnknownBackbone):
        load_backbone("convnet", image_size=96)


@pytest.mark.parametrize("damage", ["a flipped byte", "no note", "half a note", "a foreign note"])
def test_a_damaged_conversion_is_made_anew(
    damage: str, weights: Path, kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = load_backbone(str(weights))
    graph, note = (next(kept_home.rglob(f"*.{end}")) for end in ("onnx", "json"))
    match damage:
        case "a flipped byte":
            data = bytearray(graph.read_bytes())
            data[len(data) // 2] ^= 1
            graph.write_bytes(data)
        case "no note":
            note.unlink()
        case "half a note":
            note.write_bytes(note.read_bytes()[:20])
        case _:
            note.write_text('{"name": "convnet", "preprocess": {"size": 64}, "licence": "x"}')
    with pytest.raises(UnknownBackbone):
        load_backbone("convnet")
    assert all(backbone.name for backbone in at_hand())  # listed or not, but not a traceback
    asked = []

    def export(net: Any, preprocess: Preprocess, name: str) -> bytes:
        asked.append(name)
        return wanted.onnx

    monkeypatch.setattr("fursure.networks.export.export_network", export)
    assert load_backbone(str(weights)) == wanted
    assert asked == ["convnet"]
    assert load_backbone("convnet") == wanted


@pytest.mark.long
def test_half_precision_is_half_the_file_and_close(weights: Path, kept_home: Path) -> None:
    whole, half = load_backbone(str(weights)), load_backbone(str(weights), precision="fp16")
    assert len(half.onnx) < 0.6 * len(whole.onnx)
    assert close(features(half, 4), features(whole, 4), share=0.01)
    assert not np.array_equal(features(half, 4), features(whole, 4))


@pytest.mark.long
def test_another_image_size_is_another_conversion(weights: Path, kept_home: Path) -> None:
    larger = load_backbone(str(weights), image_size=96)
    assert larger.preprocess.size == 96
    assert features(larger, 2).shape == features(load_backbone(str(weights)), 2).shape
    assert OnnxRuntime(larger.onnx, threads=1).side == 96


FIXED: dict[str, Any] = {"depth": 1, "embed_dim": 32, "num_heads": 2, "dynamic_img_size": False}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_tiny_patch16_224", 96),
        ("vit_tiny_patch16_224", 32),
        ("vit_small_patch14_dinov2", 224),  # of 518 px, which no photo of a few hundred needs
        ("vit_small_patch14_reg4_dinov2", 56),
    ],
)
def test_a_transformer_of_one_size_takes_another_one(
    name: str, size: int, timm: Any, tmp_path: Path, home: Path
) -> None:
    import torch
    from safetensors.torch import load_file
    from timm.models.vision_transformer import checkpoint_filter_fn

    folder = weights_in(tmp_path / "fixed", timm, name, **FIXED)
    found = load_backbone(str(folder), image_size=size)
    assert found.preprocess.size == size
    args = FIXED | {"img_size": size}  # as timm itself makes it of that size and loads weights
    net = timm.create_model(name, num_classes=0, **args).eval()
    values = checkpoint_filter_fn(load_file(folder / "model.safetensors"), net)
    net.load_state_dict(values, strict=False)
    batch = (pixels(3, size) / 255 - np.array(MEAN)) / np.array(STD)
    with torch.inference_mode():
        wanted_ND = net(torch.from_numpy(batch.transpose(0, 3, 1, 2).astype(np.float32))).numpy()
    assert close(OnnxRuntime(found.onnx, threads=1)(pixels(3, size))["features"], wanted_ND)


def test_a_transformer_of_one_size_is_fine_tuned_at_another_one(timm: Any, tmp_path: Path) -> None:
    import torch

    from fursure.networks.build import pooled, trainable

    folder = weights_in(tmp_path / "fixed", timm, "vit_tiny_patch16_224", **FIXED)
    _, net = trainable(str(folder), image_size=96, seed=0)
    features_ND, _ = pooled(net, torch.zeros(2, 3, 96, 96))
    torch.autograd.backward(features_ND.sum())
    assert net.pos_embed.shape == (1, 37, 32)  # 6 x 6 patches and the class token
    assert net.pos_embed.grad is not None


def test_a_size_that_patches_do_not_fill_names_the_nearest_that_they_do(
    timm: Any, tmp_path: Path, home: Path
) -> None:
    folder = weights_in(tmp_path / "fixed", timm, "vit_tiny_patch16_224", **FIXED)
    with pytest.raises(BadBackbone, match=r"patches of 16 px, so 100 px .*--image-size 96 or 112"):
        load_backbone(str(folder), image_size=100)


@pytest.mark.parametrize(
    ("name", "args", "size"),
    [
        ("xcit_nano_12_p16_224", {"depth": 1, "embed_dim": 32, "num_heads": 2}, 96),
        ("pvt_v2_b0", {"depths": (1, 1, 1, 1)}, 96),  # patches of 7 px, 4 px apart
    ],
)
def test_a_transformer_whose_places_are_computed_takes_any_size(
    name: str, args: dict[str, Any], size: int, timm: Any, tmp_path: Path
) -> None:
    import torch

    from fursure.networks.build import pooled, trainable

    _, net = trainable(
        str(weights_in(tmp_path / name, timm, name, **args)), image_size=size, seed=0
    )
    with torch.inference_mode():
        assert len(pooled(net.eval(), torch.zeros(2, 3, size, size))[0]) == 2


def test_an_image_size_the_network_cannot_take_is_a_sentence(
    timm: Any, tmp_path: Path, home: Path
) -> None:
    folder = weights_in(tmp_path / "convit", timm, "convit_tiny")  # its places are of one size
    words = r"convit does not run on photos of 96 px .* leave --image-size out: .* made for 64 px"
    with pytest.raises(BadBackbone, match=words):
        load_backbone(str(folder), image_size=96)


def changed(weights: Path, folder: Path, **config: Any) -> Path:
    """Copy a folder of weights with other lines in its config.json."""
    shutil.copytree(weights, folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | config))
    return folder


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"architecture": "test_efficientnet"},
            r"are not those of test_efficientnet: \d+ tensors differ \(\S+: found .*, needs .*; ",
        ),
        ({"num_classes": 7}, r"2 tensors differ .*found \(1000,\), needs \(7,\)"),
        (
            {"architecture": "test_vitamin"},
            r"'test_vitamin', which timm .* does not have; it has test_byobnet, ",
        ),
        ({"architecture": None}, "does not have"),
        ({"model_args": {"flavour": 3}}, "timm cannot make the network .*flavour"),
        ({"num_classes": "many"}, "timm cannot make the network .*many"),
    ],
)
def test_a_config_that_is_not_of_these_weights_says_where_they_differ(
    config: dict[str, Any], words: str, weights: Path, tmp_path: Path, home: Path
) -> None:
    with pytest.raises(BadBackbone, match=words):
        load_backbone(str(changed(weights, tmp_path / "wrong", **config)))
    assert not list(home.rglob("*.onnx"))


@pytest.mark.parametrize("size", [0, 5, 100, 20_000])
def test_torn_weights_are_refused_in_a_sentence(
    weights: Path, tmp_path: Path, home: Path, size: int
) -> None:
    folder = changed(weights, tmp_path / "torn")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BadBackbone, match=r"torn/model\.safetensors cannot be read: "):
        load_backbone(str(folder))


def test_a_network_that_torch_cannot_export_is_a_sentence(
    weights: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fails(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("step 2/3: a page of advice")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(BadBackbone, match=r"cannot export convnet to ONNX; choose another network"):
        load_backbone(str(weights), image_size=80)


def test_a_conversion_that_disagrees_with_torch_is_refused(
    weights: Path, kept_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = onnx.load_from_string(load_backbone(str(weights)).onnx)
    tensor = next(one for one in graph.graph.initializer if len(one.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.02, tensor.name))
    wrong = graph.SerializeToString()
    monkeypatch.setattr("fursure.networks.export._export", lambda *_: wrong)
    shutil.rmtree(kept_home)
    with pytest.raises(BadBackbone, match=r"did not survive its export: features differ from"):
        load_backbone(str(weights))
    with pytest.raises(BadBackbone, match=r"it does not run on a batch of 1 .*invalid dimensions"):
        load_backbone(str(weights), image_size=96)
    assert not kept_home.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "timm:test_resnet",
            r"Download its config\.json and model\.safetensors elsewhere and pass",
        ),
        ("hub:nobody/nothing", r"Download its config\.json and model\.safetensors elsewhere"),
        ("timm:gcvit_tiny", r"no weights of gcvit_tiny on the hub, only https:.*may hold a pickle"),
        ("timm:test_resnat", "timm has test_byobnet"),
    ],
)
def test_offline_the_hub_is_not_asked_and_the_sentence_says_what_to_download(
    name: str, words: str, timm: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    asked: list[Any] = []
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # as imported before we were asked
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))
    with pytest.raises(UnknownBackbone, match=words):
        load_backbone(name)
    assert asked == []


def test_only_what_was_measured_to_be_better_by_both_figures_is_called_stronger() -> None:
    assert stronger("lite0", ["lite2", "net", "lite1", "lite0"]) == ["lite2"]
    assert stronger("lite2", ["lite0", "lite1"]) == []
    assert stronger("net", ["lite2"]) == []  # nobody measured it
