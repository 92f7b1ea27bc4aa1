"""The report page: what it says, whom it survives, and how a browser sees it."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import draw_into

from fursure.bundle.bundle import Bundle
from fursure.commands.api import train
from fursure.drawings.draw import draw, jpeg
from fursure.errors import BadData, OutputExists
from fursure.evaluation.assess import assess
from fursure.metrics.classification import score_probs
from fursure.recipe import Recipe
from fursure.report.charts import Axis, Line, bounds, chart
from fursure.report.page import check_free
from fursure.report.pictures import glow
from fursure.report.verdict import headline
from fursure.training.train import Trained

HOSTILE = "<script>alert(1)</script> & \u202egod"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return drawings that no model was made from, one of them mislabelled, one broken."""
    folder = tmp_path_factory.mktemp("fresh")
    for kind in ("cat", "dog"):
        (folder / kind).mkdir()
        for seed in range(900, 915):
            (folder / kind / f"{kind}.{seed}.jpg").write_bytes(jpeg(draw(kind, seed, size=96)))
    (folder / "dog" / "a cat, really.jpg").write_bytes(jpeg(draw("cat", 990, size=96)))
    (folder / "dog" / "torn.jpg").write_bytes(jpeg(draw("dog", 991))[:300])
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a model with a held-out test split, and its page."""
    folder = tmp_path_factory.mktemp("reported")
    photos = draw_into(folder / "photos", count=40)
    recipe = Recipe(cross_validate_below=0, validation=0.2, test=0.2, image_size=96)
    return train(photos, folder / "drawn.fursure", recipe, report=True)


@pytest.fixture(scope="module")
def page(model: Trained, fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of that model's evaluation on the fresh drawings."""
    path = tmp_path_factory.mktemp("page") / "drawn.report.html"
    assess(str(model.path), fresh, report=path)
    return path


