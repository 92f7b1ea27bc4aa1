"""Weights that Keras saved → a backbone. Most files are written by hand; slow tests ask Keras.

Keras runs in a process of its own: it reads its backend from the environment, and it warns.
"""

import gzip
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.backbones.kinds import load_backbone
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone, MissingExtra
from fursure.networks.configuration import preprocess_of

h5py = pytest.importorskip("h5py")
torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from fursure.networks import keras_files, keras_trial, keras_weights  # noqa: E402
from fursure.networks.export import TorchEncoder  # noqa: E402

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)  # of VGG16 (table 1, D)
Layers = dict[str, list[tuple[int, ...]]]
Edit = Callable[[Any], None]


# Files written by hand


def vgg16() -> Layers:
    """Return the names and shapes of VGG16's convolutions."""
    blocks = [(1, 1), (1, 2), (2, 1), (2, 2), *((b, c) for b in (3, 4, 5) for c in (1, 2, 3))]
    return {
        f"block{block}_conv{number}": [(3, 3, within, out), (out,)]
        for (block, number), within, out in zip(blocks, (3, *WIDTHS), WIDTHS, strict=False)
    }


def legacy(path: Path, layers: Layers) -> Path:
    """Write zeros (which HDF5 does not store) as Keras 2 writes weights."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, shapes in layers.items():
            group = file.create_group(name)
            paths = [f"{name}_{index}:0" for index in range(len(shapes))]
            group.attrs["weight_names"] = [path.encode() for path in paths]
            for inner, shape in zip(paths, shapes, strict=True):
                group.create_dataset(inner, shape, np.float32)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BadBackbone) as caught:
        keras_weights.keras_network(path)
    return str(caught.value)


def test_a_network_is_known_by_its_layers_and_prepares_photos_as_keras_does(tmp_path: Path) -> None:
    head: Layers = {"my_head": [(512, 2), (2,)]}
    path = legacy(tmp_path / "mine.h5", vgg16() | head)
    with h5py.File(path, "r+") as file:
        file["block1_conv1/block1_conv1_0:0"][1, 2, 0, 5] = 7  # row 1, column 2, blue, channel 5
        file["block5_conv3/block5_conv3_1:0"][3] = 9
    config, net = keras_weights.keras_network(path)
    assert config["architecture"] == "vgg16"
    assert net.features[0].weight[5, 2, 1, 2] == 7  # red comes first here, so blue is last
    assert net.features[0].weight.count_nonzero() == 1
    assert net.features[28].bias[3] == 9
    preprocess = preprocess_of(config, None)
    assert (preprocess.size, preprocess.mode) == (224, "crop")
    mean_0_to_255 = np.array(preprocess.mean) * 255
    assert mean_0_to_255 == pytest.approx([123.68, 116.779, 103.939])  # Simonyan's, red first
    assert np.array(preprocess.std) * 255 == pytest.approx([1, 1, 1])


def test_a_network_of_another_kind_names_the_ones_that_are_known(tmp_path: Path) -> None:
    layers: Layers = {"conv1": [(5, 5, 3, 32)], "conv2": [(5, 5, 32, 32)], "head": [(32, 2)]}
    assert refused(legacy(tmp_path / "mine.h5", layers)).startswith(
        "mine.h5 holds none of the networks of Keras that fursure knows, which are VGG16, VGG19, "
        "ResNet50, InceptionV3, Xception, MobileNetV2; the nearest is "
    )


def test_a_network_that_is_almost_known_names_the_layers_that_differ(tmp_path: Path) -> None:
    layers = vgg16()
    layers["block2_conv1"] = [(3, 3, 64, 96), (96,)]
    del layers["block5_conv3"]
    words = refused(legacy(tmp_path / "mine.h5", layers))
    assert "the nearest is VGG16, of which 2 of 13 layers differ" in words
    assert "'block2_conv1': found 3x3x64x96 and 96, needs 3x3x64x128 and 128;" in words
    assert "'one more layer': found nothing, needs 3x3x512x512 and 512)." in words
    assert words.endswith("or take another network from timm:NAME.")


def edited(path: Path, edit: Edit) -> Path:
    legacy(path, vgg16())
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def _objects(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    file["block3_conv1"].create_dataset("block3_conv1_1:0", (256,), h5py.string_dtype())


def _integers(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    file["block3_conv1/block3_conv1_1:0"] = np.ones(256, np.int8)


def _diverged(file: Any) -> None:
    file["block3_conv1/block3_conv1_1:0"][7] = np.nan


def _elsewhere(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    file["block3_conv1/block3_conv1_1:0"] = h5py.ExternalLink("/etc/passwd", "/")


def _raw_bytes_elsewhere(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    file["block3_conv1"].create_dataset(
        "block3_conv1_1:0", (256,), np.float32, external=[("/etc/passwd", 0, 1024)]
    )


def _from_another_file(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    layout = h5py.VirtualLayout((256,), np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd", "weights", (256,), np.float32)
    file["block3_conv1"].create_virtual_dataset("block3_conv1_1:0", layout)


def _one_huge_piece(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    file["block3_conv1"].create_dataset(
        "block3_conv1_1:0", (256,), np.float32, maxshape=(None,), chunks=(2**29,)
    )


def _group_for_an_array(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]
    file.create_group("block3_conv1/block3_conv1_1:0")


def _missing(file: Any) -> None:
    del file["block3_conv1/block3_conv1_1:0"]


def _no_layers(file: Any) -> None:
    del file.attrs["layer_names"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_objects, "layer 'block3_conv1' holds values of type object, .* save it unquantised"),
        (_integers, "layer 'block3_conv1' holds values of type int8, .* save it unquantised"),
        (_diverged, "layer 'block3_conv1' holds values that are not finite, .* earlier epoch"),
        (_elsewhere, "'block3_conv1_1:0' in /block3_conv1 leads elsewhere"),
        (_raw_bytes_elsewhere, "layer 'block3_conv1' does not lie in the file as Keras writes it"),
        (_from_another_file, "layer 'block3_conv1' does not lie in the file as Keras writes it"),
        (_one_huge_piece, "layer 'block3_conv1' does not lie in the file as Keras writes it"),
        (_group_for_an_array, "/block3_conv1 holds something else than arrays"),
        (_missing, "'block3_conv1_1:0' in /block3_conv1 does not exist"),
        (_no_layers, r"h5 holds no layers as Keras writes them \(it has 'block1_conv1', "),
    ],
)
def test_a_file_that_keras_would_not_write_says_why(tmp_path: Path, edit: Edit, words: str) -> None:
    with pytest.raises(BadBackbone, match=words):
        keras_weights.keras_network(edited(tmp_path / "mine.h5", edit))


@pytest.mark.parametrize("kept", [0, 3, 600, 4000])  # bytes
def test_a_torn_file_is_refused_in_a_sentence(tmp_path: Path, kept: int) -> None:
    path = legacy(tmp_path / "mine.h5", vgg16())
    path.write_bytes(path.read_bytes()[:kept])
    words = refused(path)
    assert words.startswith(("mine.h5 is no HDF5 file", "mine.h5 cannot be read ("))
    assert words.endswith("it may be incomplete: copy or download it again.")


def test_a_keras_file_without_weights_says_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(BadBackbone, match=r"zip without model\.weights\.h5 \(it has 'config\.js"):
        keras_weights.keras_network(path)


def test_a_keras_file_that_unpacks_to_far_more_than_it_is_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(keras_files.MEMBER, bytes(10**7))
    words = r"mine\.keras unpacks from 0\.00\d+ MB to 10 MB, which weights do not; .*save_weights\("
    with pytest.raises(BadBackbone, match=words):
        keras_weights.keras_network(path)


def test_a_keras_file_with_weights_damaged_on_the_way_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(legacy(tmp_path / "mine.h5", vgg16()), keras_files.MEMBER)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadBackbone, match=r"mine\.keras cannot be read \(Bad CRC-32 for file"):
        keras_weights.keras_network(path)


def test_a_model_inside_itself_ends_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "mine.weights.h5"
    with h5py.File(path, "w") as file:
        layers = file.create_group("layers")
        layers["functional"] = file["/"]
        layers["functional_1"] = file["/"]
    assert "'one more layer': found nothing" in refused(path)


def test_layers_of_keras_3_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.weights.h5"
    with h5py.File(path, "w") as file:
        for number in range(12):
            layer = file.create_group(f"layers/conv2d{f'_{number}' * (number > 0)}/vars")
            layer["0"] = np.zeros((1, 1, 1, number + 1))
            layer.attrs["name"] = f"mine_{number}"
        for index in range(11):
            file[f"layers/custom/vars/{index}"] = np.zeros(index)
        inner = file.create_group("layers/functional/_layer_checkpoint_dependencies/dense/vars")
        inner["0"] = np.zeros((2, 2))
    with keras_files.opened_keras(path) as file:
        layers = keras_files.layers_of(file, path.name)
    assert [layer.name for layer in layers] == [
        "dense",  # a model in the model comes first
        *(f"mine_{number}" for number in range(12)),
        "custom",
    ]


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = legacy(tmp_path / "mine.h5", vgg16())
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    for name in ("keras_files", "keras_weights"):
        monkeypatch.delitem(sys.modules, f"fursure.networks.{name}")
    monkeypatch.delattr("fursure.networks.keras_weights")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"weights of Keras needs .*fursure\[torch\]"):
        load_backbone(str(path))


# Files that keep their reader busy, or end it


def test_a_file_that_is_not_read_in_time_is_refused(tmp_path: Path) -> None:
    path = legacy(tmp_path / "mine.h5", {"conv": [(1, 1, 3, 8)]})
    with pytest.raises(BadBackbone, match=r"mine\.h5 was not read after 0 seconds, which no file"):
        keras_trial.check_readable(path, seconds=0.01)


def test_a_file_that_ends_its_reader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = legacy(tmp_path / "mine.h5", {"conv": [(1, 1, 3, 8)]})
    monkeypatch.setattr(sys, "executable", shutil.which("false") or "false")
    keras_trial.check_readable(path)  # refused in words: the next reader says why
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -11 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    with pytest.raises(BadBackbone, match=r"mine\.h5 ends the process that reads it \(code -11\)"):
        keras_trial.check_readable(path)


@pytest.mark.skipif(sys.platform != "linux", reason="how libhdf5 2.0 fails there is known")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("hangs", "not read after 5 seconds", marks=pytest.mark.slow),
        pytest.param("crashes", "ends the process that reads it", marks=pytest.mark.long),
    ],
)
def test_files_that_libhdf5_does_not_survive_are_refused(
    tmp_path: Path, name: str, words: str
) -> None:
    """Two of 3,116 mutations of a drawn file kept it busy for ever, one ended it."""
    data = Path(__file__).parent / "data" / f"{name}.h5.gz"
    path = tmp_path / "mine.h5"
    path.write_bytes(gzip.decompress(data.read_bytes()))
    with pytest.raises(BadBackbone, match=words):
        keras_trial.check_readable(path, seconds=5 if name == "hangs" else 60)


def test_a_file_is_tried_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = legacy(tmp_path / "mine.h5", vgg16())
    tried: list[Path] = []

    def refuse(path: Path) -> None:
        tried.append(path)
        raise BadBackbone("tried")

    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keras_trial, "check_readable", refuse)
    with pytest.raises(BadBackbone, match="tried"):
        load_backbone(str(path))
    assert tried == [path]


def test_a_whole_file_passes_its_trial(tmp_path: Path) -> None:
    keras_trial.check_readable(legacy(tmp_path / "mine.h5", vgg16()))


# Files written by Keras itself

SIDES = {  # pixels; even or odd where Keras's padding is lopsided for one of them
    "VGG16": 64,
    "VGG19": 64,
    "ResNet50": 65,
    "InceptionV3": 107,
    "Xception": 98,
    "MobileNetV2": 64,
}
KERAS = """
import sys
from pathlib import Path
import keras
import numpy as np

