"""A group's name → pictures of strangers that no ImageNet network has met, and of near ones.

Nothing of it is downloaded: it is drawn here, cut from this project's own pages, or ships in
packages the development install has. Pictures cut from one page or photo resemble each other, so
the intervals of those groups are too narrow. No method is chosen on them: they only measure.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from benchmarks import patterns
from fursure.drawings.brush import BLACK, INK, WHITE, Brush, Dice, closed, mix
from fursure.drawings.draw import draw
from fursure.drawings.others import BRIGHT
from fursure.drawings.scenes import backdrop

COUNT = 60  # pictures of a group
SIDE = 448  # pixels
PAGES = Path(__file__).parents[1] / "docs"
WORDS = ("the", "of", "a", "photo", "light", "model", "answer", "paper", "street", "between",
         "never", "open", "number", "seven", "window", "certain", "table", "river", "measured",
         "before", "against", "always", "under", "copper", "train", "letter")  # fmt: skip
SKINS = [(242, 208, 180), (222, 178, 142), (178, 128, 92), (122, 82, 58), (84, 56, 40)]
HAIR = [(40, 30, 24), (96, 62, 36), (170, 120, 62), (214, 184, 120), (150, 150, 152)]
SHIPPED = (
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)


def scan(dice: Dice) -> Image.Image:
    """Return a page of text as a scanner sees it: grain, a slight turn, yellowed or not."""
    paper = mix((255, 255, 252), (226, 206, 160), dice.between(0, 1))
    page = Image.new("RGB", (SIDE, int(SIDE * dice.between(0.8, 1.4))), paper)
    size = int(dice.between(9, 26))
    _text(ImageDraw.Draw(page), dice, (30, 30, page.width - 30, page.height - 30), size, INK)
    page = page.rotate(dice.between(-4, 4), Image.Resampling.BICUBIC, fillcolor=paper)
    grain = dice.generator.normal(0, dice.between(1, 20), (page.height, page.width, 1))
    pixels = np.asarray(page) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def screen(dice: Dice) -> Image.Image:
    """Return a window of a program: bars, buttons, text, a table, light or dark."""
    dark = dice.chance(0.4)
    ground, ink = ((30, 32, 38), (220, 222, 226)) if dark else ((250, 250, 252), (30, 30, 34))
    accent = dice.near(dice.pick(BRIGHT))
    page = Image.new("RGB", (int(SIDE * dice.pick((0.6, 1, 1.6))), SIDE), ground)
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, page.width, 34), accent if dice.chance(0.5) else mix(ground, ink, 0.15))
    if dice.chance(0.6):
        pen.rectangle((0, 34, page.width // 4, SIDE), mix(ground, ink, 0.07))
    for row in range(int(dice.between(2, 6))):
        left, top = page.width // 4 + 14, 50 + 64 * row
        match dice.pick(("text", "text", "buttons", "table")):
            case "text":
                _text(pen, dice, (left, top, page.width - 10, top + 54), 12, ink)
            case "buttons":
                for number in range(3):
                    corner = (left + 74 * number, top)
                    pen.rounded_rectangle((*corner, corner[0] + 62, top + 26), 6, accent)
            case _:
                for line in range(4):
                    pen.rectangle((left, top + 13 * line, page.width - 10, top + 13 * line), ink)
    return page


def screen_with_pet(dice: Dice) -> Image.Image:
    """Return such a window with one small drawing of a cat or a dog, about 3 % of it."""
    page = screen(dice)
    side = int((0.03 * page.width * page.height) ** 0.5)
    pet = draw(dice.pick(("cat", "dog")), int(dice.between(0, 10**6)), side)
    page.paste(pet, (int(page.width * dice.between(0.3, 0.7)), int(SIDE * dice.between(0.2, 0.7))))
    return page


def chart(dice: Dice) -> Image.Image:
    """Return lines, bars or points between two axes."""
    page = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    pen.line((50, 20, 50, SIDE - 40, SIDE - 20, SIDE - 40), INK, 2)
    kind, count = dice.pick(("lines", "bars", "points")), int(dice.between(6, 30))
    for _ in range(int(dice.between(1, 4))):
        colour = dice.near(dice.pick(BRIGHT))
        x = np.linspace(60, SIDE - 30, count)
        y = (SIDE - 60) * (1 - dice.generator.random(count).cumsum() / count) * 0.9 + 30
        if kind == "lines":
            pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), colour, 3)
        for left, top in zip(x.tolist(), y.tolist(), strict=True):
            if kind == "bars":
                pen.rectangle((left, top, left + 200 / count, SIDE - 41), colour)
            if kind == "points":
                pen.ellipse((left - 4, top - 4, left + 4, top + 4), colour)
    pen.text((SIDE / 3, SIDE - 30), " ".join(dice.pick(WORDS) for _ in range(3)), INK, _font(14))
    return page


def page_of_ours(dice: Dice) -> Image.Image:
    """Return a cut-out of one of this project's own pages, as they are shown in docs/."""
    page = dice.pick(_pages())
    return _cut(page, dice, dice.between(0.35, 1))


def thing(dice: Dice) -> Image.Image:
    """Return a drawn car, house, flower …"""
    return draw("stranger", int(dice.between(0, 10**6)))


def scene(dice: Dice) -> Image.Image:
    """Return a drawn background with nobody in front of it."""
    return backdrop(dice, SIDE)


