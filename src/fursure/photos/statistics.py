"""Decoded photo → what can be said of it without knowing what it shows: ten numbers.

They find photos that no model can learn from (blank, dark, blurred), and cues that give a class
away although they have nothing to do with it (file size, format, a coloured border).

Dimension key: H W height and width (pixels), C channels (red, green, blue).
"""

from dataclasses import dataclass

import numpy as np

from fursure.photos.decode import Decoded

_SIDE = 64  # pixels that the shorter side keeps at least, of one that has as many
_LUMA = np.array([299, 587, 114], np.int32)  # thousandths (ITU-R BT.601)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a photo is like; levels are grey levels from 0 to 255."""

    bytes: int  # of the file
    format: str  # by content, as Pillow spells it
    width: int  # pixels, upright
    height: int  # pixels, upright
    brightness: float  # levels, mean
    contrast: float  # levels, standard deviation
    sharpness: float  # levels, standard deviation of the Laplacian of the photo at about 64 px
    border: tuple[float, float, float]  # levels, mean red, green and blue of the outermost pixels
    border_spread: float  # levels, standard deviation along the border; 0 is a frame of one colour


def measure(photo: Decoded, size: int) -> Facts:
    """Return the facts of a photo whose file has ``size`` bytes."""
    image = photo.image
    factor = max(1, min(image.size) // _SIDE)
    pixels_HWC = np.asarray(image.reduce(factor) if factor > 1 else image)
    grey_HW = pixels_HWC.astype(np.int32) @ _LUMA // 1000
    edge = np.concatenate([pixels_HWC[0], pixels_HWC[-1], pixels_HWC[:, 0], pixels_HWC[:, -1]])
    # in single precision, as they are kept: a resumed run goes on with the same bits
    red, green, blue = edge.mean(axis=0, dtype=np.float32).tolist()
    return Facts(
        bytes=size,
        format=photo.format,
        width=photo.width,
        height=photo.height,
        brightness=float(grey_HW.mean(dtype=np.float32)),
        contrast=float(grey_HW.std(dtype=np.float32)),
        sharpness=_sharpness(grey_HW),
        border=(red, green, blue),
        border_spread=float(edge.std(axis=0, dtype=np.float32).max()),
    )


def _sharpness(grey_HW: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> float:
    """Return the standard deviation of the Laplacian (Pech-Pacheco et al., ICPR 2000)."""
    if min(grey_HW.shape) < 3:
        return 0.0
    middle = grey_HW[1:-1, 1:-1]
    around = grey_HW[:-2, 1:-1] + grey_HW[2:, 1:-1] + grey_HW[1:-1, :-2] + grey_HW[1:-1, 2:]
    return float((4 * middle - around).std(dtype=np.float32))
