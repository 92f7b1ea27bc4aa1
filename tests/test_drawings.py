"""Drawn cats, dogs and strangers: repeatable, varied, and told apart with some doubt."""

from hashlib import sha256
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fursure.drawings.brush import Dice, blend, closed, mix, outline
from fursure.drawings.draw import Kind, draw, jpeg
from fursure.drawings.pets import Pet, look_of
from fursure.photos.decode import decode

KINDS: tuple[Kind, ...] = get_args(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_picture(kind: Kind) -> None:
    assert draw(kind, 7).tobytes() == draw(kind, 7).tobytes()


def test_seeds_and_kinds_draw_different_pictures() -> None:
    pictures = {sha256(draw(kind, seed).tobytes()).digest() for kind in KINDS for seed in range(40)}
    assert len(pictures) == 120


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 32, 200, 257])
def test_a_picture_has_the_size_asked_for(kind: Kind, size: int) -> None:
    picture = draw(kind, 0, size)
    assert (picture.size, picture.mode) == ((size, size), "RGB")


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="cannot draw 'cow'; needed is one of cat, dog, stranger"):
        draw("cow", 0)  # type: ignore[arg-type]


def test_a_drawing_survives_as_a_jpeg() -> None:
    picture = draw("dog", 11)
    photo = decode(jpeg(picture))
    difference_HWC = np.asarray(photo.image, dtype=int) - np.asarray(picture)
    assert (photo.format, photo.width, photo.height) == ("JPEG", 256, 256)
    assert np.abs(difference_HWC).mean() < 8
    assert len(jpeg(picture, quality=50)) < len(jpeg(picture, quality=90))


def test_pictures_of_one_kind_are_far_from_alike() -> None:
    small_NHWC = [np.asarray(draw("cat", seed).resize((16, 16)), dtype=int) for seed in range(20)]
    apart = [np.abs(one - other).mean() for one, other in combinations(small_NHWC, 2)]
    assert min(apart) > 8


def test_some_cats_have_something_of_a_dog_and_some_dogs_of_a_cat() -> None:
    pets: tuple[Pet, ...] = get_args(Pet)
    for own, pet in enumerate(pets):
        looks = [look_of(pet, Dice(seed)) for seed in range(400)]
        foreign = np.array([abs(look.dogness - own) for look in looks])
        ears = np.array([abs(look.ears - own) for look in looks])
        assert 0.08 < (foreign > 0.2).mean() < 0.22
        assert 0.03 < (ears > 0.6).mean() < 0.2
        assert foreign.max() < 0.6


@pytest.mark.long
def test_cats_and_dogs_can_be_told_apart_but_not_always() -> None:
    """A straight line through their colours, hardly a classifier, is right more often than not."""
    colours_ND = np.concatenate([_colours(kind, range(150)) for kind in ("cat", "dog")])
    sign_N, fits_N = np.repeat([-1, 1], 150), np.tile(np.arange(150) < 100, 2)
    colours_ND -= colours_ND[fits_N].mean(axis=0)
    gram_NN = colours_ND[fits_N] @ colours_ND[fits_N].T
    ridge_NN = gram_NN + np.trace(gram_NN) / 100 * np.eye(200)
    weight_D = colours_ND[fits_N].T @ np.linalg.solve(ridge_NN, sign_N[fits_N])
    right_N = np.sign(colours_ND @ weight_D) == sign_N
    assert 0.6 < right_N[~fits_N].mean() < 0.95


def _colours(kind: Kind, seeds: range) -> NDArray[np.float64]:
    """Return how often each of 64 colours occurs in a drawing, on a scale of logarithms."""
    quarters = [np.asarray(draw(kind, seed, 64)).reshape(-1, 3) // 64 for seed in seeds]
    counts = [np.bincount(pixels @ (16, 4, 1), minlength=64) for pixels in quarters]
    return np.log1p(np.stack(counts))


# The tools it is drawn with


def test_an_outline_reads_as_svg_points_do() -> None:
    assert outline("0,-.5 .25,1") == [(0, -0.5), (0.25, 1)]


def test_a_closed_outline_is_symmetric() -> None:
    assert closed([(0, -1), (1, 0), (0, 1)]) == [(0, -1), (1, 0), (0, 1), (-1, 0)]


def test_halfway_between_two_outlines_and_colours_is_their_mean() -> None:
    assert blend([(0, 0), (2, 2)], [(2, 4), (4, 4)], 0.5) == [(1, 2), (3, 3)]
    assert mix((0, 100, 200), (100, 100, 0), 0.5) == (50, 100, 100)


def test_dice_throw_the_same_on_every_platform() -> None:
    # PCG64 seeded with 1: the doubles are its bits, and NumPy promises the bits.
    dice = Dice(1)
    assert dice.between(0, 1) == np.random.Generator(np.random.PCG64([1])).random()
    assert Image.new("RGB", (1, 1), Dice(2).near((10, 250, 128))).mode == "RGB"
