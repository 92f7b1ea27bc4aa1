"""Names that every system takes, and that nobody else has."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.dataset.manifest import Manifest
from fursure.rows.photo import Photo
from fursure.splitting.destinations import class_folders, destinations, safe_name


def manifest(*photos: Photo) -> Manifest:
    return Manifest(root="/photos", photos=photos, skipped={})


def cat(path: str, label: str = "cat") -> Photo:
    return Photo(path=path, label=label, split="train")


def test_a_photo_keeps_its_name() -> None:
    photos = [cat("cats/cat.0.jpg"), cat("more/Katze (1).JPG"), cat("x.zip!in/猫.png")]
    found = destinations(manifest(*photos), "x.zip!")
    assert list(found.values()) == [
        "train/cat/cat.0.jpg", "train/cat/Katze (1).JPG", "train/cat/猫.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "_"),
        (".", "_"),
        ("..", "_"),
        ("../x", "__x"),
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("C:x.jpg", "C_x.jpg"),
        (".hidden.jpg", "_hidden.jpg"),
        ("line\nfeed\x1b.jpg", "line_feed_.jpg"),
        ("caf\udce9.jpg", "caf_.jpg"),  # a byte that is no UTF-8
        ("gpj.\u202etac.jpg", "gpj._tac.jpg"),  # an override that shows a name backwards
        ("CON", "_CON"),
        ("nul.jpg", "_nul.jpg"),
        ("com1.tar.jpg", "_com1.tar.jpg"),
        ("console.jpg", "console.jpg"),
        ("final dot.", "final dot"),
        ("-rf", "-rf"),
    ],
)
def test_a_name_that_is_not_safe_is_changed(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_a_long_name_is_cut_and_keeps_its_extension() -> None:
    name = safe_name("ü" * 400 + ".jpg")
    assert name.endswith("ü.jpg")
    assert len(name.encode()) <= 150


@given(st.text(st.characters(codec=None), max_size=300))
def test_whatever_the_text_the_name_is_one_visible_file(text: str) -> None:
    name = safe_name(text, tag="0" * 64)
    assert name.isprintable()
    assert len(name.encode()) < 255
    assert not re.search(r'[<>:"/\\|?*]|^\.|[. ]$', name)
    assert safe_name(name) == name or len(name) > 100


def test_photos_of_one_name_all_get_another_whichever_came_first() -> None:
    photos = [cat("a/1.jpg"), cat("b/1.JPG"), cat("c/2.jpg"), cat("d/1.jpg", "dog")]
    found = destinations(manifest(*photos))
    assert found == destinations(manifest(*photos[::-1]))
    assert found["c/2.jpg"] == "train/cat/2.jpg"
    assert found["d/1.jpg"] == "train/dog/1.jpg"
    assert re.fullmatch(r"train/cat/1-[0-9a-f]{8}\.jpg", found["a/1.jpg"])
    assert re.fullmatch(r"train/cat/1-[0-9a-f]{8}\.JPG", found["b/1.JPG"])


def test_nobody_can_take_the_name_another_will_get() -> None:
    two = [cat("a/1.jpg"), cat("b/1.jpg")]
    taken = destinations(manifest(*two))["a/1.jpg"].rpartition("/")[2]
    found = destinations(manifest(*two, cat(f"c/{taken}")))
    assert len(set(found.values())) == 3


def test_classes_of_like_names_stay_apart() -> None:
    folders = class_folders(["a/b", "a_b", "Cat", "cat", "dog"])
    assert folders["dog"] == "dog"
    assert len({name.casefold() for name in folders.values()}) == 5
    assert all("/" not in name for name in folders.values())


def test_photos_that_cannot_be_used_go_nowhere() -> None:
    bad = Photo(path="bad.jpg", label="cat", split="train", reason="cut off")
    spare = Photo(path="spare.jpg", label="cat")
    assert destinations(manifest(bad, spare)) == {}
