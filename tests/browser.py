"""The system's Chromium, driven by playwright: pages are tested in what they are read with."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page


@contextmanager
def opened(page: Path, **looks: object) -> Iterator["Page"]:
    """Open a local page; fail afterwards if it asked for anything outside or complained."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine, which this page is tested with")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    complaints: list[str] = []
    requests: list[str] = []
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(**looks)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url[:80]))
        tab.goto(page.as_uri())
        yield tab
        browser.close()
    assert not complaints, complaints
    ours = (page.as_uri()[:80], "data:", "blob:")
    assert not [one for one in requests if not one.startswith(ours)], requests
