"""Features by encoder: several side by side take what each of them has cached alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import draw_into, network_into

from fursure.backbones.combine import encoder_for
from fursure.backbones.kinds import load_backbone
from fursure.commands.api import train
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.engine.network import Network
from fursure.features.collect import Collected, collect
from fursure.features.reader import cached_features
from fursure.recipe import Recipe
from fursure.run import Run

COUNT = 12  # photos of each class


@pytest.fixture
def names(tmp_path: Path, own_home: Path) -> tuple[str, str]:
    """Return two encoders that take the same view of a photo, in a home without caches."""
    first, second = (network_into(tmp_path / f"net{seed}", seed=seed) for seed in (0, 1))
    return first, second


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes that photos were encoded at, each time anew."""
    sizes: list[int] = []
    encode = Network.encode

    def counting(self: Network, photos: Sequence[Any]) -> Any:
        photos = list(photos)
        sizes.extend([self.preprocess.size] * len(photos))
        return encode(self, photos)

    monkeypatch.setattr(Network, "encode", counting)
    return sizes


def photos_of(folder: Path, *backbones: str, flips: bool = False) -> Collected:
    recipe = Recipe(backbone=backbones, flips=flips)
    with open_source(folder) as source:
        return collect(source, list_photos(source), encoder_for(recipe), recipe, Run())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_into(tmp_path_factory.mktemp("drawn"), count=COUNT)


@pytest.mark.parametrize("flips", [False, True])
def test_two_backbones_that_are_cached_encode_nothing(
    drawn: Path, names: tuple[str, str], asked: list[int], flips: bool
) -> None:
    alone = [photos_of(drawn, name, flips=flips).features_ND for name in names]
    asked.clear()
    both = photos_of(drawn, *names, flips=flips)
    assert asked == []
    assert np.array_equal(both.features_ND, np.concatenate(alone, axis=1))


def test_of_two_backbones_only_the_one_that_is_not_cached_encodes(
    drawn: Path, names: tuple[str, str], asked: list[int]
) -> None:
    photos_of(drawn, names[0])
    asked.clear()
    photos_of(drawn, *names)
    assert len(asked) == 2 * COUNT
    asked.clear()
    photos_of(drawn, names[1])
    assert asked == []


def test_a_smaller_backbone_is_encoded_once_as_the_larger_ones_view_shows_it(
    drawn: Path, names: tuple[str, str], asked: list[int], tmp_path: Path
) -> None:
    large = network_into(tmp_path / "large", seed=2, input_size=[3, 32, 32])
    for name in (names[0], large):
        photos_of(drawn, name)
    asked.clear()
    photos_of(drawn, names[0], large)
    photos_of(drawn, large, names[0])
    assert asked == [32] * 2 * COUNT


def test_the_first_ones_way_of_resizing_has_features_of_its_own(
    drawn: Path, names: tuple[str, str], asked: list[int], tmp_path: Path
) -> None:
    squashed = network_into(tmp_path / "squashed", seed=2, crop_mode="squash")
    photos_of(drawn, squashed)
    photos_of(drawn, names[1])
    asked.clear()
    photos_of(drawn, squashed, names[1])  # which is shown all of a photo there, not its centre
    assert len(asked) == 2 * COUNT


def test_the_one_graph_of_the_bundle_answers_like_the_features_of_its_parts(
    drawn: Path, names: tuple[str, str], asked: list[int], tmp_path: Path
) -> None:
    for name in names:
        photos_of(drawn, name)
    asked.clear()
    trained = train(drawn, tmp_path / "both.fursure", Recipe(backbone=names))  # proves it
    assert asked == []
    data = trained.bundle.meta.data
    assert len(data["features"]) == 2
    collected = photos_of(drawn, *names)
    digests = [photo.sha256 for photo in collected.usable]
    found = cached_features(data["features"], digests)
    assert np.array_equal(np.stack([found[one] for one in digests]), collected.features_ND)


def test_the_bundle_of_two_is_a_backbone_with_a_cache_of_its_own(
    drawn: Path, names: tuple[str, str], asked: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "both.fursure"
    train(drawn, path, Recipe(backbone=names))
    whole = load_backbone(str(path))
    assert whole == replace(encoder_for(Recipe(backbone=names)), name=path.name, parts=())
    asked.clear()
    photos_of(drawn, str(path))
    assert asked == [whole.preprocess.size] * 2 * COUNT


@pytest.mark.parametrize("name", ["../../selftest.json", "0" * 24 + ".sqlite", "a.sqlite"])
def test_a_foreign_name_of_a_cache_leads_nowhere(name: str) -> None:
    assert cached_features([name], ["00" * 32]) == {}


def test_features_are_found_where_they_were_kept_though_their_engine_failed_on_the_way(
    drawn: Path, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Network.encode

    def failing(self: Network, photos: Sequence[Any]) -> Any:
        session: Any = self.session
        session.engine = "openvino 1 fp32"  # as `OnGpu` takes the name of what goes on for it
        return encode(self, photos)

    monkeypatch.setattr(Network, "encode", failing)
    collected = photos_of(drawn, names[0])
    assert collected.engine == "openvino 1 fp32"
    digests = [photo.sha256 for photo in collected.usable]
    assert cached_features(collected.caches, digests).keys() == set(digests)
