"""Networks of random weights, for training from nothing; and memory that torch may keep."""

import ctypes
import sys
from typing import Any

import numpy as np
import pytest

from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone, UnknownBackbone
from fursure.networks.configuration import preprocess_of

pytest.importorskip("torch")
pytest.importorskip("timm")

import torch
from torch import Tensor, nn

from fursure.finetuning import tuning
from fursure.finetuning.classifier import Classifier, random_head
from fursure.networks.export import TorchEncoder, export_network
from fursure.networks.scratch import SmallCnn, scratch_network

NAMES = ["cnn", "resnet", "test_efficientnet"]


def tensors(name: str, seed: int, size: int | None = 64) -> dict[str, Tensor]:
    values: dict[str, Tensor] = scratch_network(name, size=size, seed=seed)[1].state_dict()
    return values


# The networks


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_draws_the_same_weights_and_another_one_others(name: str) -> None:
    first, again, other = tensors(name, 4), tensors(name, 4), tensors(name, 5)
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key, value in first.items() if value.ndim == 4]
    assert drawn
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_drawing_weights_leaves_torch_s_own_chance_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    tensors("cnn", 4)
    tensors("test_efficientnet", 4)
    assert torch.equal(torch.rand(4), wanted)


@pytest.mark.parametrize(
    ("name", "asked", "size"),
    [("cnn", None, 150), ("cnn", 64, 64), ("resnet", None, 128), ("test_efficientnet", None, 160)],
)
def test_the_configuration_says_how_to_prepare_a_photo(
    name: str, asked: int | None, size: int
) -> None:
    config, net = scratch_network(name, size=asked, seed=0)
    preprocess = preprocess_of(config, asked)
    assert (preprocess.size, preprocess.mode) == (size, "crop")
    assert config["pretrained_cfg"]["license"] == "none: own weights"
    with torch.inference_mode():
        assert TorchEncoder(net, preprocess.mean, preprocess.std).eval()(
            torch.zeros((2, size, size, 3), dtype=torch.uint8)
        )[0].shape == (2, net.num_features)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mobilenetv2_999", r"There are cnn, resnet, mobilenetv2_035, mobilenetv2_050"),
        ("my_own", r"There are cnn, resnet\."),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name: str, words: str) -> None:
    with pytest.raises(UnknownBackbone, match=rf"no backbone 'scratch:{name}'.*{words}"):
        scratch_network(name, size=None, seed=0)


def test_the_small_network_is_the_tutorials_one() -> None:
    with torch.device("meta"):
        net = SmallCnn(150)
    sizes = {key: tuple(value.shape) for key, value in net.named_parameters()}
    assert sizes["features.0.weight"] == (32, 3, 3, 3)
    assert sizes["features.9.weight"] == (128, 128, 3, 3)
    assert sizes["dense.weight"] == (512, 6272)  # 150 → 74 → 36 → 17 → 7 pixels; 7 · 7 · 128


def test_photos_too_small_for_the_small_network_are_a_sentence() -> None:
    assert scratch_network("cnn", size=46, seed=0)[1].dense.in_features == 128  # a single cell
    with pytest.raises(BadBackbone, match=r"needs photos of 46 px or more, and 45 .*--image-size"):
        scratch_network("cnn", size=45, seed=0)


@pytest.mark.long
def test_the_small_network_exports_and_agrees_with_torch() -> None:
    config, net = scratch_network("cnn", size=64, seed=1)
    preprocess = preprocess_of(config, 64)
    graph = export_network(net, preprocess, "small")
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    x_NHWC = (pixels_NHWC / 255 - np.array(preprocess.mean)) / np.array(preprocess.std)
    x_NCHW = torch.from_numpy(x_NHWC.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        wanted_ND = torch.relu(net.dense(net.features(x_NCHW).flatten(1))).numpy()
    found = OnnxRuntime(graph, threads=1)(pixels_NHWC)
    assert set(found) == {"features"}
    assert np.abs(found["features"] - wanted_ND).max() < 1e-4 * wanted_ND.max()


# A head of random weights


def test_an_untrained_head_finds_every_class_as_likely() -> None:
    head = random_head((512, 256, 3), seed=2)
    features_ND = np.random.default_rng(0).normal(size=(5, 512)).astype(np.float32)
    assert np.array_equal(head(features_ND), np.zeros((5, 3)))
    hidden = head.dense[0].weight_DK
    assert hidden.std() == pytest.approx(np.sqrt(2 / 512), rel=0.01)  # He et al., ICCV 2015
    assert np.array_equal(random_head((512, 256, 3), seed=2).dense[0].weight_DK, hidden)
    assert not np.array_equal(random_head((512, 256, 3), seed=3).dense[0].weight_DK, hidden)


def test_a_head_goes_into_torch_and_comes_back() -> None:
    head = random_head((6, 4, 3), seed=2)
    generator = np.random.default_rng(0)
    for layer in head.dense:
        layer.weight_DK[:] = generator.normal(size=layer.weight_DK.shape)
        layer.bias_K[:] = generator.normal(size=layer.bias_K.shape)
    model = Classifier(nn.Identity(), head, 0.5).eval()
    features_ND = generator.normal(size=(5, 6)).astype(np.float32)
    with torch.inference_mode():
        found_NK = model.head(torch.from_numpy(features_ND)).numpy()
    assert np.allclose(found_NK, head(features_ND), atol=1e-5)
    for layer, other in zip(head.dense, model.layers().dense, strict=True):
        assert np.array_equal(layer.weight_DK, other.weight_DK)
        assert np.array_equal(layer.bias_K, other.bias_K)


# Memory


def refusing(error: type[Exception]) -> Any:
    def library(_name: object) -> object:
        raise error

    return library


@pytest.mark.parametrize(
    "library",
    [
        lambda _name: object(),  # a C library without mallopt, as on a Mac
        refusing(TypeError),  # Windows does not open a library without a name
        refusing(OSError),
    ],
)
def test_where_memory_cannot_be_kept_nothing_happens(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", library)
    tuning.keep_memory()


def test_memory_is_kept_by_the_numbers_of_malloc_h(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Library:
        def __init__(self, name: object) -> None:
            assert name is None

        def mallopt(self, parameter: int, value: int) -> None:
            asked.append((parameter, value))

    monkeypatch.setattr(ctypes, "CDLL", Library)
    tuning.keep_memory()
    assert asked == [(-4, 0), (-1, 2**31 - 1)]  # M_MMAP_MAX, M_TRIM_THRESHOLD


def test_keeping_memory_never_fails_on_this_system() -> None:
    tuning.keep_memory()
    if sys.platform == "linux":  # as it was: 65536 mappings, and 128 KiB at the top
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda *_: None)
        mallopt(-4, 65536)
        mallopt(-1, 128 * 1024)
