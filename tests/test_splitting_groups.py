"""Near-duplicate groups: whom they join, whom they leave alone, and in what time."""

import io
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fursure.splitting.fingerprint import FLAT, crops, phash, thumbnail
from fursure.splitting.groups import CLOSE, CROWD, group

Hashes = NDArray[np.uint64]


def digest(index: int) -> str:
    return sha256(str(index).encode()).hexdigest()


def digests(count: int) -> list[str]:
    return [digest(index) for index in range(count)]


def random_hashes(rng: np.random.Generator, *shape: int) -> Hashes:
    return rng.integers(1, 2**64, shape, dtype=np.uint64)


def flipped(rng: np.random.Generator, word: np.uint64, bits: int) -> np.uint64:
    for bit in rng.choice(64, bits, replace=False):
        word ^= np.uint64(1) << np.uint64(bit)
    return word


def by_brute_force(
    names: list[str], hashes: Hashes, mirrored: Hashes, cropped: Hashes, radius: int
) -> list[str]:
    """Group by comparing everything with everything."""
    views = [[h, m, *c] for h, m, c in zip(hashes, mirrored, cropped, strict=True)]
    group_of = list(range(len(names)))
    for i in range(len(names)):
        for j in range(len(names)):
            if min(int(view ^ hashes[j]).bit_count() for view in views[i]) <= radius:
                old, new = group_of[i], group_of[j]
                group_of = [new if one == old else one for one in group_of]
    return [
        min(name for name, other in zip(names, group_of, strict=True) if other == one)
        for one in group_of
    ]


def test_photos_that_resemble_nothing_are_their_own_groups() -> None:
    rng = np.random.default_rng(0)
    names = digests(500)
    assert group(names, random_hashes(rng, 500), random_hashes(rng, 500)) == names


def test_a_group_is_named_by_its_smallest_digest() -> None:
    hashes = np.array([0x1234, 0x1234, 0xFFFF0000], dtype=np.uint64)
    assert group(["b", "a", "c"], hashes, ~hashes) == ["a", "a", "c"]


def test_equal_digests_share_a_group_even_without_structure() -> None:
    flat = np.full(3, FLAT, dtype=np.uint64)
    assert group(["b", "a", "b"], flat, flat) == ["b", "a", "b"]


def test_blank_pictures_are_not_copies_of_one_another() -> None:
    flat = np.full(100, FLAT, dtype=np.uint64)
    assert group(digests(100), flat, flat, np.ones((100, 8), dtype=np.float32)) == digests(100)


