"""The service's page through a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Service, behind_a_prefix, serving

from fursure.drawings.draw import draw, jpeg
from fursure.training.train import Trained

PATIENT = 60_000  # milliseconds: how long a busy machine may take, not how long it should


@pytest.fixture(scope="module")
def service(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("page") / "log"
    with serving(log, trained.path, "pets", "--engine", "onnxruntime") as running:
        yield running


@pytest.fixture(scope="module")
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


@pytest.fixture
def tab(browser: Any, service: Service) -> Iterator[Any]:
    """Return the page on a phone, with everything it said and asked for."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"http://127.0.0.1:{service.port}/")
    yield page
    context.close()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Return a drawing and a text that calls itself one, with a name full of markup."""
    paths = [tmp_path / "a cat.jpg", tmp_path / "<img src=x onerror=alert(1)>.jpg"]
    paths[0].write_bytes(jpeg(draw("cat", seed=3)))
    paths[1].write_text("no photo")
    return paths


def test_a_picture_is_dropped_and_its_answer_read(
    tab: Any, service: Service, photos: list[Path]
) -> None:
    answer = service("POST", "/v1/predict", photos[0].read_bytes()).json
    data = tab.evaluate_handle(
        """bytes => { const t = new DataTransfer();
        t.items.add(new File([new Uint8Array(bytes)], 'dropped.jpg', {type: 'image/jpeg'}));
        return t; }""",
        list(photos[0].read_bytes()),
    )
    tab.dispatch_event("#drop", "drop", {"dataTransfer": data})
    card = tab.locator("#answers li").first
    card.locator(".meter").wait_for(timeout=PATIENT)
    told = card.locator("b").inner_text()
    assert told == {"stranger": "Stranger", "unsure": "Unsure"}.get(
        answer["answer"], answer["answer"]
    )
    if told == answer["answer"]:
        assert f"{100 * answer['confidence']:.1f} %" in card.inner_text()
    assert "dropped.jpg" in tab.locator("#said").inner_text()  # what a screen reader hears
    assert told in tab.locator("#said").inner_text()
    assert tab.said == []
    here = f"http://127.0.0.1:{service.port}/"
    assert all(url.startswith((here, "blob:", "data:")) for url in tab.asked)


@pytest.mark.long
def test_the_page_works_under_the_prefix_of_a_proxy(
    browser: Any, service: Service, photos: list[Path]
) -> None:
    with behind_a_prefix(service.port, "/pets/") as address:
        page = browser.new_page()
        failed: list[str] = []
        page.on("response", lambda answer: failed.extend([] if answer.ok else [answer.url]))
        page.goto(address)
        page.set_input_files("#files", str(photos[0]))
        page.locator("#answers li .meter").wait_for(timeout=PATIENT)
        assert page.locator("body").evaluate("e => getComputedStyle(e).display") == "flex"  # styled
        page.get_by_role("link", name="API").click()
        page.get_by_text("/v2/health/live").wait_for(timeout=PATIENT)
        assert f"{address}v1/predict" in page.locator("pre").inner_text()
        page.get_by_role("link", name="the page").click()
        page.get_by_text("cat or dog").wait_for(timeout=PATIENT)
        page.close()
    assert failed == []


def test_a_bad_file_is_told_in_words_and_its_name_is_no_markup(
    tab: Any, photos: list[Path]
) -> None:
    tab.set_input_files("#files", [str(one) for one in photos])
    bad = tab.locator(".told.bad")
    bad.wait_for(timeout=PATIENT)
    assert "a text file, not a photo" in bad.inner_text()
    assert "<img src=x onerror=alert(1)>.jpg" in bad.inner_text()
    assert tab.locator("#answers img").count() == 0
    assert tab.locator("#answers li").count() == 2
    assert tab.said == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_is_used_by_keyboard_alone(tab: Any, photos: list[Path]) -> None:
    tab.keyboard.press("Tab")
    names = []
    for _ in range(8):
        names.append(tab.evaluate("document.activeElement.id || document.activeElement.tagName"))
        tab.keyboard.press("Tab")
    assert "files" in names
    assert "camera" in names
    tab.set_input_files("#files", [str(photos[0])])
    tab.locator(".meter").wait_for(timeout=PATIENT)
    tab.get_by_label("Show what spoke for it").focus()
    tab.keyboard.press("Space")
    assert tab.locator("#answers").evaluate("e => e.classList.contains('hot')")
    tab.get_by_role("button", name="Clear").press("Enter")
    assert tab.locator("#answers li").count() == 0


def test_the_page_calls_nothing_certain_that_is_not(tab: Any) -> None:
    shares = [1, 0.9996, 0.0006, 0.0004, 0]
    shown = tab.evaluate("shares => shares.map(percent)", shares)
    assert shown == ["100.0 %", "> 99.9 %", "0.1 %", "< 0.1 %", "0.0 %"]


def test_the_page_counts_one_photo_as_one(tab: Any) -> None:
    told = "n => measured({accuracy: {n}, basis: 'test photos'})"
    assert [tab.evaluate(told, n) for n in (1, 240)] == ["1 test photo", "240 test photos"]


def test_another_model_is_chosen_on_the_page(tab: Any) -> None:
    tab.select_option("#models", "pets")
    assert tab.title() == "fursure · pets"
    assert "right" in tab.locator("#facts").inner_text()


@pytest.mark.long
def test_the_page_asks_for_the_token_it_needs(
    browser: Any, tmp_path: Path, trained: Trained
) -> None:
    token = tmp_path / "token"
    token.write_text("a-long-and-secret-token")
    options = ["--engine", "onnxruntime", "--token-file", str(token)]
    with serving(tmp_path / "log", trained.path, *options) as service:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{service.port}/")
        page.get_by_label("This service asks for a token").fill("a-long-and-secret-token")
        page.get_by_role("button", name="Go on").click()
        page.get_by_text("cat or dog").wait_for(timeout=PATIENT)
        page.close()


@pytest.mark.long
def test_the_description_of_the_api_needs_nothing_foreign(tab: Any, service: Service) -> None:
    tab.goto(f"http://127.0.0.1:{service.port}/docs")
    tab.get_by_text("/v1/predict").last.wait_for(timeout=PATIENT)
    assert tab.locator("section").count() > 8
    assert tab.said == []
