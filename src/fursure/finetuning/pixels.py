"""Photos → squares of pixels in one file, so that many passes decode each photo once.

Dimension key: N photos, H W height and width (pixels), C colours.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fursure.dataset.listing import Source
from fursure.errors import CacheUnusable
from fursure.features.reader import DECODING
from fursure.home import folder_for
from fursure.parallel import begun, chunked, in_order
from fursure.photos.decode import LIMITS, decode
from fursure.photos.preprocess import Preprocess
from fursure.rows.photo import Photo

_CHUNK = 32  # photos that a worker prepares at once
ROOM = 0.9  # share of the free disk that the file may take


def pixels(
    source: Source,
    photos: Sequence[Photo],
    preprocess: Preprocess,
    *,
    threads: int,
) -> Path:
    """Return the `.npy` file with the pixels (N, size, size, 3) of ``photos``, uint8.

    What an earlier run prepared with the same ``preprocess`` is used again.

    Raises:
        CacheUnusable: the disk has no room for them.
    """
    path = _path(photos, preprocess)
    shape = (len(photos), preprocess.size, preprocess.size, 3)
    if path.is_file():  # it was renamed into place, so it is whole
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if needed > ROOM * free:
        raise CacheUnusable(
            path, f"{needed / 1e9:.1f} GB of pixels need room, {free / 1e9:.1f} GB are free"
        )
    partial = path.with_suffix(f".{os.getpid()}.part")  # two runs may prepare the same photos
    try:
        into_NHWC = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        _fill(into_NHWC, source, photos, preprocess, threads)
        into_NHWC.flush()
        del into_NHWC  # a file that is mapped cannot be renamed everywhere
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _fill(
    into_NHWC: NDArray[np.uint8],
    source: Source,
    photos: Sequence[Photo],
    preprocess: Preprocess,
    threads: int,
) -> None:
    def prepare(rows: list[int]) -> None:
        for row in rows:
            data = source.read(photos[row].path, LIMITS.bytes)
            decoded = decode(data, name=photos[row].path, min_side=preprocess.min_side)
            into_NHWC[row] = preprocess(decoded.image)

    rows = begun(range(len(photos)), lambda row: source.expect(photos[row].path))
    for _ in in_order(prepare, chunked(rows, _CHUNK), threads=threads):
        pass


def _path(photos: Sequence[Photo], preprocess: Preprocess) -> Path:
    text = json.dumps(
        [[photo.sha256 for photo in photos], preprocess.to_json(), DECODING], sort_keys=True
    )
    return folder_for("pixels") / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.npy"
