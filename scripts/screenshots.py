"""Drawings → the pictures of pages in docs/, taken by the system's Chromium.

.venv/bin/python scripts/screenshots.py
"""

import io
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from fursure.check.check import check_data
from fursure.commands.api import train
from fursure.drawings.draw import draw, jpeg
from fursure.evaluation.assess import assess
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
    drawings = []
    for kind, seed in SHOWN:
        path = folder / f"{kind} {seed}.jpg"
        path.write_bytes(jpeg(draw(kind, seed)))
        drawings.append(str(path))
    command = [sys.executable, "-m", "fursure", "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            for device, (width, height) in SIZES.items():
                scheme: Scheme = "dark" if device == "phone" else "light"
                size: ViewportSize = {"width": width, "height": min(height, 980)}
                tab = browser.new_page(viewport=size, color_scheme=scheme)
                tab.goto(address)
                tab.set_input_files("#files", drawings)
                tab.locator(".meter").nth(len(drawings) - 1).wait_for()
                tab.wait_for_timeout(1200)
                save(tab, f"serve-{device}")
        finally:
            process.terminate()


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
