"""One photo, one network input; and the value that says how."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fursure.drawings.draw import draw
from fursure.photos.preprocess import Preprocess

MODES = ["crop", "squash", "pad"]
LEFT_TO_RIGHT = Image.linear_gradient("L").rotate(90).convert("RGB")  # 256 × 256, dark to light


@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    mode=st.sampled_from(MODES),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
    size=st.integers(1, 96),
)
def test_any_photo_gives_a_square_of_bytes(
    width: int, height: int, mode: Any, interpolation: Any, size: int
) -> None:
    preprocess = Preprocess(size=size, mode=mode, interpolation=interpolation)
    pixels_HWC = preprocess(Image.new("RGB", (width, height), (9, 90, 200)))
    assert pixels_HWC.shape == (size, size, 3)
    assert pixels_HWC.dtype == np.uint8
    if mode != "pad":
        assert (pixels_HWC == (9, 90, 200)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 1), (65_535, 2)])
def test_the_most_extreme_shapes_raise_nothing(shape: tuple[int, int], mode: Any) -> None:
    assert Preprocess(mode=mode)(Image.new("RGB", shape)).shape == (224, 224, 3)


def test_the_centre_crop_is_what_torchvision_calls_resize_and_centre_crop() -> None:
    # Resize the shorter side to 256, crop the middle 224: the same area, resized once, not twice.
    photo = draw("cat", seed=4, size=512).crop((0, 40, 512, 424))
    small = photo.resize((341, 256), Image.Resampling.BICUBIC).crop((58, 16, 282, 240))
    ours_HWC = Preprocess()(photo).astype(int)
    assert np.abs(ours_HWC - np.asarray(small)).mean() < 4


def test_the_crop_keeps_its_share_of_the_shorter_side() -> None:
    row = Preprocess(size=64, crop=0.5)(LEFT_TO_RIGHT)[0, :, 0].astype(int)
    assert row[0] == pytest.approx(64, abs=3)  # a quarter of the way across
    assert row[-1] == pytest.approx(191, abs=3)


def test_squashing_keeps_every_edge() -> None:
    row = Preprocess(size=64, mode="squash")(LEFT_TO_RIGHT.resize((256, 77)))[0, :, 0].astype(int)
    assert row[0] == pytest.approx(0, abs=3)
    assert row[-1] == pytest.approx(255, abs=3)


@pytest.mark.parametrize(("shape", "inside"), [((100, 50), (0, 32)), ((50, 100), (32, 0))])
def test_padding_is_the_mean_and_leaves_the_photo_whole(
    shape: tuple[int, int], inside: tuple[int, int]
) -> None:
    preprocess = Preprocess(size=128, mode="pad", mean=(0.2, 0.4, 0.6))
    pixels_HWC = preprocess(Image.new("RGB", shape, (255, 0, 0)))
    left, top = inside
    assert tuple(pixels_HWC[0, 0]) == ((255, 0, 0) if not left and not top else (51, 102, 153))
    assert (pixels_HWC[top : 128 - top, left : 128 - left] == (255, 0, 0)).all()
    assert (pixels_HWC == (51, 102, 153)).all(axis=2).mean() == 0.5


@pytest.mark.parametrize(
    ("preprocess", "side"),
    [
        (Preprocess(), 256),
        (Preprocess(size=160), 256),
        (Preprocess(size=299, crop=0.875), 342),
        (Preprocess(size=384, crop=1.0), 384),
        (Preprocess(size=384, crop=0.5, mode="squash"), 384),
        (Preprocess(size=300, mode="pad"), 300),
    ],
)
def test_decoding_keeps_what_the_network_needs(preprocess: Preprocess, side: int) -> None:
    assert preprocess.min_side == side


# The value


@given(
    size=st.integers(1, 4096),
    mode=st.sampled_from(MODES),
    crop=st.floats(0.01, 1),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.001, 2)] * 3),
)
def test_a_round_trip_through_json_changes_nothing(**knobs: Any) -> None:
    preprocess = Preprocess(**knobs)
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": 0}, "preprocess size is 0; needed is 1 to 4096 px"),
        ({"size": 10**9}, "preprocess size is 1000000000; needed"),
        ({"size": 224.0}, "preprocess size is 224.0; needed"),
        ({"size": True}, "preprocess size is True; needed"),
        ({"mode": "stretch"}, "preprocess mode is 'stretch'; needed is crop, squash or pad"),
        ({"mode": ["crop"]}, r"preprocess mode is \('crop',\); needed"),
        ({"crop": 0}, "preprocess crop is 0; needed is a share above 0 and up to 1"),
        ({"crop": 1.5}, "preprocess crop is 1.5; needed"),
        ({"crop": float("nan")}, "preprocess crop is nan; needed"),
        ({"crop": "0.9"}, "preprocess crop is '0.9'; needed"),
        ({"interpolation": "nearest"}, "preprocess interpolation is 'nearest'; needed is bilinear"),
        ({"mean": [0.5, 0.5]}, r"preprocess mean is \(0.5, 0.5\); needed is three numbers"),
        (
            {"mean": [0.5, 0.5, 123.7]},
            r"preprocess mean is .*; needed is three numbers from 0 to 1",
        ),
        ({"std": [0.2, 0.0, 0.2]}, r"preprocess std is .*; needed is three numbers above 0"),
        ({"std": None}, "preprocess std is None; needed"),
        ({"gamma": 2.2}, "preprocess has unknown knobs: gamma"),
    ],
)
def test_an_impossible_value_is_named_with_its_range(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Preprocess.from_json(Preprocess().to_json() | change)


@pytest.mark.parametrize("knob", ["size", "mode", "crop", "interpolation", "mean", "std"])
def test_a_missing_knob_is_named(knob: str) -> None:
    knobs = Preprocess().to_json()
    del knobs[knob]
    with pytest.raises(ValueError, match=f"preprocess lacks {knob}"):
        Preprocess.from_json(knobs)


@pytest.mark.parametrize("obj", [None, [], "crop", 3])
def test_what_is_no_object_is_refused(obj: object) -> None:
    with pytest.raises(ValueError, match="needed is an object with its knobs"):
        Preprocess.from_json(obj)


def test_a_variant_is_checked_too() -> None:
    assert replace(Preprocess(), size=192).min_side == 256
    with pytest.raises(ValueError, match="preprocess size is -1"):
        replace(Preprocess(), size=-1)
