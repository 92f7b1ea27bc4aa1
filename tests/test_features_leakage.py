"""An encoder that was trained on some of the photos: what is left to measure on, what is told."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from samples import draw_into, network_into

from fursure.backbones.combine import side_by_side
from fursure.backbones.kinds import load_backbone
from fursure.bundle.bundle import Bundle, short_digest, short_digests
from fursure.cli import cli
from fursure.commands.api import train
from fursure.compare.compare import compare_recipes
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData
from fursure.features.division import Shares
from fursure.features.leakage import SEEN, without_seen
from fursure.recipe import Recipe
from fursure.rows.photo import SPLITS, Photo, Split
from fursure.run import Run
from fursure.training.train import Trained

SPLIT = Recipe(cross_validate_below=0, image_size=96)
FOLDS = Recipe(cross_validate_below=10**6, image_size=96)


def photo(number: int, label: str, split: Split | None) -> Photo:
    digest = sha256(str(number).encode()).hexdigest()
    return Photo(path=f"{number}.jpg", sha256=digest, label=label, group=digest, split=split)


def digests(photos: list[Photo]) -> frozenset[int]:
    return frozenset(short_digest(one.sha256) for one in photos)


PLACES: list[tuple[str, Split]] = [
    (label, split) for label in ("cat", "dog") for split in (*SPLITS, *SPLITS)
]
PHOTOS = [photo(number, *place) for number, place in enumerate(PLACES)]


def test_what_the_encoder_has_seen_is_left_out_of_test_and_validation_only() -> None:
    left = without_seen(PHOTOS, digests(PHOTOS[:3]))
    assert [one.reason for one in left[:3]] == [None, SEEN, SEEN]
    assert left[3:] == tuple(PHOTOS[3:])
    assert without_seen(PHOTOS, frozenset()) == tuple(PHOTOS)


def test_a_near_duplicate_of_what_the_encoder_has_seen_counts_as_seen() -> None:
    copy = replace(PHOTOS[2], path="copy.jpg", sha256="0" * 64)
    left = without_seen([*PHOTOS, copy], digests(PHOTOS[2:3]))
    assert left[-1].reason == left[2].reason == SEEN


def test_validation_stays_where_a_class_would_lose_all_of_it() -> None:
    validation = [one for one in PHOTOS if one.split == "val" and one.label == "cat"]
    assert without_seen(PHOTOS, digests(validation)) == tuple(PHOTOS)


def test_a_class_without_an_unseen_test_photo_is_refused() -> None:
    tested = [one for one in PHOTOS if one.split == "test" and one.label == "dog"]
    with pytest.raises(BadData, match="trained on every test photo of 'dog', so how good"):
        without_seen(PHOTOS, digests(tested))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # of the first 30 dogs two look alike enough to share a group
    return draw_into(tmp_path_factory.mktemp("photos"), count=30, first=100)


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    recipe = replace(SPLIT, validation=0.2, test=0.3)
    return train(folder, tmp_path_factory.mktemp("plain") / "plain.fursure", recipe)


def manifest(made: Trained) -> Manifest:
    return Manifest.load(made.path.with_name(f"{made.path.stem}.manifest.jsonl"))


def that_has_seen(plain: Trained, path: Path, photos: list[Photo]) -> str:
    """Write the model as if its encoder had been trained on ``photos``; return its path."""
    seen = replace(plain.bundle.seen, encoder=short_digests(one.sha256 for one in photos))
    replace(plain.bundle, seen=seen).write(path)
    return str(path)


def of_each_class(made: Trained, split: Split, count: int) -> list[Photo]:
    usable = manifest(made).usable
    return [
        one
        for label in ("cat", "dog")
        for one in [one for one in usable if (one.split, one.label) == (split, label)][:count]
    ]


def test_test_photos_the_encoder_has_seen_are_named_counted_and_left_out(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    known = [*of_each_class(plain, "test", 2), *of_each_class(plain, "train", 3)]
    source = that_has_seen(plain, tmp_path / "mine.fursure", known)
    recipe = replace(SPLIT, backbone=source, validation=0.2, test=0.3)
    made = train(folder, tmp_path / "next.fursure", recipe)
    assert made.bundle.meta.figures["n"] == plain.bundle.meta.figures["n"] - 4
    assert {one.sha256 for one in manifest(made).photos if one.reason == SEEN} == {
        one.sha256 for one in known[:4]
    }
    assert any(note.startswith("left out 4 photos that the enc") for note in made.notes)
    assert "- The encoder was trained on 4 of them; no figure is" in made.bundle.card
    metrics = json.loads((tmp_path / "next.metrics.json").read_text())
    assert metrics["data"]["seen_by_encoder"] == 4
    assert not train(folder, tmp_path / "next.fursure", recipe).new


def test_a_frozen_encoder_hands_on_what_it_has_seen_and_several_join_it(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    known = of_each_class(plain, "train", 2)
    source = that_has_seen(plain, tmp_path / "mine.fursure", known)
    made = train(folder, tmp_path / "next.fursure", replace(SPLIT, backbone=source))
    assert Bundle.read(made.path).encoder_seen == digests(known)
    other = load_backbone(network_into(tmp_path / "net"))
    joined = side_by_side([load_backbone(source), replace(other, seen=frozenset({7}))])
    assert joined.seen == digests(known) | {7}


def test_cross_validation_measures_on_what_the_encoder_has_not_seen(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    known = of_each_class(plain, "train", 5)
    source = that_has_seen(plain, tmp_path / "mine.fursure", known)
    made = train(folder, tmp_path / "next.fursure", replace(FOLDS, backbone=source))
    assert made.bundle.meta.figures["basis"] == "cross-validation"
    assert made.bundle.meta.figures["n"] == 60 - 10
    assert len(made.bundle.seen.training) == 60
    assert made.bundle.meta.data["seen_by_encoder"] == 10
    assert any(note.startswith("10 photos that the encoder was tr") for note in made.notes)


def test_validation_that_the_encoder_has_seen_is_told(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    known = [one for one in manifest(plain).usable if one.split == "val"]
    source = that_has_seen(plain, tmp_path / "mine.fursure", known)
    recipe = replace(SPLIT, backbone=source, validation=0.2, test=0.3)
    made = train(folder, tmp_path / "next.fursure", recipe)
    assert any(f"on {len(known)} of the validation photos" in note for note in made.notes)


def test_an_encoder_that_has_seen_all_photos_of_a_class_cannot_be_measured(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    known = [one for one in manifest(plain).usable if one.label == "cat"]
    source = that_has_seen(plain, tmp_path / "mine.fursure", known)
    with pytest.raises(BadData, match="trained on every photo of 'cat', so how good"):
        train(folder, tmp_path / "next.fursure", replace(FOLDS, backbone=source))


def test_evaluate_leaves_out_what_the_encoder_has_seen(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    known = of_each_class(plain, "test", 2)
    source = that_has_seen(plain, tmp_path / "mine.fursure", known)
    result = CliRunner().invoke(cli, ["evaluate", source, str(folder)])
    assert result.exit_code == 0, result.output
    left = 4 + len(plain.bundle.seen.training) + len(plain.bundle.seen.validation)
    assert f"left out {left} photos the model or its encoder was made from" in result.stderr


@pytest.mark.long
def test_a_ladder_measures_all_recipes_on_what_no_encoder_has_seen(
    plain: Trained, folder: Path, tmp_path: Path
) -> None:
    own, shares = Recipe(name="tiny"), Shares(validation=0.2, test=0.3)
    first = compare_recipes(folder, tmp_path / "first", [own], shares=shares, curve=False)
    known = [one for one in first.division.usable if one.split == "test"][:3]
    mine = Recipe(name="mine", backbone=that_has_seen(plain, tmp_path / "mine.fursure", known))
    said: list[str] = []
    both = compare_recipes(
        folder,
        tmp_path / "both",
        [own, mine],
        Run(say=said.append),
        shares=shares,
        curve=False,
    )
    tested = {one.sha256 for one in both.division.usable if one.split == "test"}
    assert not tested & {one.sha256 for one in known}
    assert any(sentence.startswith("left out 3 photos that the encoder was") for sentence in said)
