"""Backbones side by side and in the mirror, on networks built by hand and the one in the wheel."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from PIL import Image
from samples import FORMAT_1, SIDE, WIDTH, encoder_graph, network_into

from fursure.backbones.backbone import Backbone
from fursure.backbones.combine import encoder_for, side_by_side, with_flips
from fursure.backbones.kinds import load_backbone
from fursure.drawings.draw import draw
from fursure.engine.runtime import OnnxRuntime, Outputs
from fursure.errors import BadBackbone, UnknownBackbone
from fursure.graphs.graph import attach_head, encoder_of, half_precision
from fursure.graphs.layers import Dense, Layers
from fursure.photos.preprocess import RESAMPLING, Interpolation, Preprocess
from fursure.recipe import Recipe

PREPROCESS = Preprocess(size=SIDE, mode="squash")


def backbone(name: str, *, seed: int, licence: str = "MIT") -> Backbone:
    graph = encoder_graph(seed=seed)
    return Backbone(name=name, onnx=graph, preprocess=PREPROCESS, licence=licence)


A = backbone("a", seed=1, licence="Apache-2.0")
B = backbone("b", seed=2)


def pixels(count: int, side: int = SIDE) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def answers(encoder: Backbone | bytes, pixels_NHWC: NDArray[np.uint8]) -> Outputs:
    graph = encoder.onnx if isinstance(encoder, Backbone) else encoder
    return OnnxRuntime(graph, threads=1)(np.ascontiguousarray(pixels_NHWC))


def joined(parts: Sequence[Backbone], name: str, count: int) -> NDArray[np.float32]:
    return np.concatenate([answers(one, pixels(count))[name] for one in parts], axis=1)


def with_head(encoder: Backbone, width: int) -> bytes:
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=size).astype(np.float32) for size in ((width, 3), (3,))]
    layers = Layers((Dense(*weights),))
    labels = ("cat", "dog", "fox")
    return attach_head(encoder.onnx, layers, 1.0, labels=labels, preprocess=PREPROCESS)


# Side by side


@pytest.mark.parametrize("count", [1, 2, 8, 11])
def test_features_and_maps_of_several_backbones_lie_side_by_side(count: int) -> None:
    found = answers(side_by_side([A, B]), pixels(count))
    for name in ("features", "map"):
        assert np.allclose(found[name], joined([A, B], name, count), atol=1e-5)


def test_names_are_joined_and_each_licence_is_said_once() -> None:
    both = side_by_side([A, B])
    assert (both.name, both.licence) == ("a + b", "Apache-2.0 and MIT")
    assert both.preprocess == A.preprocess
    four = side_by_side([both, backbone("c", seed=3), backbone("d", seed=4, licence="CC0")])
    assert (four.name, four.licence) == ("a + b + c + d", "Apache-2.0 and MIT and CC0")
    parts = [A, B, backbone("c", seed=3), backbone("d", seed=4)]
    assert np.allclose(answers(four, pixels(2))["map"], joined(parts, "map", 2), atol=1e-5)


def test_half_precision_of_one_part_leaves_the_other_exact() -> None:
    small = replace(A, onnx=half_precision(A.onnx))
    found = answers(side_by_side([small, B]), pixels(3))["features"]
    assert np.allclose(found, joined([small, B], "features", 3), atol=1e-5)


@pytest.mark.parametrize("opsets", [(13, 18), (18, 13), (13, 13), (20, 13)])
def test_operator_sets_of_different_years_are_reconciled(
    tmp_path: Path, opsets: tuple[int, int]
) -> None:
    parts = [
        load_backbone(network_into(tmp_path / f"net{number}", seed=number, opset=opset))
        for number, opset in enumerate(opsets)
    ]
    both = side_by_side(parts)
    assert onnx.load_from_string(both.onnx).opset_import[0].version == max(18, *opsets)
    found = answers(both, pixels(3))
    assert np.allclose(found["features"], joined(parts, "features", 3), atol=1e-4)


def test_an_operator_set_that_cannot_be_reached_is_named() -> None:
    model = onnx.load_from_string(A.onnx)
    model.graph.node.append(helper.make_node("Teleport", ["features"], ["elsewhere"]))
    model.opset_import[0].version = 13
    with pytest.raises(BadBackbone, match=r"a cannot be brought to the ONNX operator set 18 \("):
        side_by_side([replace(A, onnx=model.SerializeToString()), B])


@pytest.mark.parametrize("order", [1, -1])
def test_a_coarser_map_takes_the_cells_of_the_finest_and_keeps_its_mean(
    tmp_path: Path, order: int
) -> None:
    fine = load_backbone(network_into(tmp_path / "fine", stride=3))
    coarse = load_backbone(network_into(tmp_path / "coarse"))
    found = answers(side_by_side([fine, coarse][::order]), pixels(2))
    assert np.allclose(found["features"], joined([fine, coarse][::order], "features", 2), atol=1e-5)
    assert found["map"].shape == (2, 2 * WIDTH, 5, 5)
    assert np.allclose(found["map"].mean(axis=(2, 3)), found["features"], atol=1e-5)
    same = slice(None, WIDTH) if order == 1 else slice(WIDTH, None)
    assert np.allclose(found["map"][:, same], answers(fine, pixels(2))["map"], atol=1e-5)


def test_where_one_has_no_map_there_is_none(tmp_path: Path) -> None:
    flat = load_backbone(network_into(tmp_path / "flat"), features="scores")
    assert set(answers(side_by_side([A, flat]), pixels(1))) == {"features"}


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("side", [17, 32, 45])  # pixels
def test_a_smaller_network_sees_what_pillow_would_show_it(
    tmp_path: Path, resampling: Interpolation, side: int
) -> None:
    path = network_into(tmp_path / "net", input_size=[3, side, side], interpolation=resampling)
    large = load_backbone(path)
    both = side_by_side([large, A])
    assert both.preprocess == large.preprocess
    whole_NHWC = pixels(3, side)
    photos = [Image.fromarray(one) for one in whole_NHWC]
    small = [np.asarray(one.resize((SIDE, SIDE), RESAMPLING[resampling])) for one in photos]
    found = answers(both, whole_NHWC)
    wanted = answers(large, whole_NHWC), answers(A, np.stack(small))
    assert np.allclose(found["features"][:, :WIDTH], wanted[0]["features"], atol=1e-4)
    assert np.allclose(found["features"][:, WIDTH:], wanted[1]["features"], atol=0.02)
    if side == 32:  # twice the cells: each of the coarse ones fills four
        doubled = wanted[1]["map"].repeat(2, axis=2).repeat(2, axis=3)
        assert np.allclose(found["map"][:, WIDTH:], doubled, atol=0.05)


def test_the_same_backbone_twice_is_refused() -> None:
    with pytest.raises(BadBackbone, match="a is named twice, which adds nothing; name different"):
        side_by_side([A, B, A])
    with pytest.raises(BadBackbone, match="mine is a again"):
        side_by_side([A, replace(A, name="mine")])


# Flips


@pytest.mark.parametrize("encoder", [A, side_by_side([A, B])], ids=["one", "two"])
@pytest.mark.parametrize("count", [1, 2, 8, 11])
def test_a_photo_and_its_mirror_image_have_one_answer(encoder: Backbone, count: int) -> None:
    flipped = with_flips(encoder)
    found = answers(flipped, pixels(count))
    mirrored = answers(flipped, pixels(count)[:, :, ::-1])
    assert np.allclose(found["features"], mirrored["features"], atol=1e-4)
    assert np.allclose(found["map"], mirrored["map"][..., ::-1], atol=1e-4)
    assert not np.allclose(
        answers(encoder, pixels(count))["features"], mirrored["features"], atol=1e-2
    )


def test_the_answer_is_the_mean_of_both() -> None:
    here, there = (answers(A, pixels(3)[:, :, ::step]) for step in (1, -1))
    found = answers(with_flips(A), pixels(3))
    assert np.allclose(found["features"], (here["features"] + there["features"]) / 2, atol=1e-5)
    assert np.allclose(found["map"], (here["map"] + there["map"][..., ::-1]) / 2, atol=1e-5)


def test_flips_of_an_older_operator_set_without_a_map_work(tmp_path: Path) -> None:
    path = network_into(tmp_path / "old", opset=13)
    old = load_backbone(path, features="scores")
    here, there = (answers(old, pixels(3)[:, :, ::step])["features"] for step in (1, -1))
    found = answers(with_flips(old), pixels(3))
    assert set(found) == {"features"}
    assert np.allclose(found["features"], (here + there) / 2, atol=1e-4)


def test_flips_are_made_once() -> None:
    once = with_flips(A)
    assert with_flips(once) == once
    again = replace(once, onnx=encoder_of(with_head(once, WIDTH)))
    assert with_flips(again) == again


@pytest.mark.parametrize(
    ("encoder", "width"),
    [
        (side_by_side([A, B]), 2 * WIDTH),
        (with_flips(A), WIDTH),
        (with_flips(side_by_side([A, B])), 2 * WIDTH),
    ],
    ids=["two", "flips", "both"],
)
def test_the_heat_still_averages_to_the_logit_above_the_mean(encoder: Backbone, width: int) -> None:
    graph = with_head(encoder, width)
    out = answers(graph, pixels(5))
    black_NHWC = np.zeros((1, SIDE, SIDE, 3), np.uint8)  # its features are 0, its logits the bias
    free = out["logits"] - answers(graph, black_NHWC)["logits"]
    top = out["logits"].argmax(axis=1)
    expected = free[np.arange(5), top] - free.mean(axis=1)
    assert np.allclose(out["heat"].mean(axis=(1, 2)), expected, atol=1e-4)
    assert encoder_of(graph) == encoder.onnx


@pytest.mark.parametrize("flips", [False, True])
def test_openvino_agrees(flips: bool) -> None:
    openvino = pytest.importorskip("fursure.engine.openvino")
    if openvino.installed_version() is None:
        pytest.skip("OpenVINO is not installed")
    encoder = side_by_side([A, B])
    encoder = with_flips(encoder) if flips else encoder
    found = openvino.OpenVino(encoder.onnx, threads=1)(pixels(11))
    wanted = answers(encoder, pixels(11))
    for name in ("features", "map"):  # bf16 keeps 8 bits
        assert np.abs(found[name] - wanted[name]).max() < 0.02 * np.abs(wanted[name]).max()


# From a recipe


def test_one_backbone_named_alone_is_itself(tmp_path: Path) -> None:
    path = network_into(tmp_path / "net")
    wanted = load_backbone(path, resize="pad", features="scores")
    for named in (path, (path,)):
        recipe = Recipe(backbone=named, resize="pad", features_output="scores")
        assert encoder_for(recipe) == wanted


def test_every_network_keeps_its_size_and_the_first_ones_way_of_resizing(tmp_path: Path) -> None:
    path = network_into(tmp_path / "net", interpolation="bilinear", crop_pct=0.5)
    lite0, net = load_backbone("lite0"), load_backbone(path)
    for names, first in ((("lite0", path), lite0), ((path, "lite0"), net)):
        found = encoder_for(Recipe(backbone=names))
        assert found.preprocess == replace(first.preprocess, size=224, crop=lite0.preprocess.crop)
        features_ND = answers(found, pixels(1, 224))["features"]
        wanted_ND = answers(lite0, pixels(1, 224))["features"]
        width = wanted_ND.shape[1]
        same = features_ND[:, :width] if first is lite0 else features_ND[:, -width:]
        assert np.allclose(same, wanted_ND, atol=1e-4)


def test_every_network_sees_the_crop_it_was_trained_with(tmp_path: Path) -> None:
    wide = load_backbone(network_into(tmp_path / "wide", crop_pct=1.0, input_size=[3, 64, 64]))
    narrow = load_backbone(network_into(tmp_path / "narrow", seed=1, crop_pct=0.5))
    both = side_by_side([narrow, wide])
    assert (both.preprocess.size, both.preprocess.crop) == (64, 1.0)
    photo = draw("cat", 5, size=64)
    found = answers(both, both.preprocess(photo)[None])["features"]
    for part, columns in ((narrow, slice(None, WIDTH)), (wide, slice(WIDTH, None))):
        alone = answers(part, part.preprocess(photo)[None])["features"]
        assert np.allclose(found[:, columns], alone, atol=0.02)


def test_only_a_part_that_takes_the_whole_view_is_itself(tmp_path: Path) -> None:
    wide = load_backbone(network_into(tmp_path / "wide", input_size=[3, 32, 32]))
    other = load_backbone(network_into(tmp_path / "other", seed=1, input_size=[3, 32, 32]))
    small = load_backbone(network_into(tmp_path / "small", seed=2))
    narrow = replace(small, preprocess=replace(small.preprocess, crop=0.5))
    assert side_by_side([wide, other]).parts == (wide, other)
    for less in (small, narrow):
        both = side_by_side([less, wide])
        assert wide in both.parts
        assert both.parts[0].digest != less.digest


def test_where_crops_differ_no_network_gets_fewer_pixels_than_it_needs(tmp_path: Path) -> None:
    large = load_backbone(network_into(tmp_path / "large", crop_pct=0.5, input_size=[3, 32, 32]))
    small = load_backbone(network_into(tmp_path / "small", seed=1, crop_pct=1.0))
    assert side_by_side([small, large]).preprocess.size == 64


def test_an_image_size_is_for_all(tmp_path: Path) -> None:
    small = network_into(tmp_path / "small")
    large = network_into(tmp_path / "large", seed=1, input_size=[3, 32, 32])
    for size, wanted in ((None, 32), (24, 24)):
        found = encoder_for(Recipe(backbone=(small, large), image_size=size))
        assert found.preprocess.size == wanted
    with pytest.raises(BadBackbone, match="takes 160 px and no other size; leave --image-siz"):
        encoder_for(Recipe(backbone=(small, str(FORMAT_1)), image_size=SIDE))


def test_flips_and_resize_apply_to_the_whole(tmp_path: Path) -> None:
    paths = tuple(network_into(tmp_path / f"net{seed}", seed=seed) for seed in (1, 2))
    found = encoder_for(Recipe(backbone=paths, flips=True, resize="pad"))
    assert found.preprocess.mode == "pad"
    assert found.name == "net1 + net2"
    here, there = (answers(found, pixels(2)[:, :, ::step])["features"] for step in (1, -1))
    assert here.shape == (2, 2 * WIDTH)
    assert np.allclose(here, there, atol=1e-4)


def test_no_name_and_a_wrong_name_are_told() -> None:
    with pytest.raises(BadBackbone, match="no backbone is named; name one at least"):
        encoder_for(Recipe(backbone=()))
    with pytest.raises(UnknownBackbone, match="no backbone 'light0'"):
        encoder_for(Recipe(backbone=("lite0", "light0")))
    with pytest.raises(BadBackbone, match="lite0 is named twice"):
        encoder_for(Recipe(backbone=("lite0", "lite0")))
