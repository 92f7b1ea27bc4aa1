"""A seed → a picture with the statistics of photos: edges, shading and detail at every scale.

Nobody's photos can be shipped, and noise or a ramp is unlike any: a network's answer to them says
little about its answer to photos. Overlapping leaves of all sizes, each with a tone and a texture
of its own, have the edges of photos (Lee, Mumford and Huang, IJCV 2001) and teach networks nearly
what photos do (Baradad et al., NeurIPS 2021).

Dimension key: H W height and width (pixels), C channels.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]  # in [0, 1] or about it
Paint = Callable[[np.random.Generator, int], Floats]


def texture(kind: str, seed: int, size: int) -> NDArray[np.uint8]:
    """Return a picture (size, size, 3) of one of the `KINDS`; the same seed gives the same."""
    rng = np.random.default_rng([list(KINDS).index(kind), seed])
    half = max(size // 2, 8)  # a quarter of the time; and photos are not sharp to the pixel either
    picture_HWC = KINDS[kind](rng, half) * _light(rng, half)[..., None]
    small = Image.fromarray((255 * picture_HWC).clip(0, 255).astype(np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def _clouds(rng: np.random.Generator, size: int, *, slope: float = 1.3) -> Floats:
    """Return noise whose amplitude falls with frequency as it does in photos, in [0, 1]."""
    frequency_HW = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    spectrum_HW = np.fft.rfft2(rng.normal(size=(size, size)))
    spectrum_HW /= np.maximum(frequency_HW, 1 / size) ** slope
    noise_HW = np.fft.irfft2(spectrum_HW, (size, size)).astype(np.float32)
    low, high = np.quantile(noise_HW, [0.01, 0.99])
    return np.asarray(((noise_HW - low) / max(high - low, 1e-9)).clip(0, 1), np.float32)


def _coloured(rng: np.random.Generator, amount_HW: Floats) -> Floats:
    """Return (H, W, 3): from one colour to another as ``amount_HW`` goes from 0 to 1."""
    from_C, to_C = _colour(rng), _colour(rng)
    return from_C + amount_HW[..., None] * (to_C - from_C)


def _colour(rng: np.random.Generator) -> Floats:
    """Return a colour (3,), most often a muted one."""
    return rng.random(dtype=np.float32) + 0.5 * (rng.random(3, dtype=np.float32) - 0.5)


def _light(rng: np.random.Generator, size: int) -> Floats:
    """Return light that falls from one side."""
    turn, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6)
    ramp_H = np.linspace(-0.5, 0.5, size)
    light_HW = 1 + depth * (np.cos(turn) * ramp_H[:, None] + np.sin(turn) * ramp_H)
    return np.asarray(light_HW, np.float32)


def _sky(rng: np.random.Generator, size: int) -> Floats:
    return _coloured(rng, _clouds(rng, size, slope=rng.uniform(1.0, 1.8)))


def _leaves(rng: np.random.Generator, size: int) -> Floats:
    """Return discs over discs, small ones the most frequent, each shaded by clouds."""
    y_H, x_W = np.mgrid[:size, :size].astype(np.float32)
    detail_HW = _clouds(rng, size) - 0.5
    picture_HWC = _sky(rng, size)
    for _ in range(60):
        radius = size * 0.04 / max(rng.random(), 0.1) ** 0.8
        y, x = rng.uniform(0, size, 2)
        inside_HW = np.hypot(y_H - y, (x_W - x) * rng.uniform(0.6, 1.6)) < radius
        colour_C = _colour(rng)
        picture_HWC[inside_HW] = colour_C + rng.uniform(0, 0.7) * detail_HW[inside_HW][:, None]
    return picture_HWC


def _stripes(rng: np.random.Generator, size: int) -> Floats:
    """Return bent stripes, as of fur, cloth or grass."""
    y_HW, x_HW = np.mgrid[:size, :size].astype(np.float32) / size
    turn = rng.uniform(0, 2 * np.pi)
    along_HW = np.cos(turn) * y_HW + np.sin(turn) * x_HW + 0.2 * _clouds(rng, size, slope=1.8)
    wave_HW = 0.5 + 0.5 * np.sin(along_HW * rng.uniform(20, 200))
    return _coloured(rng, np.asarray(0.8 * wave_HW + 0.2 * _clouds(rng, size), np.float32))


def _blobs(rng: np.random.Generator, size: int) -> Floats:
    """Return soft bright shapes before a dark ground, as of a lens out of focus."""
    y_H, x_W = np.mgrid[:size, :size].astype(np.float32)
    picture_HWC = 0.4 * _sky(rng, size)
    for _ in range(12):
        y, x = rng.uniform(0, size, 2)
        width = rng.uniform(0.05, 0.2) * size
        glow_HW = np.exp(-((y_H - y) ** 2 + (x_W - x) ** 2) / (2 * width**2))
        picture_HWC += glow_HW[..., None] * _colour(rng) * 0.7
    return picture_HWC


def _walls(rng: np.random.Generator, size: int) -> Floats:
    """Return boxes with shaded faces and hard edges, as of rooms and houses."""
    picture_HWC = _sky(rng, size)
    detail_HW = _clouds(rng, size, slope=1.0)
    for _ in range(25):
        top, left = rng.integers(0, size, 2)
        height, width = rng.integers(size // 16, size // 2 + 2, 2)
        bottom, right = top + height, left + width
        face_HWC = _coloured(rng, detail_HW[top:bottom, left:right])
        picture_HWC[top:bottom, left:right] = face_HWC
    return picture_HWC


KINDS: dict[str, Paint] = {
    "sky": _sky,
    "leaves": _leaves,
    "stripes": _stripes,
    "blobs": _blobs,
    "walls": _walls,
}