class Seen(HTMLParser):
    """What a browser would make of a page: its tags, addresses and words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_says_how_often_the_model_was_right(page: Path) -> None:
    seen = Seen(page.read_text())
    figures = json.loads(page.with_suffix(".json").read_text())
    assert f"On {figures['n']} photos it named the right class" in seen.words
    assert f"{figures['accuracy']['value']:.1%} of the time" in seen.words
    for title in ("Can it be trusted?", "Figures", "Curves", "Photos to look at", "A map of the"):
        assert title in seen.words
    assert "torn.jpg" in seen.words  # what could not be used is named


def test_the_page_needs_nothing_but_itself(page: Path) -> None:
    seen = Seen(page.read_text())
    assert "script" not in seen.tags
    assert seen.addresses
    assert all(one.startswith("data:image/") for one in seen.addresses)
    assert page.stat().st_size < 3_000_000


def test_a_mistake_is_shown_with_what_it_resembles(page: Path) -> None:
    html = page.read_text()
    mistakes = html.split("The worst mistakes")[1].split("<h3>")[0]
    assert "a cat, really.jpg" in mistakes
    assert "labelled dog" in mistakes
    assert 'class="heat"' in mistakes
    assert 'alt="training photo of cat"' in mistakes


def test_train_leaves_a_page_of_its_test_photos(model: Trained) -> None:
    seen = Seen(model.path.with_name("drawn.report.html").read_text())
    assert f"{model.bundle.meta.figures['n']} test photos it had not seen" in seen.words
    assert str(model.path.with_name("drawn.report.html")) in " ".join(model.notes)
    assert "cat, really" not in seen.words


@pytest.mark.long
def test_few_photos_are_judged_out_of_fold_and_the_page_says_so(tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=12)
    train(photos, tmp_path / "few.fursure", report=True)
    words = Seen((tmp_path / "few.report.html").read_text()).words
    assert "photos, each judged by a model that had not seen it, it named the right class" in words
    assert "photos, each judged by a model that had not seen it: known to within" in words
    assert "That is too few photos to say much" in words


@pytest.mark.long
def test_two_models_are_compared_photo_by_photo(
    model: Trained, fresh: Path, tmp_path: Path
) -> None:
    found = assess(str(model.path), fresh, report=tmp_path / "two.html", compare="pets")
    assert found.comparison is not None
    assert found.comparison.n == found.evaluated.evaluation.n
    assert found.to_json()["comparison"]["models"] == [str(model.path), "pets"]
    words = Seen((tmp_path / "two.html").read_text()).words
    assert found.comparison.verdict in words
    assert any("compared" in line for line in found.lines())


@pytest.mark.long
def test_models_of_other_classes_are_not_compared(model: Trained, tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=4, kinds=("cat", "stranger"))
    (photos / "stranger").rename(photos / "thing")
    other = train(photos, tmp_path / "other.fursure")
    shutil.rmtree(photos / "thing")  # both know cats
    with pytest.raises(BadData, match="only models of the same classes can be compared"):
        assess(str(model.path), photos, include_seen=True, compare=str(other.path))


def test_another_file_is_not_overwritten_but_a_report_is(
    model: Trained, fresh: Path, tmp_path: Path, page: Path
) -> None:
    path = tmp_path / "thesis.html"
    path.write_text("mine")
    with pytest.raises(OutputExists, match=r"\(a folder\); choose another name\.$"):
        check_free(tmp_path, overwrite=True)
    with pytest.raises(OutputExists, match="no report of fursure"):
        assess(str(model.path), fresh, report=path)
    assert path.read_text() == "mine"
    shutil.copy(page, path)
    assess(str(model.path), fresh, report=path)


@pytest.mark.long
def test_names_that_are_code_are_shown_and_do_not_run(
    fresh: Path, tmp_path: Path, model: Trained
) -> None:
    photos = tmp_path / "photos"
    for kind, label in (("cat", "<b>cat</b>"), ("dog", "{{ 7 * 7 }}")):
        (photos / label.replace("/", "∕")).mkdir(parents=True)
        for seed in range(8):
            name = photos / label.replace("/", "∕") / f"{seed}{HOSTILE.replace('/', '∕')}.jpg"
            name.write_bytes(jpeg(draw(kind, seed, size=96)))  # type: ignore[arg-type]
    (photos / "{{ 7 * 7 }}" / "line\nbreak\x1b[31m.jpg").write_bytes(b"no photo")
    made = train(photos, tmp_path / "odd.fursure", report=True)
    html = made.path.with_name("odd.report.html").read_text()
    seen = Seen(html)
    assert "script" not in seen.tags
    assert "<b>cat" not in html
    assert "{{ 7 * 7 }}" in seen.words
    assert "49" not in re.findall(r"<th scope=\"row\">([^<]*)", html)
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_one_photo_of_one_class_still_makes_a_page(model: Trained, tmp_path: Path) -> None:
    photos = draw_into(tmp_path / "photos", count=1, kinds=("cat",))
    assess(str(model.path), photos, include_seen=True, report=tmp_path / "one.html")
    words = Seen((tmp_path / "one.html").read_text()).words
    assert "On 1 photo it named" in words
    assert not re.search(r"\b1 ([a-z]+ )?photos", words)


def test_a_headline_of_many_photos_claims_an_interval() -> None:
    probs_NK = np.tile([0.9, 0.1], (200, 1))
    labels_N = np.r_[np.zeros(180, int), np.ones(20, int)]
    told = headline(score_probs(probs_NK, labels_N, ("a", "b")), "photos")
    assert told == (
        "On 200 photos it named the right class 90.0% of the time. On more photos like these, "
        "expect between 85.1% and 93.4%."
    )


def test_a_chart_is_drawn_where_its_values_are() -> None:
    svg = chart(
        [Line(name="<rise>", x=[0, 1], y=[0, 1])], Axis(title="a"), Axis(title="b"), title='"t"'
    )
    assert 'd="M58.0 240.0L340.0 12.0"' in svg
    assert "&lt;rise&gt;" in svg
    assert 'aria-label="&quot;t&quot;"' in svg
    assert Axis(title="a", high=0.3).ticks() == pytest.approx([0, 0.1, 0.2, 0.3])
    assert bounds([0.013]) == (0.0, 0.015)


def test_a_map_that_speaks_for_nothing_does_not_glow() -> None:
    assert glow(-np.ones((7, 7))) is None
    assert glow(np.full((7, 7), np.nan)) is None
    assert (glow(np.eye(7)) or "").startswith("data:image/png")


def test_older_models_are_reported_too(model: Trained, fresh: Path, tmp_path: Path) -> None:
    meta = model.bundle.meta
    data = {key: value for key, value in meta.data.items() if key != "encoder"}
    old: Bundle = replace(model.bundle, meta=replace(meta, data=data))
    old.write(tmp_path / "old.fursure")
    assess(str(tmp_path / "old.fursure"), fresh, report=tmp_path / "old.html")
    words = Seen((tmp_path / "old.html").read_text()).words
    assert "no manifest lies beside the model" in words


@pytest.fixture
def browser() -> Iterator[Any]:
    """Return the system's Chromium, or skip."""
    where = shutil.which("chromium") or shutil.which("chromium-browser")
    if where is None:
        pytest.skip("no chromium on this machine to look at the page with")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=where, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_a_browser_shows_the_page_without_script_network_or_complaint(
    browser: Any, page: Path
) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    tab = context.new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    assert tab.get_by_role("heading", name="Can it be trusted?").is_visible()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.long
def test_a_browser_never_scrolls_the_page_sideways(browser: Any, page: Path) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    heat = tab.locator(".heat").first
    assert heat.evaluate("e => getComputedStyle(e).opacity") == "0"
    tab.get_by_label("Show what spoke for the answer").check()
    tab.wait_for_timeout(400)
    assert heat.evaluate("e => getComputedStyle(e).opacity") == "1"
