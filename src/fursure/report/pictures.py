"""Pixels as the network saw them → small pictures that live inside a page.

Dimension key: H W height and width (pixels), C colours, h w cells of a heat map.
"""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGE, SMALL = 176, 72  # pixels, sides of a picture that is looked at, and of one in passing
GLOW = (255, 122, 0)  # of where the network looked


def inlined(pixels_HWC: NDArray[np.uint8], side: int) -> str:
    """Return the picture as a JPEG inside a ``data:`` address."""
    small = Image.fromarray(pixels_HWC).resize((side, side), Image.Resampling.LANCZOS)
    return data_uri(small, "jpeg", quality=78)


def glow(heat_hw: NDArray[np.floating]) -> str | None:
    """Return a class activation map as a layer to lay over the picture; None: nothing spoke for it.

    Only what speaks for the class glows, the strongest cell most.
    """
    positive_hw = np.asarray(heat_hw, np.float64).clip(0)
    most = float(positive_hw.max()) if np.isfinite(positive_hw).all() else 0.0
    if most <= 0:
        return None
    alpha_hw = np.rint(190 * positive_hw / most).astype(np.uint8)
    layer_hw4 = np.empty((*alpha_hw.shape, 4), np.uint8)
    layer_hw4[..., :3], layer_hw4[..., 3] = GLOW, alpha_hw
    grown = Image.fromarray(layer_hw4, "RGBA").resize((56, 56), Image.Resampling.BICUBIC)
    return data_uri(grown, "png")


def data_uri(picture: Image.Image, kind: str, **how: int) -> str:
    """Return the picture as an address that holds all of it."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
