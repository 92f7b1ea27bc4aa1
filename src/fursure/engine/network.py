"""Decoded photos → network outputs: the one place where preprocessing meets a session.

Dimension key: N photos, B photos of a batch, D features, H W height and width, C colour (RGB).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.data.parallel import chunked
from fursure.engine.session import BATCH, Outputs, Session
from fursure.images.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Network:
    """A session and the preprocessing its weights were trained with."""

    session: Session
    preprocess: Preprocess

    def __call__(self, photos: Sequence[Image.Image]) -> Outputs:
        """Return every output for ``photos``, in order."""
        parts = [
            self.session(np.stack([self.preprocess(photo) for photo in batch]))
            for batch in chunked(photos, BATCH)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def encode(self, photos: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Return the features (N, D) of ``photos``, the same bits whatever they arrive with.

        They run in whole batches of `BATCH`, padded with black: a run that was interrupted
        forms other batches than one that was not, and must not notice.
        """
        size = self.preprocess.size
        parts = []
        for batch in chunked(photos, BATCH):
            pixels_BHWC = np.zeros((BATCH, size, size, 3), np.uint8)
            for row, photo in enumerate(batch):
                pixels_BHWC[row] = self.preprocess(photo)
            parts.append(self.session(pixels_BHWC)["features"][: len(batch)])
        return np.concatenate(parts)
