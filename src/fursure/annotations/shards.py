"""A data set as the Hugging Face library keeps it: shards, ``train-00000-of-00003.parquet``."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from fursure.annotations.columnar import Shard

_SHARD = re.compile(r"([\w.]+)-\d{4,6}-of-\d{4,6}(?:-\w+)?\.(?:parquet|arrow)")
_LOOKED_AT = 4096  # entries; a folder of shards has hardly others, one of photos a million
_PARTS = ("train", "training", "val", "valid", "validation", "dev", "test")


def shards_in(folder: Path) -> list[Shard]:
    """Return the shards in a folder, in its ``data``, or in its ``train``, ``test`` …, in order.

    The part of the split is that of the shard's name, or of its folder's.
    """
    places = (folder, *(folder / name for name in ("data", *_PARTS)))
    return [shard for place in places for shard in sorted(_listed(place))]


def _listed(folder: Path) -> Iterator[Shard]:
    with suppress(OSError), os.scandir(folder) as found:
        for entry in islice(found, _LOOKED_AT):
            if match := _SHARD.fullmatch(entry.name):
                words = (match[1], folder.name)
                part = next((word for word in words if word in _PARTS), "")
                yield Path(entry.path), "val" if part == "dev" else part
