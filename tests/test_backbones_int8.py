"""Encoders in whole numbers of 8 bits, calibrated on photos."""

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from console import fursure
from numpy.typing import NDArray
from samples import SIDE, encoder_graph

from fursure.backbones import int8
from fursure.backbones.backbone import Backbone
from fursure.backbones.combine import encoder_for
from fursure.bundle.bundle import Bundle
from fursure.dataset.labelled import Dataset
from fursure.drawings.draw import draw, jpeg
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import BadBackbone, BadData, BadRecipe
from fursure.features.calibration import CALIBRATED_ON, calibration_on
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune, Recipe
from fursure.rows.photo import Photo
from fursure.training.train import train_model

PREPROCESS = Preprocess(size=SIDE, mode="squash")
ENCODER = Backbone(
    name="drawn", onnx=encoder_graph(seed=1), preprocess=PREPROCESS, licence="Apache-2.0"
)


@cache
def drawn(preprocess: Preprocess, count: int = 16) -> NDArray[np.uint8]:
    return np.stack([preprocess(draw(("cat", "dog")[seed % 2], seed)) for seed in range(count)])


def operators(backbone: Backbone) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(backbone.onnx).graph.node}


def test_in_int8_features_are_nearly_the_same() -> None:
    rounded = int8.quantized(ENCODER, drawn)
    assert "QuantizeLinear" in operators(rounded)
    before, after = (
        OnnxRuntime(encoder.onnx, threads=1)(drawn(PREPROCESS))["features"]
        for encoder in (ENCODER, rounded)
    )
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < 0.05 * np.abs(before).max()


def test_the_same_photos_give_the_same_encoder() -> None:
    assert int8.quantized(ENCODER, drawn).digest == int8.quantized(ENCODER, drawn).digest
    few = int8.quantized(ENCODER, lambda preprocess: drawn(preprocess, 2))
    assert few.digest != int8.quantized(ENCODER, drawn).digest


def test_the_quantiser_talks_to_nobody(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    int8.quantized(ENCODER, drawn)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert logging.root.manager.disable == logging.NOTSET


def test_an_encoder_that_would_change_too_much_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(int8, "LEAST_COSINE", 1.1)
    with pytest.raises(BadBackbone, match=r"resemble themselves by 0\.\d\d only"):
        int8.quantized(ENCODER, drawn)


def test_what_cannot_be_rounded_is_told_in_a_sentence() -> None:
    with pytest.raises(BadBackbone, match=r"cannot be computed in int8 .* --precision fp32 can"):
        int8.quantized(replace(ENCODER, onnx=b"no graph"), drawn)


def test_int8_needs_photos() -> None:
    with pytest.raises(BadBackbone, match="calibrated on photos"):
        encoder_for(Recipe(precision="int8"))


def test_a_network_that_trains_cannot_be_in_int8(drawings: Path, tmp_path: Path) -> None:
    recipe = Recipe(precision="int8", tune=FineTune())
    with pytest.raises(BadRecipe, match="--precision fp32"):
        train_model(drawings, tmp_path / "m.fursure", recipe)


@pytest.mark.long
def test_calibration_takes_photos_from_all_over_the_data_set_and_passes_over_bad_ones(
    tmp_path: Path,
) -> None:
    for number in range(3 * CALIBRATED_ON):
        name = f"{'ab'[number % 2]}.{number:03}.jpg"
        (tmp_path / name).write_bytes(
            b"no photo" if number == 0 else jpeg(draw("cat", number, size=64))
        )
    with Dataset(tmp_path).open() as source:
        listed = Dataset(tmp_path).listed(source).photos
        pixels_NHWC = calibration_on(source, listed)(PREPROCESS)
        assert pixels_NHWC.shape == (CALIBRATED_ON - 1, SIDE, SIDE, 3)
        last = PREPROCESS(draw("cat", 3 * CALIBRATED_ON - 1, size=64))
        assert np.abs(pixels_NHWC[-1].astype(int) - last).mean() < 5  # JPEG
        with pytest.raises(BadData, match="no photo to calibrate"):
            calibration_on(source, [Photo(path="gone.jpg", sha256="", width=0, height=0)])(
                PREPROCESS
            )


@pytest.mark.long
def test_a_model_in_int8_is_a_third_of_the_size_and_answers_alike(
    drawings: Path, tmp_path: Path
) -> None:
    whole, small = tmp_path / "whole.fursure", tmp_path / "small.fursure"
    assert fursure("train", drawings, "-o", whole).returncode == 0
    assert fursure("train", drawings, "-o", small, "--precision", "int8").returncode == 0
    assert small.stat().st_size < 0.4 * whole.stat().st_size
    probs = [Bundle.read(path).meta.figures["accuracy"]["value"] for path in (whole, small)]
    assert abs(probs[0] - probs[1]) < 0.05
    again = fursure("train", drawings, "-o", small, "--precision", "int8")
    assert "nothing to do" in again.stderr
    for engine in ("onnxruntime", "openvino"):
        run = fursure("predict", "-m", small, "--engine", engine, next(drawings.rglob("*.jpg")))
        assert run.returncode == 0, run.stderr
