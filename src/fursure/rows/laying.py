"""Features as they come → a table of all, in memory, or beyond a size in a file without a name.

Dimension key: N photos, B photos of a chunk, D features.
"""

import mmap
import tempfile
from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fursure.home import folder_for
from fursure.rows.table import FeatureTable

LAID_IN_MEMORY = 64 * 2**20  # bytes of halves: 26,000 photos of 1,280 features


def lay_out(chunks: Iterable[NDArray[np.floating]], photos: int) -> FeatureTable:
    """Return the table of features (B, D) that come chunk by chunk, of at most ``photos`` photos.

    Raises:
        OSError: the disk is full.
    """
    kept_ND = np.zeros((0, 1), np.float16)
    file: IO[bytes] | None = None
    done = width = 0
    for chunk_BD in chunks:
        if not width:  # known from here on
            width = chunk_BD.shape[1]
            if 2 * width * photos > LAID_IN_MEMORY:
                file = _nameless_file()
            else:
                kept_ND = np.zeros((photos, width), np.float16)
        if file is None:
            kept_ND[done : done + len(chunk_BD)] = chunk_BD
        else:
            # written, not mapped: on a full disk a map ends the process without a word
            file.write(np.ascontiguousarray(chunk_BD, np.float16).data)
        done += len(chunk_BD)
    return FeatureTable(kept_ND[:done]) if file is None else _mapped(file, width)


def _nameless_file() -> IO[bytes]:
    """Return a file that is gone once nobody has it open, where the features are kept anyway."""
    folder = folder_for("features")
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder)


def _mapped(file: IO[bytes], width: int) -> FeatureTable:
    with file:
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    kept_ND = np.frombuffer(mapped, np.float16).reshape(-1, width)
    return FeatureTable(kept_ND, mapped)
