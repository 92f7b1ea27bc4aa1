"""Drawings → the pictures of pages in docs/, taken by the system's Chromium.

.venv/bin/python scripts/screenshots.py
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from fursure.images.drawings import draw, jpeg
from fursure.recipe import Recipe
from fursure.workflows.judge import Asked, judge
from fursure.workflows.train import train

DOCS = Path(__file__).parents[1] / "docs"
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
        recipe = Recipe(validation=0.2, known_lost=0.02)
        model = train(folder / "drawings", folder / "drawn-pets.fursure", recipe).path
        page = folder / "drawn-pets.report.html"
        judge(str(model), folder / "other-drawings", Asked(report=page))
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shoot(browser, page.as_uri(), "report")
        browser.close()


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
        tab.screenshot(path=DOCS / f"{name}-{kind}.png")


if __name__ == "__main__":
    main()
