"""Photos as they are scanned, chunk by chunk → columns of what is known of all of them.

Dimension key: N photos, M decoded photos, V views of a photo, D features, W different digests.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from fursure.rows.columns import Coded, CodedMaker, Texts
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.rows.table import FeatureTable
from fursure.splitting.scanned import Scanned, hashes_of

_HEX = 64  # digits of a digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPhotos:
    """Every photo of a data set after it was read."""

    photos: PhotoTable  # with digests and sizes; what cannot be used has its reason
    decoded_N: NDArray[np.bool_]  # those that something is known of
    views_MV: NDArray[np.uint64]  # the hashes of their views
    features_MD: FeatureTable


@final
class ReadColumns:
    """What is known of photos while they are being read, in their order."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._listed, self._done = PhotoTable.of(photos), 0
        self._digest_N = np.zeros(len(photos), f"S{_HEX}")
        self._widths, self._heights, self._decoded = array("i"), array("i"), bytearray()
        self._reasons, self._views = CodedMaker[str | None](), bytearray()

    def note(self, chunk: Sequence[Scanned]) -> None:
        """Take the next photos."""
        photos = [row.photo for row in chunk]
        here = slice(self._done, self._done + len(photos))
        self._digest_N[here] = [photo.sha256 for photo in photos]
        self._done = here.stop
        self._widths.extend(photo.width for photo in photos)
        self._heights.extend(photo.height for photo in photos)
        self._reasons.extend(photo.reason for photo in photos)
        prints = [row.fingerprint for row in chunk]
        self._decoded.extend(fingerprint is not None for fingerprint in prints)
        self._views += b"".join(fingerprint.views for fingerprint in prints if fingerprint)

    def read(self, features_MD: FeatureTable) -> ReadPhotos:
        """Return all of it, now that the last photo has come."""
        decoded_N = np.frombuffer(self._decoded, bool)
        digests = _digests(self._digest_N)
        photos = replace(
            self._listed,
            digests=digests,
            width_N=np.array(self._widths, np.int32),
            height_N=np.array(self._heights, np.int32),
            groups=Coded(digests.words, np.zeros(len(digests), np.int32)),  # none yet
            reasons=self._reasons.done(),
        )
        return ReadPhotos(
            photos=photos,
            decoded_N=decoded_N,
            views_MV=hashes_of(self._views, int(decoded_N.sum())),
            features_MD=features_MD,
        )


def _digests(digest_N: NDArray[np.bytes_]) -> Coded[str]:
    """Return the column of digests; its first word is "", the one of a photo nobody could read."""
    word_W, code_N = np.unique(np.append(b"", digest_N), return_inverse=True)
    start_W = np.arange(len(word_W), dtype=np.int64) * _HEX
    words = Texts(word_W.tobytes(), start_W, np.char.str_len(word_W).astype(np.int32))
    return Coded(words, code_N[1:].astype(np.int32))