folder, names = Path(sys.argv[1]), sys.argv[2:]
rng = np.random.default_rng(0)
keras.utils.set_random_seed(0)


def randomise(model):  # of real statistics, and not chaotic: else rounding or constants win
    for layer in model.layers:
        values = [array if array.ndim > 1 else rng.normal(0.5, 0.3, array.shape)
                  for array in layer.get_weights()]
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0  # the next batch is all that counts
            if layer.scale:
                values[0] = rng.uniform(0.5, 1.5, values[0].shape)
        layer.set_weights(values)
    pixels_NHWC = rng.integers(0, 256, (8, *model.input_shape[1:]))
    model(pixels_NHWC.astype(np.float32) / 128 - 1, training=True)


def answer(model, pixels_NHWC, prepare):
    return np.asarray(model(prepare(pixels_NHWC.astype(np.float32))).detach())


def save(model, name):
    model.save(folder / f"{name}.h5")
    model.save(folder / f"{name}.keras")


for name, side in (pair.split("=") for pair in names):
    make, shape = getattr(keras.applications, name), (int(side), int(side), 3)
    module = sys.modules[make.__module__]
    model = make(weights=None, include_top=False, pooling="avg", input_shape=shape)
    randomise(model)
    pixels_NHWC = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    features_ND = answer(model, pixels_NHWC, module.preprocess_input)
    save(model, name)
    old_ND = features_ND
    if name == "ResNet50":
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.epsilon = 1e-3
        old_ND = answer(model, pixels_NHWC, module.preprocess_input)
    np.savez(folder / f"{name}.npz", pixels=pixels_NHWC, features=features_ND, old=old_ND)

