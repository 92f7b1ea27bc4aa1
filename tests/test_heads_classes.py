"""Classes that cannot be learned, and those that are not what they seem."""

import io
import time
from pathlib import Path

import pytest
from PIL import Image
from samples import draw_into

from fursure.commands.api import train
from fursure.drawings.draw import draw
from fursure.errors import BadData, TooFewPhotos
from fursure.heads.classes import check_classes, warn_of_classes
from fursure.photos.flat import is_flat
from fursure.recipe import Recipe
from fursure.rows.photo import Photo, Split


def of(label: str, groups: int, copies: int = 1, split: Split | None = "train") -> list[Photo]:
    return [
        Photo(path=f"{label}/{group}.{copy}", label=label, group=f"{label}{group}", split=split)
        for group in range(groups)
        for copy in range(copies)
    ]


def mask(seed: int) -> Image.Image:
    image = Image.new("RGB", (96, 96), (2, 2, 2))
    image.paste((1, 1, 1), (10 + 4 * seed, 20, 50 + 2 * seed, 60 + seed))
    return image


def test_a_class_of_copies_says_that_they_are_copies() -> None:
    with pytest.raises(TooFewPhotos) as caught:
        check_classes(of("cat", 1, copies=12) + of("dog", 12), ("cat", "dog"))
    assert str(caught.value) == (
        "class 'cat' has 1 usable photo (11 others are copies of it) and training needs 2; "
        "add 1 more, or leave that class out."
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_that_no_photo_teaches_is_refused(split: Split) -> None:
    photos = of("cat", 5) + of("dog", 5) + of("fox", 6, split=split)
    with pytest.raises(BadData, match=rf"'fox' has no photo to train on \(6 for {split}\)"):
        check_classes(photos, ("cat", "dog", "fox"))


def test_a_class_whose_photos_are_copies_of_a_few_is_told() -> None:
    told = list(warn_of_classes(of("cat", 2, copies=6) + of("dog", 12)))
    assert len(told) == 1
    assert told[0].startswith("the 12 photos of class 'cat' are 2 pictures and copies of them")


def test_ten_thousand_classes_are_checked_in_a_blink() -> None:
    labels = tuple(f"{number:05}" for number in range(10_000))
    photos = [photo for label in labels for photo in of(label, 4)]
    began = time.monotonic()
    check_classes(photos, labels)
    assert time.monotonic() - began < 5


def test_masks_are_flat_and_photos_and_drawings_are_not() -> None:
    packed = io.BytesIO()
    mask(3).resize((300, 300)).save(packed, "JPEG", quality=90)
    assert is_flat(mask(1))
    assert is_flat(Image.open(packed).convert("RGB"))
    assert not any(is_flat(draw(kind, seed, size=96)) for kind in ("cat", "dog") for seed in (1, 2))


def test_a_class_of_masks_among_photos_is_told(tmp_path: Path) -> None:
    draw_into(tmp_path / "data", count=8, kinds=("cat",))
    (tmp_path / "data" / "outlines").mkdir()
    for seed in range(8):
        mask(seed).save(tmp_path / "data" / "outlines" / f"{seed}.png")
    notes = train(tmp_path / "data", tmp_path / "m.fursure", Recipe()).notes
    assert [note for note in notes if "cover each picture of 'outlines'" in note]


def test_classes_that_are_all_photos_are_not_told_of(tmp_path: Path) -> None:
    notes = train(draw_into(tmp_path / "d", count=6), tmp_path / "m.fursure", Recipe()).notes
    assert not [note for note in notes if "colours" in note]


@pytest.mark.long
def test_validation_photos_that_are_trained_on_are_told(tmp_path: Path) -> None:
    draw_into(tmp_path / "data" / "train", count=6)
    draw_into(tmp_path / "data" / "val", count=2)
    notes = train(tmp_path / "data", tmp_path / "m.fursure", Recipe()).notes
    assert [note for note in notes if "4 photos given for validation are trained on" in note]
