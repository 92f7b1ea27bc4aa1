"""Shapes in a figure's own coordinates → pixels, wherever the figure sits and however it leans.

An outline is a list of (x, y), y down, in the figure's unit of length. A figure is a list of parts,
back to front, each a line of text: how it is filled, its colour's name, its outline, and after a
bar the outline that it has in the other of two shapes, as of a cat and a dog.

Dimension key: N points.
"""

from collections.abc import Mapping, Sequence
from math import cos, sin
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
_Curved = TypeVar("_Curved")
Point = tuple[float, float]
Points = Sequence[Point]

STEPS = 6  # points a curve has between two of its control points
WHITE, BLACK, INK = (250, 250, 248), (14, 13, 15), (38, 32, 36)
# Catmull and Rom, 1974: the curve meets its control points.
_MATRIX = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
BASIS = (np.arange(STEPS)[:, None] / STEPS) ** np.arange(4) @ _MATRIX
CIRCLE_N2 = np.array([(cos(a), sin(a)) for a in np.arange(32) * (2 * np.pi / 32)])


class Dice:
    """Repeatable chance: the same seed throws the same on every platform."""

    def __init__(self, *seed: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(list(seed)))

    def between(self, low: float, high: float) -> float:
        """Return a number, all equally likely."""
        return low + (high - low) * self.generator.random()

    def chance(self, probability: float) -> bool:
        """Return True that often."""
        return bool(self.generator.random() < probability)

    def pick(self, options: Sequence[_Curved]) -> _Curved:
        """Return one of ``options``."""
        return options[int(self.generator.random() * len(options))]

    def near(self, colour: Colour, spread: float = 18) -> Colour:
        """Return a colour a little lighter or darker, and a little off."""
        light = self.between(-spread, spread)
        return _colour(*(value + light + self.between(-6, 6) for value in colour))


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Return the colour ``share`` of the way from ``colour`` to ``other``."""
    return _colour(*(a + (b - a) * share for a, b in zip(colour, other, strict=True)))


def _colour(*values: float) -> Colour:
    red, green, blue = (round(min(max(value, 0), 255)) for value in values)
    return red, green, blue


def outline(text: str) -> Points:
    """Return the points that ``text`` lists as SVG does: "0,-.5 .25,1"."""
    pairs = (pair.split(",") for pair in text.split())
    return [(float(x), float(y)) for x, y in pairs]


def blend(points: Points, other: Points, share: float) -> Points:
    """Return the outline ``share`` of the way from ``points`` to ``other``, point by point."""
    return [
        (a + (c - a) * share, b + (d - b) * share)
        for (a, b), (c, d) in zip(points, other, strict=True)
    ]


def closed(half: Points) -> Points:
    """Return the symmetric outline whose right side, top to bottom, is ``half``."""
    return [*half, *((-x, y) for x, y in reversed(half) if x)]


class Brush:
    """Draws on an image in the coordinates of one figure."""

    def __init__(self, image: Image.Image, at: Point, unit: float, angle: float = 0) -> None:
        """Place the figure's (0, 0) ``at`` a pixel, its unit so many pixels long."""
        self.draw = ImageDraw.Draw(image)
        self.unit = unit  # pixels
        self.origin = np.array(at)  # pixels
        self.turn = unit * np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])

    def figure(self, parts: str, colours: Mapping[str, Colour], share: float = 0) -> None:
        """Draw the parts, a line each, ``share`` of the way from one shape to the other.

        A part is a ``blob`` (smooth), a ``half`` of one (its right side), a ``poly`` (with
        corners), a ``disc`` (middle, radii) or a ``line:WIDTH``. A name that ends with ``+`` has a
        twin on the other side.
        """
        for part in filter(None, map(str.strip, parts.splitlines())):
            kind, name, text = part.split(maxsplit=2)
            points, *other = map(outline, text.split("|"))
            points, colour = blend(points, (*other, points)[0], share), colours[name]
            for side in (1, -1)[: 1 + kind.endswith("+")]:
                placed = [(side * x, y) for x, y in points]
                match kind.rstrip("+").split(":"):
                    case ["blob"]:
                        self.blob(placed, colour)
                    case ["half"]:
                        self.blob(closed(placed), colour)
                    case ["poly"]:
                        self.polygon(placed, colour)
                    case ["disc"]:
                        self.ellipse(placed[0], points[1], colour)
                    case [_, width]:
                        self.line(placed, float(width), colour)

    def polygon(self, points: Points | NDArray[np.float64], colour: Colour) -> None:
        """Fill the area with straight edges between ``points``."""
        self.draw.polygon(self._pixels(np.asarray(points)).ravel().tolist(), colour)

    def blob(self, points: Points, colour: Colour) -> None:
        """Fill the smooth area that passes through ``points``."""
        self.polygon(_curve([np.roll(points, shift, axis=0) for shift in (1, 0, -1, -2)]), colour)

    def ellipse(self, centre: Point, radii: Point, colour: Colour) -> None:
        """Fill an ellipse."""
        self.polygon(CIRCLE_N2 * radii + centre, colour)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a smooth line through ``points`` with round ends."""
        ends_N2 = np.asarray([points[0], *points, points[-1]])
        path_N2 = _curve([ends_N2[i : len(ends_N2) - 3 + i] for i in range(4)])
        pixels_N2 = self._pixels(np.concatenate([path_N2, ends_N2[-1:]]))
        radius = max(1.0, width * self.unit) / 2
        self.draw.line(pixels_N2.ravel().tolist(), colour, round(2 * radius), joint="curve")
        for x, y in (pixels_N2[0], pixels_N2[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def _pixels(self, points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(points_N2 @ self.turn + self.origin)


def _curve(four_4N2: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("sk,knd->nsd", BASIS, np.stack(four_4N2)).reshape(-1, 2))