layers, small = keras.layers, {"weights": None, "alpha": 0.35}
base = keras.applications.MobileNetV2(include_top=False, input_shape=(64, 64, 3), **small)
randomise(base)
pixels_NHWC = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
map_NHWC = answer(base, pixels_NHWC, keras.applications.mobilenet_v2.preprocess_input)
np.savez(folder / "small.npz", pixels=pixels_NHWC, features=map_NHWC.mean(axis=(1, 2)))
top = keras.applications.MobileNetV2(classes=3, **small)
for layer, twin in zip(top.layers, base.layers):
    layer.set_weights(twin.get_weights())
save(top, "top")
head = layers.BatchNormalization()(layers.Conv2D(8, 1)(base.output))
mine = keras.Model(base.input, layers.Dense(2)(layers.GlobalMaxPooling2D()(head)))
mine.compile("adam", "mse")
mine.optimizer.build(mine.trainable_variables)
save(mine, "own-head")
pool = layers.GlobalAveragePooling2D()
inside = [keras.Input((64, 64, 3)), layers.RandomFlip(), base, pool, layers.Dense(2)]
save(keras.Sequential(inside), "inside")
base.trainable = False
save(keras.Sequential(inside), "inside-frozen")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with what Keras saved (0.8 GB, removed again), or skip."""
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    folder = tmp_path_factory.mktemp("keras")
    env = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)}
    sides = [f"{name}={side}" for name, side in SIDES.items()]
    subprocess.run([sys.executable, "-c", KERAS, str(folder), *sides], env=env, check=True)
    yield folder
    shutil.rmtree(folder)


def weights_alone(saved: Path, name: str, into: Path) -> Path:
    """Return the `.weights.h5` that lies in a `.keras` file."""
    with zipfile.ZipFile(saved / f"{name}.keras") as archive:
        into.write_bytes(archive.read(keras_files.MEMBER))
    return into


def of_tensorflow(saved: Path, name: str, into: Path) -> Path:
    """Return the weights as TensorFlow 2.12 to 2.15 has them in its `.keras` files."""
    with h5py.File(weights_alone(saved, name, into), "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    return into


def published(saved: Path, name: str, into: Path, renamed: Callable[[str], str] = str) -> Path:
    """Return the weights as keras.applications publishes them: no model, names in bytes."""
    with h5py.File(saved / f"{name}.h5") as whole, h5py.File(into, "w") as file:
        model = whole["model_weights"]
        layers = list(model.attrs["layer_names"])
        file.attrs["layer_names"] = [renamed(layer).encode() for layer in layers]
        for layer in layers:
            group = file.create_group(renamed(layer))
            paths = model[layer].attrs.get("weight_names", [])
            group.attrs["weight_names"] = [path.rpartition("/")[2].encode() for path in paths]
            for path in paths:
                group[path.rpartition("/")[2]] = model[layer][path][()]
    return into


def agreement(path: Path, answers: Path, key: str = "features") -> float:
    """Return the largest difference to Keras as a share of the largest feature."""
    config, net = keras_weights.keras_network(path)
    preprocess, wanted = preprocess_of(config, None), np.load(answers)
    with torch.inference_mode():
        encoder = TorchEncoder(net, preprocess.mean, preprocess.std).eval()
        features_ND, map_NDhw = encoder(torch.from_numpy(wanted["pixels"]))
    assert features_ND.shape == map_NDhw.shape[:2]
    return deviation(features_ND.numpy(), wanted[key])


def deviation(found_ND: NDArray[Any], wanted_ND: NDArray[Any]) -> float:
    assert found_ND.shape == wanted_ND.shape
    return float(np.abs(found_ND - wanted_ND).max() / np.abs(wanted_ND).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", SIDES)
def test_every_file_of_keras_gives_the_features_of_keras(
    saved: Path, name: str, tmp_path: Path
) -> None:
    answers = saved / f"{name}.npz"
    assert agreement(saved / f"{name}.h5", answers) < 1e-4
    assert agreement(saved / f"{name}.keras", answers) < 1e-4
    for layout in (weights_alone, of_tensorflow, published):
        assert agreement(layout(saved, name, tmp_path / "file.h5"), answers) < 1e-4


@pytest.mark.slow
def test_the_resnet50_published_for_keras_2_keeps_its_names_and_its_epsilon(
    saved: Path, tmp_path: Path
) -> None:
    def renamed(name: str) -> str:
        """Return the layer's name of then."""
        if name in {"conv1_conv", "conv1_bn"}:
            return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[name]
        if not name.endswith(("_conv", "_bn")):
            return name
        conv, block, number, kind = name.split("_")
        branch = {"0": "1", "1": "2a", "2": "2b", "3": "2c"}[number]
        prefix = "res" if kind == "conv" else "bn"
        return f"{prefix}{conv[-1]}{'abcdef'[int(block[-1]) - 1]}_branch{branch}"

    path = published(saved, "ResNet50", tmp_path / "file.h5", renamed)
    with h5py.File(path, "r+") as file:  # the shortcut came behind the third convolution
        names = list(file.attrs["layer_names"])
        for place in [place for place, name in enumerate(names) if name.endswith("_branch1")]:
            names[place : place + 2] = reversed(names[place : place + 2])
        file.attrs["layer_names"] = names
    assert agreement(path, saved / "ResNet50.npz", "old") < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["top", "own-head", "inside", "inside-frozen"])
def test_what_lies_around_the_network_is_left_out(saved: Path, name: str) -> None:
    for suffix in ("h5", "keras"):
        assert agreement(saved / f"{name}.{suffix}", saved / "small.npz") < 1e-4


@pytest.mark.slow
def test_keras_weights_become_a_backbone_that_is_kept(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    found = load_backbone(str(saved / "MobileNetV2.keras"), image_size=64)
    assert (found.name, found.licence) == ("MobileNetV2.keras", "unknown")
    wanted = np.load(saved / "MobileNetV2.npz")
    session = OnnxRuntime(found.onnx, threads=1)
    assert deviation(session(wanted["pixels"])["features"], wanted["features"]) < 1e-4
    monkeypatch.setattr(keras_weights, "keras_network", None)  # a second conversion would call it
    assert load_backbone(str(saved / "MobileNetV2.keras"), image_size=64) == found