def person(dice: Dice) -> Image.Image:
    """Return a drawn person: a portrait or a whole figure."""
    picture = backdrop(dice, SIDE)
    portrait = dice.chance(0.5)
    unit = SIDE * (0.3 if portrait else 0.13) * dice.between(0.85, 1.15)
    at = (SIDE * dice.between(0.4, 0.6), SIDE * (0.42 if portrait else 0.2))
    _person(Brush(picture, at, unit, dice.between(-0.1, 0.1)), dice)
    return picture


def shipped(dice: Dice) -> Image.Image:
    """Return a cut-out of a photo that ships in a package: a temple, a flower, a person."""
    return _cut(dice.pick(_shipped()), dice, dice.between(0.4, 1))


def pet(dice: Dice) -> Image.Image:
    """Return a drawn cat or dog."""
    return draw(dice.pick(("cat", "dog")), int(dice.between(0, 10**6)))


# What should be called a stranger. By how they come about, so that the kind that fails is seen.
STRANGERS: dict[str, Callable[[Dice], Image.Image]] = {
    "plain colours": patterns.plain,
    "gradients": patterns.gradient,
    "noise": patterns.noise,
    "clouds (1/f noise)": patterns.clouds,
    "checkers, stripes, dots": patterns.checkers,
    "Voronoi cells": patterns.cells,
    "scans of text": scan,
    "windows of programs": screen,
    "charts": chart,
    "drawn scenes": scene,
    "drawn things": thing,
    "drawn people": person,
    "photos in packages": shipped,
}

# What one may argue about.
NEAR: dict[str, Callable[[Dice], Image.Image]] = {
    "our own pages, with drawn pets": page_of_ours,
    "windows with a small drawn pet": screen_with_pet,
    "drawn cats and dogs": pet,
}


def pictures(name: str) -> list[Image.Image]:
    """Return the pictures of a group; the same every time."""
    make = (STRANGERS | NEAR)[name]
    return [make(Dice(seed, *name.encode())) for seed in range(COUNT)]


def blurred(photo: Image.Image) -> Image.Image:
    """Return a photo on which nothing can be made out any more."""
    return photo.filter(ImageFilter.GaussianBlur(0.12 * min(photo.size)))


def dark(photo: Image.Image) -> Image.Image:
    """Return a photo taken with hardly any light: 2 % of it, and a sensor's grain."""
    grain = np.random.default_rng(0).normal(0, 2, (photo.height, photo.width, 3))
    pixels = np.asarray(ImageEnhance.Brightness(photo).enhance(0.02)) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _text(
    pen: ImageDraw.ImageDraw,
    dice: Dice,
    frame: tuple[int, int, int, int],
    size: int,
    ink: tuple[int, int, int],
) -> None:
    left, top, right, bottom = frame
    for y in range(top, bottom - size, round(1.4 * size)):
        words = [dice.pick(WORDS) for _ in range(max(1, 2 * (right - left) // (7 * size)))]
        pen.text((left, y), " ".join(words), ink, _font(size))


def _person(brush: Brush, dice: Dice) -> None:
    skin, hair = dice.near(dice.pick(SKINS)), dice.near(dice.pick(HAIR))
    shirt, trousers = dice.near(dice.pick(BRIGHT)), dice.near((60, 66, 90))
    for side in (-1, 1):
        reach = dice.between(0.9, 1.5)
        brush.line([(0.3 * side, 3.6), (0.4 * side, 6.2)], 0.5, trousers)
        brush.line([(0.7 * side, 1.5), (reach * side, 2.4), (reach * side, 3.4)], 0.36, shirt)
        brush.ellipse((reach * side, 3.6), (0.2, 0.24), skin)
    brush.blob(closed([(0, 1.0), (0.75, 1.2), (0.85, 2.4), (0.7, 3.8), (0, 3.9)]), shirt)
    brush.polygon([(-0.22, 0.7), (0.22, 0.7), (0.22, 1.2), (-0.22, 1.2)], skin)
    if dice.chance(0.5):
        brush.ellipse((0, 0.1), (0.95, 1.15), hair)
    brush.ellipse((0, 0), (0.72, 0.95), skin)
    brush.blob(closed([(0, -1.05), (0.6, -0.85), (0.76, -0.2), (0.5, -0.55), (0, -0.6)]), hair)
    for side in (-1, 1):
        brush.ellipse((0.28 * side, -0.1), (0.13, 0.08), WHITE)
        brush.ellipse((0.28 * side, -0.1), (0.065, 0.07), BLACK)
        brush.line([(0.14 * side, -0.28), (0.42 * side, -0.3)], 0.06, hair)
    brush.line([(0, 0), (0.08, 0.24), (-0.04, 0.27)], 0.05, mix(skin, BLACK, 0.3))
    brush.line([(-0.22, 0.5), (0, dice.between(0.5, 0.62)), (0.22, 0.5)], 0.08, (176, 70, 76))


def _cut(photo: Image.Image, dice: Dice, share: float) -> Image.Image:
    width, height = (max(64, int(share * side)) for side in photo.size)
    left = int(dice.between(0, max(0, photo.width - width)))
    top = int(dice.between(0, max(0, photo.height - height)))
    cut = photo.crop((left, top, left + width, top + height))
    cut.thumbnail((2 * SIDE, 2 * SIDE))
    return cut


@cache
def _pages() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(PAGES.glob("*.png"))]


@cache
def _shipped() -> list[Image.Image]:
    found = []
    for package, name in SHIPPED:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Image.open(Path(spec.origin).parent / name).convert("RGB"))
    return found


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
