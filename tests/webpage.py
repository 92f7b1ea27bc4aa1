"""An exported page, served on this machine and opened in the system's Chromium."""

import base64
import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PATIENT = 60_000  # milliseconds: how long a busy machine may take, not how long it should
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
_ASKED = """async text => {
  const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  try { return await window.fursure.predict(new Blob([data])); }
  catch (error) { return { error: error.message }; }
}"""


def npm_package(name: str) -> Path:
    """Return the folder of an npm package in ``FURSURE_NPM``, or skip."""
    folder = Path(os.environ.get("FURSURE_NPM", ROOT / ".venv" / "npm")) / "node_modules" / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in {folder.parent}; `make test-web` puts it there")
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder; yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Open the system's Chromium, or skip."""
    where = shutil.which("chromium") or shutil.which("chromium-browser")
    if where is None:
        pytest.skip("no chromium on this machine to open the page with")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    with sync.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=where, args=["--no-sandbox", *arguments])
        yield opened
        opened.close()


@contextmanager
def tab(browser: Any, address: str, *, script: str = "", **looks: Any) -> Iterator[Any]:
    """Open the page, ``script`` before all else; it keeps what it said and asked for."""
    context = browser.new_context(**({"viewport": {"width": 390, "height": 800}} | looks))
    if script:
        context.add_init_script(script)
    page = context.new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.locator("#proof.proven, #proof.refused").wait_for(timeout=PATIENT)
    yield page
    context.close()


def asked(page: Any, photo: bytes) -> dict[str, Any]:
    """Return what ``window.fursure.predict`` says of a photo, or its error."""
    answer: dict[str, Any] = page.evaluate(_ASKED, base64.b64encode(photo).decode())
    return answer