def test_no_photos_make_no_groups() -> None:
    none = np.empty(0, dtype=np.uint64)
    assert group([], none, none) == []
    assert group([], none, none, np.empty((0, 8), dtype=np.float32)) == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_groups_are_those_found_by_comparing_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, names = 60, digests(60)
    hashes, mirrored = random_hashes(rng, count), random_hashes(rng, count)
    cropped = random_hashes(rng, count, 4)
    for copy in range(30, count):  # of an original, its mirror image, a crop, or another copy
        original, bits = rng.integers(copy), int(rng.integers(1, 9))
        views = [hashes[original], mirrored[original], *cropped[original]]
        hashes[copy] = flipped(rng, views[rng.integers(len(views))], bits)
    expected = by_brute_force(names, hashes, mirrored, cropped, CLOSE)
    assert group(names, hashes, mirrored, crops_NV=cropped) == expected


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_groups_do_not_depend_on_the_order_of_the_photos(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 80
    hashes, mirrored = random_hashes(rng, count), random_hashes(rng, count)
    features = rng.random((count, 40), dtype=np.float32)
    for copy in range(40, count):
        original = rng.integers(copy)
        hashes[copy] = flipped(rng, hashes[original], int(rng.integers(0, 12)))
        features[copy] = features[original] + rng.random(40) * rng.choice([0.1, 1])
    names, order = np.array(digests(count)), rng.permutation(count)
    straight = np.array(group(list(names), hashes, mirrored, features))
    shuffled = group(list(names[order]), hashes[order], mirrored[order], features[order])
    assert shuffled == straight[order].tolist()


class TestFeatures:
    """A hundred photos with features of two classes; the last is compared with the first."""

    COUNT = 100

    @pytest.fixture
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(0)

    @pytest.fixture
    def hashes(self, rng: np.random.Generator) -> Hashes:
        return random_hashes(rng, self.COUNT)

    @pytest.fixture
    def features(self, rng: np.random.Generator) -> NDArray[np.float32]:
        classes = rng.random((2, 64)) * 10  # what a class shares outweighs the rest
        noise = rng.random((self.COUNT, 64))
        return (classes[np.arange(self.COUNT) % 2] + noise).astype(np.float32)

    def joined(self, hashes: Hashes, features: NDArray[np.float32] | None) -> bool:
        names = group(digests(self.COUNT), hashes, ~hashes, features)
        return names[0] == names[-1]

    def test_equal_features_confirm_a_distant_hash(
        self, rng: np.random.Generator, hashes: Hashes, features: NDArray[np.float32]
    ) -> None:
        hashes[-1] = flipped(rng, hashes[0], 8)
        features[-1] = features[0] * 1.05
        assert not self.joined(hashes, None)
        assert self.joined(hashes, features)

    def test_different_features_contradict_a_close_hash(
        self, rng: np.random.Generator, hashes: Hashes, features: NDArray[np.float32]
    ) -> None:
        hashes[-1] = flipped(rng, hashes[0], CLOSE)
        assert self.joined(hashes, None)
        assert not self.joined(hashes, features)

    def test_features_cannot_part_the_same_picture(
        self, rng: np.random.Generator, hashes: Hashes, features: NDArray[np.float32]
    ) -> None:
        hashes[-1] = flipped(rng, hashes[0], 2)
        assert self.joined(hashes, features)

    def test_a_class_in_common_confirms_nothing(
        self, rng: np.random.Generator, hashes: Hashes, features: NDArray[np.float32]
    ) -> None:
        for photo in range(2, self.COUNT, 2):  # all of one class, and all alike to the hash
            hashes[photo] = flipped(rng, hashes[0], 10)
        assert group(digests(self.COUNT), hashes, ~hashes, features) == digests(self.COUNT)

    def test_few_photos_are_judged_by_their_hashes_alone(
        self, rng: np.random.Generator, hashes: Hashes, features: NDArray[np.float32]
    ) -> None:
        hashes[1] = flipped(rng, hashes[0], CLOSE)
        hashes[3] = flipped(rng, hashes[2], CLOSE + 1)
        features[3] = features[2]
        names = group(digests(10), hashes[:10], ~hashes[:10], features[:10])
        assert len(set(names)) == 9
        assert names[0] == names[1]

    def test_an_encoder_that_sees_nothing_does_no_harm(
        self, rng: np.random.Generator, hashes: Hashes
    ) -> None:
        hashes[-1] = hashes[0]
        assert self.joined(hashes, np.ones((self.COUNT, 8), dtype=np.float32))

    def test_half_precision_features_group_alike(
        self, rng: np.random.Generator, hashes: Hashes, features: NDArray[np.float32]
    ) -> None:
        hashes[-1] = flipped(rng, hashes[0], 8)
        features[-1] = features[0]
        half = features.astype(np.float16)
        assert len(set(group(digests(self.COUNT), hashes, ~hashes, half))) == self.COUNT - 1


def chain(rng: np.random.Generator, length: int, step: int) -> Hashes:
    """Return hashes of which each differs from the one before in ``step`` bits."""
    words = [np.uint64(rng.integers(1, 2**63))]
    while len(words) < length:
        words.append(flipped(rng, words[-1], step))
    return np.array(words)


@pytest.mark.parametrize(
    ("length", "step", "whole"), [(CROWD, 5, True), (CROWD + 1, 5, False), (CROWD + 1, 2, True)]
)
def test_a_chain_holds_unless_it_is_long_and_weak(length: int, step: int, whole: bool) -> None:
    hashes = chain(np.random.default_rng(0), length, step)
    found = group(digests(length), hashes, hashes[::-1].copy() ^ np.uint64(2**64 - 1))
    assert (len(set(found)) == 1) == whole


@pytest.mark.long
def test_a_hundred_thousand_photos_are_grouped_in_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes, mirrored = random_hashes(rng, 100_000), random_hashes(rng, 100_000)
    for copy in range(1000):
        original = hashes if copy % 2 else mirrored
        hashes[-1 - copy] = flipped(rng, original[copy], CLOSE)
    start = time.perf_counter()
    found = group(digests(100_000), hashes, mirrored)
    assert time.perf_counter() - start < 10  # 0.5 on two cores; comparing all pairs takes minutes
    assert all(found[copy] == found[-1 - copy] for copy in range(1000))
    assert len(set(found)) == 99_000


def test_pictures_that_all_look_alike_do_not_take_the_square_of_the_time() -> None:
    rng = np.random.default_rng(0)
    hashes = random_hashes(rng, 50_000) & np.uint64(0xFFFF)  # 48 bits in common
    start = time.perf_counter()
    found = group(digests(50_000), hashes, hashes)
    assert time.perf_counter() - start < 10
    twins = Counter(zip(hashes.tolist(), found, strict=True))
    assert len(twins) == len(set(hashes.tolist()))  # the same picture is in one group all the same


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resized(image: Image.Image, scale: float) -> Image.Image:
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def cropped(image: Image.Image, chance: Random) -> Image.Image:
    """Cut 5 % off the height and the width, anywhere."""
    width, height = round(image.width * 0.95), round(image.height * 0.95)
    left = chance.randint(0, image.width - width)
    top = chance.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


COPIES: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "recompressed": lambda image, chance: jpeg(image, chance.randint(50, 90)),
    "resized": lambda image, chance: jpeg(resized(image, chance.uniform(0.5, 2)), 85),
    "mirrored": lambda image, chance: jpeg(mirrored(image), 90),
    "cropped": lambda image, chance: jpeg(cropped(image, chance), 90),
    "all at once": lambda image, chance: jpeg(
        resized(mirrored(cropped(image, chance)), chance.uniform(0.5, 2)), chance.randint(50, 90)
    ),
}


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[Image.Image]:
    def read() -> Iterator[Image.Image]:
        with zipfile.ZipFile(shared / "data" / "cats-vs-dogs-12000.zip") as archive:
            members = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
            for name in members[::20]:
                yield Image.open(io.BytesIO(archive.read(name))).convert("RGB")

    return list(read())


@pytest.mark.long
@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_real_photos_are_found_and_other_photos_left_alone(
    kind: str, photos: list[Image.Image]
) -> None:
    originals = photos[::6]
    copies = [COPIES[kind](photo, Random(seed)) for seed, photo in enumerate(originals)]
    greys = np.stack([thumbnail(image) for image in [*photos, *copies]])
    found = group(digests(len(greys)), *phash(greys), crops_NV=crops(greys))
    pairs = zip(found[: len(photos) : 6], found[len(photos) :], strict=True)
    assert np.mean([original == copy for original, copy in pairs]) >= 0.95
    assert len(set(found[: len(photos)])) == len(photos)
