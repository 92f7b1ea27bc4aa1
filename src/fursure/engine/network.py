"""Decoded photos → network outputs: the one place where preprocessing meets a session.

Dimension key: N photos, B photos of a batch, D features, H W height and width, C colour (RGB).
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.engine.runtime import Outputs, Pixels, Session
from fursure.parallel import chunked
from fursure.photos.preprocess import Preprocess
from fursure.stages import stage

_memory = threading.local()  # fresh megabytes for each batch cost as much as decoding does


@dataclass(frozen=True, slots=True)
class Network:
    """A session and the preprocessing its weights were trained with."""

    session: Session
    preprocess: Preprocess

    def __call__(self, photos: Iterable[Image.Image]) -> Outputs:
        """Return every output for ``photos``, in order; of no photos, none.

        A photo is let go once it is prepared, so many large ones may follow each other.
        """
        return _joined(self._outputs(pixels, len(pixels)) for pixels, _ in self._batches(photos))

    def encode(self, photos: Iterable[Image.Image]) -> NDArray[np.float32]:
        """Return the features (N, D) of ``photos``, the same bits whatever they arrive with.

        They run in whole batches of the session, padded with black: a run that was interrupted
        forms other batches than one that was not, and must not notice.
        """
        return np.concatenate(
            [
                self._outputs(whole, len(used))["features"][: len(used)]
                for used, whole in self._batches(photos)
            ]
        )

    def _outputs(self, pixels_BHWC: Pixels, photos: int) -> Outputs:
        with stage("network", photos):
            return self.session(pixels_BHWC)

    def _prepared(self, photo: Image.Image) -> Pixels:
        with stage("resize", 1):
            return self.preprocess(photo)

    def _batches(self, photos: Iterable[Image.Image]) -> Iterable[tuple[Pixels, Pixels]]:
        """Yield the pixels of each batch, and the same padded with black; both are reused."""
        rows = self.session.batch
        whole_BHWC = _reused(rows, self.preprocess.size)
        for batch in chunked(map(self._prepared, photos), rows):
            whole_BHWC[len(batch) :] = 0
            for row, pixels_HWC in enumerate(batch):
                whole_BHWC[row] = pixels_HWC
            yield whole_BHWC[: len(batch)], whole_BHWC


def _reused(rows: int, size: int) -> Pixels:
    """Return this thread's memory for a batch."""
    shape = (rows, size, size, 3)
    if getattr(_memory, "pixels", np.empty(0)).shape != shape:
        _memory.pixels = np.zeros(shape, np.uint8)
    pixels_BHWC: Pixels = _memory.pixels
    return pixels_BHWC


def in_batches(session: Session, pixels_NHWC: Pixels) -> Outputs:
    """Return every output for prepared photos, in the memory of one batch."""
    rows = session.batch
    starts = range(0, len(pixels_NHWC), rows)
    return _joined(session(pixels_NHWC[start : start + rows]) for start in starts)


def _joined(parts: Iterable[Outputs]) -> Outputs:
    listed = list(parts)
    if not listed:
        return {}
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}
