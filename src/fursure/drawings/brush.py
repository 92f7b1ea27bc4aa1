"""Shapes in a figure's own coordinates → pixels, wherever the figure sits and however it leans.

An outline is a list of (x, y), y down, in the figure's unit of length.

Dimension key: N points.
"""

from collections.abc import Sequence
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


def _spline_basis() -> NDArray[np.float64]:
    t = np.arange(STEPS)[:, None] / STEPS
    powers = np.concatenate([t**0, t, t**2, t**3], axis=1)
    matrix = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return np.asarray(powers @ matrix)  # Catmull and Rom, 1974: the curve meets its control points


BASIS = _spline_basis()
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
        red, green, blue = (value + light + self.between(-6, 6) for value in colour)
        return _colour(red, green, blue)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Return the colour ``share`` of the way from ``one`` to ``other``."""
    red, green, blue = (a + (b - a) * share for a, b in zip(colour, other, strict=True))
    return _colour(red, green, blue)


def _colour(*values: float) -> Colour:
    red, green, blue = (round(min(max(value, 0), 255)) for value in values)
    return red, green, blue


def outline(text: str) -> Points:
    """Return the points that ``text`` lists as SVG does: "0,-.5 .25,1"."""
    pairs = (pair.split(",") for pair in text.split())
    return [(float(x), float(y)) for x, y in pairs]


def blend(points: Points, other: Points, share: float) -> Points:
    """Return the outline ``share`` of the way from ``one`` to ``other``, point by point."""
    return [
        (a + (c - a) * share, b + (d - b) * share)
        for (a, b), (c, d) in zip(points, other, strict=True)
    ]


def mirrored(points: Points) -> Points:
    """Return ``points`` as seen in a mirror at x = 0."""
    return [(-x, y) for x, y in points]


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

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill the area with straight edges between ``points``."""
        self._fill(np.asarray(points, dtype=np.float64), colour)

    def blob(self, points: Points, colour: Colour) -> None:
        """Fill the smooth area that passes through ``points``."""
        around_N2 = np.asarray(points, dtype=np.float64)
        four_4N2 = np.stack([np.roll(around_N2, shift, axis=0) for shift in (1, 0, -1, -2)])
        self._fill(np.einsum("sk,knd->nsd", BASIS, four_4N2).reshape(-1, 2), colour)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, lean: float = 0) -> None:
        """Fill an ellipse that leans by an angle in radians."""
        circle_N2 = CIRCLE_N2 * radii
        if lean:
            circle_N2 = circle_N2 @ [[cos(lean), sin(lean)], [-sin(lean), cos(lean)]]
        self._fill(circle_N2 + centre, colour)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a smooth line through ``points`` with round ends."""
        ends_N2 = np.asarray([points[0], *points, points[-1]], dtype=np.float64)
        four_4N2 = np.stack([ends_N2[i : len(ends_N2) - 3 + i] for i in range(4)])
        path_N2 = np.einsum("sk,knd->nsd", BASIS, four_4N2).reshape(-1, 2)
        pixels = self._pixels(np.concatenate([path_N2, ends_N2[-1:]]))
        radius = max(1.0, width * self.unit) / 2
        self.draw.line(pixels.ravel().tolist(), colour, round(2 * radius), joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def _fill(self, outline_N2: NDArray[np.float64], colour: Colour) -> None:
        self.draw.polygon(self._pixels(outline_N2).ravel().tolist(), colour)

    def _pixels(self, points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(points_N2 @ self.turn + self.origin)
