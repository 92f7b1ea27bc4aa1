"""Perceptual hashes: ImageHash's, from a cheaper thumbnail, in bulk, with mirrors and crops."""

import io

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from fursure.splitting.fingerprint import FLAT, SIDE, crops, phash, thumbnail
from fursure.splitting.groups import CLOSE, SURE


def scenery(seed: int, size: tuple[int, int] = (200, 200), *, detail: int = 12) -> Image.Image:
    """Draw a smooth random field of colours: like a photo, most of it is low frequencies."""
    coarse = np.random.default_rng(seed).integers(0, 256, (detail, detail, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def hash_of(image: Image.Image) -> int:
    return int(phash(thumbnail(image)[None])[0][0])


def bits_between(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_the_hash_is_that_of_imagehash_up_to_the_cheaper_thumbnail() -> None:
    sizes = [(200, 200), (500, 333), (64, 48), (40, 300), (1200, 900)]
    pictures = [scenery(seed, sizes[seed % 5], detail=24) for seed in range(50)]
    away = [bits_between(hash_of(p), int(str(imagehash.phash(p)), 16)) for p in pictures]
    assert max(away) <= 4
    assert np.mean(away) < 1


def test_from_the_same_thumbnail_the_hash_is_that_of_imagehash() -> None:
    for seed in range(50):
        picture = scenery(seed, (SIDE, SIDE))  # resampling to the size it has changes nothing
        assert hash_of(picture) == int(str(imagehash.phash(picture)), 16)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (32, 32), (33, 31), (640, 480)])
def test_a_thumbnail_has_its_size_whatever_the_picture_has(size: tuple[int, int]) -> None:
    grey = thumbnail(scenery(0, size))
    assert grey.shape == (SIDE, SIDE)
    assert grey.dtype == np.uint8


@settings(max_examples=50)
@given(arrays(np.uint8, (3, SIDE, SIDE)))
def test_the_mirrored_hash_is_the_hash_of_the_mirrored_picture(greys: NDArray[np.uint8]) -> None:
    hashes, mirrored = phash(greys)
    assert phash(greys[:, :, ::-1])[0].tolist() == mirrored.tolist()
    assert phash(greys[:, :, ::-1])[1].tolist() == hashes.tolist()


@settings(max_examples=50)
@given(arrays(np.uint8, (2, SIDE, SIDE)))
def test_the_crops_of_a_mirrored_picture_are_the_mirrored_crops(greys: NDArray[np.uint8]) -> None:
    plain, mirrored = crops(greys), crops(greys[:, :, ::-1])
    for one, other in zip(plain, mirrored, strict=True):
        assert set(one.tolist()) == set(other.tolist())


@pytest.mark.parametrize(
    ("view", "box"),
    [
        (0, (0, 0, 760, 760)),
        (2, (40, 0, 800, 760)),
        (4, (0, 40, 760, 800)),
        (6, (40, 40, 800, 800)),
        (8, (20, 20, 780, 780)),
        (10, (40, 40, 760, 760)),
    ],
)
def test_each_crop_is_hashed_as_if_it_had_been_cut(
    view: int, box: tuple[int, int, int, int]
) -> None:
    away, from_the_whole = [], []
    for seed in range(20):
        picture = scenery(seed, (800, 800), detail=8)
        cut = hash_of(picture.crop(box))
        away.append(bits_between(cut, int(crops(thumbnail(picture)[None])[0, view])))
        from_the_whole.append(bits_between(cut, hash_of(picture)))
    assert max(away) <= 4
    assert np.mean(away) < np.mean(from_the_whole) / 3


def bits_after(seed: int, quality: int, scale: float) -> int:
    """Return how many bits differ once a picture was resized and recompressed."""
    picture = scenery(seed)
    side = round(200 * scale)
    resized = picture.resize((side, side), Image.Resampling.BICUBIC)
    return bits_between(hash_of(picture), hash_of(recompressed(resized, quality)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), quality=st.integers(50, 90), scale=st.floats(0.5, 2))
def test_recompressing_and_resizing_keep_a_copy_close(
    seed: int, quality: int, scale: float
) -> None:
    assert bits_after(seed, quality, scale) <= CLOSE  # 4 is possible: seed 228 at quality 50


def test_recompressing_and_resizing_hardly_ever_change_more_than_two_bits() -> None:
    draw = np.random.default_rng(0)
    found = [
        bits_after(int(draw.integers(10**6)), int(draw.integers(50, 91)), draw.uniform(0.5, 2))
        for _ in range(300)
    ]
    assert np.mean([bits <= SURE for bits in found]) >= 0.99


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_blank_pictures_have_the_hash_that_resembles_nothing(level: int) -> None:
    blank = Image.new("RGB", (200, 200), (level, level, level))
    paper = np.random.default_rng(0).normal(level, 4, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    for picture in (blank, recompressed(Image.fromarray(paper), 70)):
        greys = thumbnail(picture)[None]
        assert [array.tolist() for array in phash(greys)] == [[FLAT], [FLAT]]
        assert set(crops(greys)[0].tolist()) == {FLAT}


def test_a_faint_picture_is_not_blank() -> None:
    faint = scenery(0).point(lambda level: 120 + level // 16)
    assert hash_of(faint) != FLAT
    assert bits_between(hash_of(faint), hash_of(scenery(0))) <= 16  # rounded to 16 levels


def test_a_photo_has_the_same_hashes_alone_and_among_many() -> None:
    greys = np.stack([thumbnail(scenery(seed, (64, 64))) for seed in range(600)])
    hashes, mirrored = phash(greys)
    cropped = crops(greys)
    for index in (0, 511, 512, 599):
        alone = greys[index : index + 1]
        assert [array[0] for array in phash(alone)] == [hashes[index], mirrored[index]]
        assert crops(alone)[0].tolist() == cropped[index].tolist()


def test_no_photos_have_no_hashes() -> None:
    nothing = np.empty((0, SIDE, SIDE), dtype=np.uint8)
    assert [array.shape for array in phash(nothing)] == [(0,), (0,)]
    assert crops(nothing).shape == (0, 12)
