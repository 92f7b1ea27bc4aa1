"""The recipes that redo the tutorials, whole: VGG16 of random weights on drawn photos.

The numbers mean nothing here; that each step runs, and hands over what the next one needs, does.
"""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import fursure
from fursure.commands.api import train
from fursure.commands.split import Arrays, split_data
from fursure.recipe import FineTune, Recipe, Stage
from fursure.recipes.catalogue import RECIPES

h5py = pytest.importorskip("h5py")
if find_spec("timm") is None:  # found, not imported: that takes seconds
    pytest.skip("no timm to make networks with", allow_module_level=True)

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)  # of VGG16 (table 1, D)
SEEDS = [
    "vgg16-augmented", "scratch-cnn", "scratch-resnet", "vgg-transfer", "vgg16-small",
    "vgg16-full", "choose-backbone", "vgg16-bottleneck",
]  # fmt: skip


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file as Keras publishes VGG16 without its top, the weights drawn at random."""
    path = tmp_path_factory.mktemp("weights") / "vgg16_notop.h5"
    blocks = [(1, 1), (1, 2), (2, 1), (2, 2), *((b, c) for b in (3, 4, 5) for c in (1, 2, 3))]
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        names = [f"block{block}_conv{number}" for block, number in blocks]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name, within, out in zip(names, (3, *WIDTHS), WIDTHS, strict=False):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            scale = np.sqrt(2 / (9 * within))  # keeps the signal's size (He et al., ICCV 2015)
            kernel = generator.normal(0, scale, (3, 3, within, out)).astype(np.float32)
            group[f"{name}_W_1:0"] = kernel
            group[f"{name}_b_1:0"] = np.zeros(out, np.float32)
    return path


def brief(name: str, backbone: Path | str) -> Recipe:
    """Return a recipe with one pass a stage, on a backbone at hand."""
    recipe = RECIPES[name]
    if recipe.from_scratch:
        backbone = str(recipe.backbone)
    settings = recipe.tune
    if settings is not None:
        stages = tuple(replace(stage, epochs=1) for stage in settings.stages)
        settings = replace(settings, stages=stages, batch=16)
    return replace(
        recipe,
        backbone=str(backbone),
        tune=settings,
        validation=0.2,
        test=0.2,
        cross_validate_below=0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_every_recipe_of_the_tutorials_gives_a_model_that_predicts(
    name: str, vgg16: Path, drawings: Path, tmp_path: Path
) -> None:
    recipe = brief(name, vgg16)
    trained = train(drawings, tmp_path / "model.fursure", recipe)
    assert trained.bundle.meta.recipe["name"] == name
    assert trained.bundle.meta.preprocess.size == (recipe.image_size or 224)
    answer = fursure.load(trained.path).predict(next((drawings / "cat").iterdir()))
    assert answer.label in {"cat", "dog"}
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    epochs = json.loads((tmp_path / "model.metrics.json").read_text())["epochs"]
    expected = len(recipe.tune.stages) + 1 if recipe.tune else 0
    assert len(epochs) == expected  # one before the first step, and one a stage


@pytest.mark.slow
@pytest.mark.parametrize(("size", "cells"), [(150, 4), (224, 7)])
def test_bottleneck_maps_are_what_the_tutorial_saved(
    size: int, cells: int, vgg16: Path, drawings: Path, tmp_path: Path
) -> None:
    form = Arrays(backbone=str(vgg16), image_size=size, maps=True)
    split_data(drawings, tmp_path / "npy", form=form)
    map_NhwD = np.load(tmp_path / "npy" / "train_features.npy")
    labels_N = np.load(tmp_path / "npy" / "train_labels.npy")
    assert map_NhwD.shape == (len(labels_N), cells, cells, 512)  # VGG halves the side five times
    assert map_NhwD.min() >= 0  # it ends in a ReLU and a pooling
    assert set(labels_N) == {0, 1}


@pytest.mark.slow
def test_only_the_fifth_block_of_vgg16_moves_when_the_last_block_trains(
    vgg16: Path, drawings: Path, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    recipe = replace(
        brief("vgg16-small", vgg16),
        tune=FineTune(
            stages=(Stage(part="last-block", epochs=3, rate=1e-4),),
            start="random",  # so that any pass beats the beginning, and its weights are kept
            ema=0.0,
            batch=8,
        ),
        image_size=96,
    )
    frozen = train(drawings, tmp_path / "frozen.fursure", replace(recipe, tune=None))
    tuned = train(drawings, tmp_path / "tuned.fursure", recipe)

    def kernels(model: bytes) -> list[np.ndarray]:
        tensors = onnx.load_from_string(model).graph.initializer
        return [numpy_helper.to_array(one) for one in tensors if len(one.dims) == 4]

    before, after = kernels(frozen.bundle.model), kernels(tuned.bundle.model)
    same = [bool(np.array_equal(a, b)) for a, b in zip(before, after, strict=True)]
    assert same == [True] * 10 + [False] * 3  # convolutions 1-1 to 4-3, then 5-1 to 5-3
