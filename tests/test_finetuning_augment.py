"""Squares of photos → network inputs, blended batches, and the file the squares lie in."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.dataset.sources import open_source
from fursure.drawings.draw import draw
from fursure.errors import BadImage, CacheUnusable
from fursure.photos.decode import decode
from fursure.photos.preprocess import Preprocess
from fursure.rows.photo import Photo

pytest.importorskip("torch")

import torch
from torch import Tensor

from fursure.finetuning import augment
from fursure.finetuning.augment import PRESETS, Augment, Preset, square_side
from fursure.finetuning.mixing import drawn_mix
from fursure.finetuning.pixels import pixels

PLAIN = Preprocess(size=56, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1))  # squares of 64 pixels
HALF = replace(PLAIN, size=32, crop=0.5)  # shows the middle quarter of such a square


def squares(count: int, *, side: int = 64) -> Tensor:
    generator = np.random.default_rng(0)
    return torch.from_numpy(generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def shown(x_NCHW: Tensor) -> NDArray[np.float32]:
    """Return inputs as pixels (N, H, W, 3) from 0 to 255."""
    return np.asarray(x_NCHW.permute(0, 2, 3, 1) * 255)


# What is drawn for whom


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_photo_becomes_depends_on_neither_batch_nor_order(name: str) -> None:
    make, photos = Augment(PRESETS[name], PLAIN, 7), squares(9)
    whole = make(photos, range(9), 2)
    order = [4, 2, 8, 0, 1, 3, 7, 6, 5]
    assert torch.equal(make(photos[order], order, 2), whole[order])
    for border in (1, 4, 8):
        parts = [
            make(photos[rows], rows, 2)
            for rows in (list(range(9))[:border], list(range(9))[border:])
        ]
        assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("name", ["classic", "strong"])
def test_another_pass_another_seed_and_another_photo_give_another_picture(name: str) -> None:
    photo = squares(1).expand(2, -1, -1, -1)
    first, other = Augment(PRESETS[name], PLAIN, 7)(photo, [3, 4], 2)
    (later,) = Augment(PRESETS[name], PLAIN, 7)(photo[:1], [3], 3)
    (seeded,) = Augment(PRESETS[name], PLAIN, 8)(photo[:1], [3], 2)
    for found in (other, later, seeded):
        assert not torch.equal(found, first)


# Where a photo is shown


def test_without_augmentation_a_photo_is_shown_as_the_finished_classifier_sees_it() -> None:
    photo = draw("cat", 3, size=300)
    # The middle 56 of 64 pixels are copied; of 57 the middle 50 begin between two pixels.
    for size, most in ((56, 0.5), (50, 6.0)):
        preprocess = replace(PLAIN, size=size)
        square = replace(preprocess, size=square_side(preprocess), crop=1.0)(photo)
        x_NCHW = Augment(PRESETS["none"], preprocess, 0)(torch.tensor(square)[None], [0], 0)
        found, wanted = shown(x_NCHW)[0, 2:-2, 2:-2], preprocess(photo).astype(np.float32)
        gaps = {
            (down, right): np.abs(
                found - wanted[2 + down : size - 2 + down, 2 + right : size - 2 + right]
            ).mean()
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
        }
        here = gaps.pop((0, 0))
        assert here < 0.6 * min(gaps.values())  # a pixel aside is worse in every direction
        assert here < most  # of 255


@pytest.mark.parametrize("mode", ["squash", "pad"])
def test_where_the_whole_photo_is_shown_the_square_is_the_input(mode: Any) -> None:
    preprocess = replace(PLAIN, mode=mode)
    assert square_side(preprocess) == 56
    photos = squares(2, side=56)
    found = Augment(PRESETS["none"], preprocess, 0)(photos, [0, 1], 0)
    assert np.abs(shown(found) - photos.numpy()).max() < 0.1


def always(
    monkeypatch: pytest.MonkeyPatch, share: float, preset: Preset, how: Preprocess
) -> Tensor:
    """Return three squares shown by ``preset``, each number drawn being ``share``."""
    monkeypatch.setattr(Augment, "_drawn", lambda *_: np.full(augment.DRAWS, share))
    return Augment(preset, how, 0)(squares(3), [0, 1, 2], 0)


class Case(NamedTuple):
    preset: Preset
    share: float  # what is drawn: 0 is the lowest, 1 the highest
    seen: Callable[[Any], Any]  # of a square of 64 pixels


@pytest.mark.parametrize(
    "case",
    [
        Case(Preset(), 1, lambda it: it[:, 16:48, 16:48]),
        Case(Preset(mirror=True), 0, lambda it: it[:, 16:48, 47:15:-1]),
        Case(Preset(mirror=True), 1, lambda it: it[:, 16:48, 16:48]),
        Case(Preset(shift=0.25), 1, lambda it: it[:, 32:, 32:]),
        Case(Preset(shift=0.25), 0, lambda it: it[:, :32, :32]),
        Case(Preset(zoom=1.0), 1, lambda it: it.reshape(3, 32, 2, 32, 2, 3)),
        Case(Preset(turn=90), 1, lambda it: np.rot90(it[:, 16:48, 16:48], 1, (1, 2))),
        Case(Preset(turn=90), 0, lambda it: np.rot90(it[:, 16:48, 16:48], -1, (1, 2))),
        Case(Preset(area=(0.25, 1)), 0, lambda it: it[:, :32, :32]),
        Case(Preset(area=(0.1, 0.25)), 1, lambda it: it[:, 32:, 32:]),
    ],
)
def test_each_change_of_place_shows_the_pixels_counted_by_hand(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shown(always(monkeypatch, case.share, case.preset, HALF))
    wanted = case.seen(squares(3).numpy().astype(np.float32))
    if wanted.ndim == 6:  # zoomed out to the whole square: each pixel is the mean of four
        wanted = wanted.mean(axis=(2, 4))
    assert np.abs(found - wanted).max() < 0.1


def test_a_mirror_turns_about_half_of_the_photos() -> None:
    photos = squares(1).expand(200, -1, -1, -1)
    found = shown(Augment(Preset(mirror=True), PLAIN, 1)(photos, range(200), 0))
    plain = photos.numpy()[:, 4:60, 4:60]
    turned = np.abs(found - plain[:, :, ::-1]).max(axis=(1, 2, 3)) < 0.1
    assert (turned | (np.abs(found - plain).max(axis=(1, 2, 3)) < 0.1)).all()
    assert 70 < turned.sum() < 130  # four standard deviations


@pytest.mark.parametrize("preset", [PRESETS["classic"], replace(PRESETS["strong"], colour=0.0)])
@pytest.mark.parametrize("mode", ["crop", "squash"])
def test_a_white_photo_has_no_black_borders(preset: Preset, mode: Any) -> None:
    preprocess = replace(PLAIN, mode=mode)
    white = torch.full((64, square_side(preprocess), square_side(preprocess), 3), 255).byte()
    found = Augment(preset, preprocess, 0)(white, range(64), 0)
    assert float((found - 1).abs().max()) < 1e-5


# What becomes of colours


def test_colours_stay_in_their_range_and_are_then_normalised() -> None:
    wild = replace(PRESETS["strong"], colour=1.0)
    found = Augment(wild, PLAIN, 0)(squares(32), range(32), 0)
    assert (float(found.min()), float(found.max())) == (0, 1)
    usual = replace(PLAIN, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    normal = Augment(wild, usual, 0)(squares(32), range(32), 0)
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (usual.mean, usual.std))
    assert torch.allclose(normal * std + mean, found, atol=1e-6)


def test_without_brightness_a_photo_is_black_and_without_contrast_or_saturation_grey() -> None:
    x_NCHW = squares(1).permute(0, 3, 1, 2) / 255
    recoloured = augment._recoloured
    assert torch.equal(recoloured(x_NCHW, np.array([[0.0, 1, 1]])), torch.zeros_like(x_NCHW))
    flat = recoloured(x_NCHW, np.array([[1, 0.0, 1]]))
    assert torch.allclose(flat, x_NCHW.mean().expand_as(flat), atol=1e-5)
    grey = recoloured(x_NCHW, np.array([[1, 1, 0.0]]))
    assert torch.allclose(grey, x_NCHW.mean(1, keepdim=True).expand_as(grey), atol=1e-5)
    same = recoloured(x_NCHW, np.array([[1.0, 1, 1]]))
    assert torch.allclose(same, x_NCHW, atol=1e-6)


def test_what_is_erased_is_one_rectangle_of_2_to_32_percent() -> None:
    white = torch.full((200, 64, 64, 3), 255).byte()
    found = Augment(Preset(erase=0.5), PLAIN, 0)(white, range(200), 0)
    gone_NHW = (found == 0).all(dim=1).numpy()
    share_N = gone_NHW.mean(axis=(1, 2))
    erased = share_N > 0
    assert 60 < erased.sum() < 140  # half of them; four standard deviations are 28
    assert share_N[erased].min() >= 7 * 7 / 56**2  # √0.02 of 56 pixels, rounded down
    assert share_N.max() <= 0.32
    tall_N, wide_N = (gone_NHW.any(axis=axis).sum(axis=1) for axis in (2, 1))
    assert np.allclose(tall_N * wide_N, share_N * 56**2)


# Blended batches


def batch() -> tuple[Tensor, Tensor]:
    """Return photos of one value each, and a class for each: the value is found in the target."""
    values = torch.linspace(0, 1, 6)
    return values.view(6, 1, 1, 1).expand(6, 3, 20, 20).clone(), torch.eye(6)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_a_target_says_how_much_of_each_photo_is_in_the_picture(
    mixup: float, cutmix: float
) -> None:
    x_BCHW, targets_BK = batch()
    pasted = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        mix = drawn_mix(6, 20, mixup=mixup, cutmix=cutmix, generator=generator)
        assert mix is not None
        out_BCHW = mix.photos(x_BCHW, x_BCHW[mix.other_B])
        out_BK = mix.targets(targets_BK, targets_BK[mix.other_B])
        assert torch.allclose(out_BK.sum(dim=1), torch.ones(6))
        assert torch.allclose(out_BCHW.mean((1, 2, 3)), out_BK @ torch.linspace(0, 1, 6), atol=1e-5)
        pasted += bool((out_BCHW.amax((1, 2, 3)) - out_BCHW.amin((1, 2, 3))).max() > 0)
    assert {(0.4, 0.0): pasted == 0, (0.0, 1.0): pasted > 30, (0.4, 1.0): 8 < pasted < 32}[
        mixup, cutmix
    ]
    assert torch.equal(x_BCHW, batch()[0])  # the photos themselves are as they were


def test_without_mixing_no_photo_has_another_in_it() -> None:
    generator = np.random.default_rng(0)
    assert drawn_mix(6, 20, mixup=0, cutmix=0, generator=generator) is None


# The file the squares lie in


@pytest.fixture
def photos(drawings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Photo]:
    """Return five photos, and a home of their own."""
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path / "home"))
    return [Photo(path=f"cat/cat.{n}.jpg", sha256=f"{n:064}") for n in range(5)]


def test_the_file_holds_what_the_preprocessing_makes_of_each_photo(
    drawings: Path, photos: list[Photo]
) -> None:
    preprocess = Preprocess(size=48, crop=0.9)
    with open_source(drawings) as source:
        found_NHWC = np.load(pixels(source, photos, preprocess, threads=2))
    assert (found_NHWC.shape, found_NHWC.dtype) == ((5, 48, 48, 3), np.uint8)
    for photo, pixels_HWC in zip(photos, found_NHWC, strict=True):
        data = (drawings / photo.path).read_bytes()
        decoded = decode(data, name=photo.path, min_side=preprocess.min_side)
        assert np.array_equal(pixels_HWC, preprocess(decoded.image))


def test_the_file_is_used_again_for_the_same_photos_and_preprocessing_only(
    drawings: Path, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    preprocess = Preprocess(size=16)
    with open_source(drawings) as source:
        first = pixels(source, photos, preprocess, threads=1)
        written = first.stat()
        others = [
            pixels(source, photos[::-1], preprocess, threads=1),
            pixels(source, photos, replace(preprocess, crop=1.0), threads=1),
        ]
        monkeypatch.setattr(type(source), "read", lambda *_: pytest.fail("a photo was read"))
        assert pixels(source, photos, preprocess, threads=1) == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert len({first, *others}) == 3


def test_an_interruption_leaves_no_file_behind(drawings: Path, photos: list[Photo]) -> None:
    gone = [*photos, Photo(path="cat/gone.jpg", sha256="f" * 64)]
    with open_source(drawings) as source, pytest.raises(BadImage):
        pixels(source, gone, Preprocess(size=16), threads=1)
    with open_source(drawings) as source:
        path = pixels(source, photos, Preprocess(size=16), threads=1)
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_without_room_is_a_sentence_before_anything_is_written(
    drawings: Path, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    needed = 5 * 100 * 100 * 3
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(needed))
    words = r"0\.0 GB of pixels need room, 0\.0 GB are free; free some space"
    with open_source(drawings) as source:
        with pytest.raises(CacheUnusable, match=words):
            pixels(source, photos, Preprocess(size=100), threads=1)
        monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(2 * needed))
        path = pixels(source, photos, Preprocess(size=100), threads=1)
    assert list(path.parent.iterdir()) == [path]
