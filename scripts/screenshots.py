"""Drawings → the pictures of pages in docs/, taken by the system's Chromium.

.venv/bin/python scripts/screenshots.py
"""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from fursure.bundle.named import find_model
from fursure.check.check import check_data
from fursure.commands.api import train
from fursure.commands.export import export_model
from fursure.drawings.draw import draw, jpeg
from fursure.evaluation.assess import assess
from fursure.exporting.ported import Wishes
from fursure.recipe import Recipe

Kind = Literal["cat", "dog", "stranger"]
Scheme = Literal["light", "dark"]

DOCS = Path(__file__).parents[1] / "docs"
SHOWN: tuple[tuple[Kind, int], ...] = (
    ("stranger", 200_003), ("dog", 200_001), ("cat", 200_002), ("dog", 200_004),
    ("stranger", 200_001), ("cat", 200_005), ("dog", 200_000), ("cat", 200_000),
)  # fmt: skip
SIZES = {"desktop": (1280, 1500), "phone": (390, 844)}  # pixels


def main() -> None:
    """Make the report of a model of drawings, and take its picture at two widths."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("install chromium first")
    with TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        drawn_into(folder / "drawings", range(300))
        drawn_into(folder / "other-drawings", range(5_000, 5_120))
        recipe = Recipe(validation=0.2, known_lost=0.1)
        model = train(folder / "drawings", folder / "drawn-pets.fursure", recipe).path
        page = folder / "drawn-pets.report.html"
        assess(str(model), folder / "other-drawings", report=page)
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shoot(browser, page.as_uri(), "report")
        shoot_review(browser, folder)
        shoot_service(browser, model, folder)
        shoot_web(browser, model, folder)
        browser.close()


def shoot_review(browser: Browser, folder: Path) -> None:
    """Check drawings of which some lie in the other class too, decide two, and take the picture."""
    drawn_into(folder / "drawn", range(100))
    for seed in range(40, 46):
        data = jpeg(draw("cat", seed), quality=70)
        (folder / "drawn" / "dog" / f"dog.{seed + 700}.jpg").write_bytes(data)
    page = folder / "review.html"
    check_data(folder / "drawn", output=page)
    tab = browser.new_page(viewport={"width": 1000, "height": 760})
    tab.goto(page.as_uri())
    for key in ("j", "r", "j", "y", "j"):
        tab.keyboard.press(key)
    tab.wait_for_timeout(500)
    save(tab, "review")


def shoot_service(browser: Browser, model: Path, folder: Path) -> None:
    """Serve the model, drop drawings on its page, and take the picture of their answers."""
    command = [sys.executable, "-m", "fursure", "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            for device in SIZES:
                shoot_answers(browser, address, f"serve-{device}", shown_in(folder))
        finally:
            process.terminate()


def shoot_web(browser: Browser, model: Path, folder: Path) -> None:
    """Export the model as a page, drop drawings on it, and take the picture on a phone.

    onnxruntime-web is taken from npm's folders here (`make test-web` puts it into .venv/npm).
    """
    npm = Path(__file__).parents[1] / ".venv" / "npm"
    runtime = Wishes(runtime=Path(os.environ.get("FURSURE_NPM", npm)))
    page = export_model(find_model(str(model)), "web", folder / "page", wishes=runtime).folder
    command = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "0",
        "-d",
        str(page),
    ]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split("(")[1].split(")")[0]
            shoot_answers(browser, address, "web-phone", shown_in(folder)[::-1])
        finally:
            process.terminate()


def shown_in(folder: Path) -> list[str]:
    """Return the paths of the drawings that are shown to a page."""
    drawings = []
    for kind, seed in SHOWN:
        path = folder / f"{kind} {seed}.jpg"
        path.write_bytes(jpeg(draw(kind, seed)))
        drawings.append(str(path))
    return drawings


def shoot_answers(browser: Browser, address: str, name: str, drawings: list[str]) -> None:
    """Give drawings to a page, and take the picture of their answers: dark on a phone."""
    device = name.rpartition("-")[2]
    width, height = SIZES[device]
    scheme: Scheme = "dark" if device == "phone" else "light"
    size: ViewportSize = {"width": width, "height": min(height, 980)}
    tab = browser.new_page(viewport=size, color_scheme=scheme)
    tab.goto(address)
    tab.set_input_files("#files", drawings)
    tab.locator(".meter").nth(len(drawings) - 1).wait_for()
    tab.wait_for_timeout(1200)
    save(tab, name)


def drawn_into(folder: Path, seeds: range) -> None:
    """Fill class folders with drawings."""
    for kind in ("cat", "dog"):
        (folder / kind).mkdir(parents=True)
        for seed in seeds:
            data = jpeg(draw(kind, seed))
            (folder / kind / f"{kind}.{seed}.jpg").write_bytes(data)


def shoot(browser: Browser, address: str, name: str) -> None:
    """Take a page's picture at both sizes."""
    for kind, (width, height) in SIZES.items():
        tab = browser.new_page(viewport={"width": width, "height": height})
        tab.goto(address)
        tab.wait_for_timeout(300)
        save(tab, f"{name}-{kind}")


def save(tab: Page, name: str) -> None:
    """Write what is seen, in 256 colours: a third of the bytes, and no eye sees it."""
    seen = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    seen.quantize(256, dither=Image.Dither.NONE).save(DOCS / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
