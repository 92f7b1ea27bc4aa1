"""Photo → whether it is one, or a mask, a label map, a blank: a few colours and nothing else."""

import numpy as np
from PIL import Image

_SIDE = 96  # pixels looked at a side
_COLOURS = 4  # that cover a flat picture
_SHARE = 0.97  # of its pixels; JPEG adds others along the edges


def is_flat(image: Image.Image) -> bool:
    """Return whether a few colours cover nearly all of an RGB picture.

    A label map has one a class, a mask has two. A photo has thousands, even one of a thing on
    white paper.
    """
    small = image.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)  # other ways would mix colours
    pixels = np.asarray(small.convert("RGB")).reshape(-1, 3).astype(np.uint32)
    packed = pixels[:, 0] << 16 | pixels[:, 1] << 8 | pixels[:, 2]
    _, counts = np.unique(packed, return_counts=True)
    return bool(np.sort(counts)[-_COLOURS:].sum() >= _SHARE * len(packed))
