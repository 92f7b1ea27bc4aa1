"""The page of `fursure check`, in a real browser where there is one."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from browser import opened
from PIL import Image

from fursure.check.check import check_data
from fursure.commands.api import train
from fursure.dataset.corrections import read_corrections
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.drawings.draw import draw, jpeg
from fursure.report.review import Card, ReviewPage, SuspectPicture, render_review

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.exe\n</script><script>alert(2)</script>"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return drawings of cats and dogs, two of them in the other's folder, one a thing."""
    folder = tmp_path_factory.mktemp("reviewed") / "photos"
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for seed in range(30):
            path = folder / kind / f"{seed}.jpg"
            path.write_bytes(jpeg(draw(kind, seed, size=96)))
    shutil.move(folder / "cat" / "3.jpg", folder / "dog" / "=cmd|'x'!A1.jpg")
    shutil.copy(folder / "dog" / "5.jpg", folder / "cat" / "copy of dog 5.jpg")
    Image.new("RGB", (90, 90), "black").save(folder / "dog" / "black.jpg")
    return folder


@pytest.mark.long
def test_verdicts_by_keyboard_are_saved_applied_and_shown_again(
    photos: Path, tmp_path: Path
) -> None:
    page, saved = tmp_path / "review.html", tmp_path / "corrections.csv"
    check_data(photos, output=page)
    with opened(page) as tab:
        cards = tab.locator(".card").count()
        assert cards >= 3
        for key in ("j", "d", "r", "y", "k", "u", "y"):
            tab.keyboard.press(key)
        told = tab.text_content("#progress")
        assert told == f"3 of {cards} photos decided"
        tab.reload()  # the browser remembers
        assert tab.text_content("#progress") == told
        with tab.expect_download() as download:
            tab.click("#save")
        download.value.save_as(saved)
    verdicts = read_corrections(saved)
    assert sorted(one.verdict for one in verdicts) == ["drop", "keep", "relabel"]
    trained = train(photos, tmp_path / "m.fursure", corrections=saved)
    manifest = Manifest.load(tmp_path / "m.manifest.jsonl")
    after = {photo.path: photo for photo in manifest.photos}
    for one in verdicts:
        photo = after[one.path]
        if one.verdict == "drop":
            assert photo.reason == "left out by the corrections"
        elif one.verdict == "relabel":
            assert photo.label == one.label != one.path.partition("/")[0]
    assert not [note for note in trained.notes if "not applied" in note]

    check_data(Dataset(photos, corrections=saved), output=page, overwrite=True)
    elsewhere = tmp_path / "other" / "name.html"  # the browser knows nothing of this page
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(page.read_bytes())
    with opened(elsewhere) as tab:
        assert (tab.text_content("#progress") or "").startswith("3 of")
        assert tab.locator(".card[data-verdict=drop]").count() == 1


@pytest.mark.long
def test_the_page_fits_a_phone_and_a_desk(photos: Path, tmp_path: Path) -> None:
    check_data(photos, output=tmp_path / "review.html")
    with opened(tmp_path / "review.html") as tab:
        for width in (390, 1280):
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        unnamed = "img:not([alt]), img[alt=''], .card:not([aria-label]), button:empty"
        assert tab.locator(unnamed).count() == 0


def page_of(name: str) -> ReviewPage:
    picture = SuspectPicture(
        uri="data:image/gif;base64,R0lGODlhAQABAAAAACw=", name=name, label=name
    )
    card = Card(
        picture=picture,
        titles=("label",),
        reasons=(name,),
        suggestion=name,
        neighbours=(picture,),
        cells=name,
    )
    return ReviewPage(
        name=name,
        key="1",
        photos=1,
        counts=(("label", 1, 1),),
        sentences=(name,),
        unreadable=(name,),
        cards=(card,),
        labels=((name, name), ("b", "b")),
        carried=((name, "drop", ""),),
    )


@pytest.mark.long
def test_nothing_in_a_name_runs(tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    path.write_text(render_review(page_of(HOSTILE)), "utf-8")
    assert "\u202e" not in path.read_text("utf-8")
    assert "<img src=x" not in path.read_text("utf-8")
    with opened(path) as tab:
        tab.on("dialog", lambda dialog: pytest.fail(dialog.message))
        for key in "jr":
            tab.keyboard.press(key)
        assert tab.text_content(".decided") == f"is {HOSTILE}"
        assert "alert(1)" in (tab.text_content("figcaption") or "")


@pytest.mark.long
def test_the_policy_names_the_one_script_that_may_run(tmp_path: Path) -> None:
    text = render_review(page_of("x"))
    assert "default-src 'none'" in text
    assert "unsafe-inline" not in text
    path = tmp_path / "review.html"
    path.write_text(text.replace("</main>", "<script>document.title = 'ran'</script></main>"))
    with pytest.raises(AssertionError, match="Content Security Policy"), opened(path) as tab:
        assert tab.title() == "Review of x"


def test_a_page_without_cards_says_that_nothing_was_found() -> None:
    empty = replace(page_of("x"), cards=(), counts=(), sentences=(), unreadable=())
    assert "<p>Nothing.</p>" in render_review(empty)


@pytest.mark.slow
def test_the_saved_table_is_safe_in_a_spreadsheet(photos: Path, tmp_path: Path) -> None:
    page, saved = tmp_path / "review.html", tmp_path / "corrections.csv"
    check_data(photos, output=page)
    with opened(page) as tab:
        for _ in range(tab.locator(".card").count()):
            tab.keyboard.press("j")
            tab.keyboard.press("d")
        with tab.expect_download() as download:
            tab.click("#save")
        download.value.save_as(saved)
    with saved.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "-", "@"}]
