"""A data set kept as files of columns: which belong together, ``train-00000-of-00003.parquet``."""

import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

COLUMNAR_SUFFIXES = frozenset({".parquet", ".arrow", ".feather", ".ipc"})
_SHARD = re.compile(  # the Hugging Face library's, ours without the count, Spark's
    r"(?:([\w.]+)-\d{4,6}(?:-of-\d{4,6}(?:-\w+)?)?|part-\d{4,6}[\w.-]*)\.(?:parquet|arrow)"
)
_LOOKED_AT = 4096  # entries; a folder of shards has hardly others, one of photos a million
_PARTS = ("train", "training", "val", "valid", "validation", "dev", "test")


class RangedFile(Protocol):
    """A file that lies elsewhere; as text, what messages call it."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def reader(self) -> BinaryIO:
        """Return it as one that is read from its beginning on."""
        ...

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file whose bytes are here already, out of an archive or a bucket."""

    name: str
    data: bytes

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.data)

    def reader(self) -> BinaryIO:
        """Return it as one that is read from its beginning on."""
        return io.BytesIO(self.data)

    def close(self) -> None:
        """Do nothing."""

    def __str__(self) -> str:
        """Return its name."""
        return self.name


ColumnFile = Path | RangedFile
Shard = tuple[ColumnFile, str]  # with the part of a split that its name tells of, "" for none


def shards_in(folder: Path) -> list[Shard]:
    """Return the shards in a folder here, as `shards_among` finds them."""
    places = ("", "data/", *(f"{part}/" for part in _PARTS))
    names = (f"{place}{name}" for place in places for name in names_in(folder / place))
    return [(folder / name, part) for name, part in shards_among(names)]


def shards_among(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the shards in a folder, in its ``data``, or in its ``train``, ``test`` …, in order.

    The part of the split is that of the shard's name, or of its folder's.
    """
    order = {"": 0, "data": 1} | {part: 2 + at for at, part in enumerate(_PARTS)}
    found: list[tuple[int, str, str]] = []
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder in order and (match := _SHARD.fullmatch(file)):
            part = next((word for word in (match[1], folder) if word in _PARTS), "")
            found.append((order[folder], name, "val" if part == "dev" else part))
    return [(name, part) for _, name, part in sorted(found)]


def names_in(folder: Path) -> Iterator[str]:
    """Yield the names in a folder, those of folders with a final '/'.

    Of thousands of names that are no shards, only the first.
    """
    shards = False
    with suppress(OSError), os.scandir(folder) as found:
        for number, entry in enumerate(found):
            shards = shards or entry.name.endswith((".tar", ".parquet", ".arrow"))
            if number >= _LOOKED_AT and not shards:
                return
            yield f"{entry.name}/" if entry.is_dir() else entry.name
