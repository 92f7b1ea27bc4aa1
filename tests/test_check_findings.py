from dataclasses import replace

import pytest

from fursure.check.findings import (
    FINDING_KINDS,
    Finding,
    about_classes,
    about_copies,
    about_files,
    about_looks,
    ranked,
)
from fursure.photos.statistics import Facts
from fursure.rows.photo import Photo
from fursure.splitting.scanned import Fingerprint, Scanned

USUAL = Facts(
    bytes=20_000,
    format="JPEG",
    width=400,
    height=300,
    brightness=120.0,
    contrast=50.0,
    sharpness=25.0,
    border=(120.0, 120.0, 120.0),
    border_spread=30.0,
)


def row(path: str = "cat/1.jpg", **facts: object) -> Scanned:
    photo = Photo(path=path, sha256=path, label="cat")
    return Scanned(photo, Fingerprint(1, 1, b""), None, replace(USUAL, **facts))  # type: ignore[arg-type]


def copies(*photos: tuple[str, str, str, str | None]) -> list[Finding]:
    return [
        *about_copies(
            [
                Photo(path=path, sha256=digest, label=label, split=split, group="g")  # type: ignore[arg-type]
                for path, digest, label, split in photos
            ]
        )
    ]


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("blank", {"contrast": 1.0, "brightness": 3.0}),
        ("dark", {"brightness": 10.0}),
        ("bright", {"brightness": 250.0}),
        ("blurred", {"sharpness": 2.0}),
        ("tiny", {"width": 40, "height": 30}),
        ("tiny", {"width": 60, "height": 60}),
        ("shape", {"width": 1600, "height": 300}),
        ("shape", {"width": 300, "height": 1600}),
    ],
)
def test_each_flaw_is_told_by_its_name_and_once(kind: str, facts: dict[str, object]) -> None:
    rows = [*(row(f"cat/{number}.jpg") for number in range(5)), row("bad.jpg", **facts)]
    [found] = about_looks(rows)
    assert (found.kind, found.paths) == (kind, ("bad.jpg",))
    assert found.score > 0


def test_a_low_contrast_photo_is_not_called_blurred() -> None:
    rows = [*(row(f"{number}.jpg") for number in range(5)), row(contrast=10.0, sharpness=5.0)]
    assert not [*about_looks(rows)]


def test_photos_like_each_other_have_no_flaws_however_odd() -> None:
    assert not [*about_looks([row(f"{number}.jpg", width=4000) for number in range(5)])]
    assert not [*about_looks([])]


def test_an_extension_is_compared_with_the_content() -> None:
    rows = [
        row("a.jpg", format="PNG"),
        row("b.JPG"),
        row("c", format="GIF"),
        row("d.tiff", format="TIFF"),
        row("two-eyed.mpo"),
        row("camera.hif", format="HEIF"),
        Scanned(Photo(path="e.jpg", label="cat", reason="an empty file")),
    ]
    found = [*about_files(rows)]
    assert [(one.kind, one.reason) for one in found] == [
        ("misnamed", "a PNG file called .jpg"),
        ("unreadable", "an empty file"),
    ]


def test_a_photo_that_was_dropped_is_not_called_unreadable() -> None:
    one = row()
    assert not [*about_files([replace(one, photo=replace(one.photo, reason="left out"))])]


def test_copies_are_told_by_what_they_spoil() -> None:
    same = copies(("a", "1", "cat", None), ("b", "1", "cat", None))
    assert [(one.kind, one.paths) for one in same] == [("duplicate", ("a", "b"))]
    assert [one.kind for one in copies(("a", "1", "cat", None), ("b", "2", "cat", None))] == [
        "copy"
    ]
    crossing = copies(("a", "1", "cat", "train"), ("b", "1", "cat", "test"))
    assert [(one.kind, one.reason) for one in crossing] == [
        ("leak", "the same file in test and train: figures would flatter")
    ]
    both = copies(("a", "1", "cat", "train"), ("b", "2", "dog", "test"))
    assert [one.kind for one in both] == ["conflict", "leak"]
    assert not copies(("a", "1", "cat", None))


def test_a_rare_class_is_told_with_its_counts() -> None:
    photos = [Photo(path=str(n), label="cat" if n < 2 else "dog") for n in range(20)]
    [found] = about_classes(photos)
    assert found.reason.startswith("2 photos of cat, 18 of dog")
    assert not [*about_classes(photos[2:])]
    assert not [*about_classes([])]


def test_findings_come_by_kind_and_then_from_the_worst() -> None:
    found = [
        Finding(kind=kind, reason="", score=score) for kind in FINDING_KINDS for score in (0.1, 0.9)
    ]
    assert ranked(reversed(found)) == tuple(
        Finding(kind=kind, reason="", score=score) for kind in FINDING_KINDS for score in (0.9, 0.1)
    )
