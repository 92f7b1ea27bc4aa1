"""A data set as the Hugging Face library and its hub keep it → its shards, and their split.

They are called ``train-00000-of-00003.parquet``, as the library writes them; ``0000.parquet`` in a
folder ``default/train``, as the hub converts them; or simply ``train.parquet``.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from fursure.annotations.columnar import Shard
from fursure.errors import BadData, some

_SHARD = re.compile(r"([\w.]+)-\d{4,6}-of-\d{4,6}(?:-\w+)?\.(?:parquet|arrow)")
_NUMBERED = re.compile(r"\d{4,6}\.(?:parquet|arrow)")
_WHOLE = re.compile(r"(\w+)\.(?:parquet|arrow|feather)")
_LOOKED_AT = 4096  # entries; a folder of shards has hardly others, one of photos a million
_CONFIGURATIONS = 64  # folders that may be some; classes may be more
_PARTS = ("train", "training", "val", "valid", "validation", "dev", "test")
_HALF = "partial-"  # the hub puts it before a split that it has converted in part


def shards_in(folder: Path) -> list[Shard]:
    """Return the shards in a folder, in order; none where it is another kind of folder.

    They lie in the folder, in its ``data``, in its ``train``, ``test`` …, or in those of a
    folder that is a configuration of the data set.

    Raises:
        BadData: several configurations lie there.
    """
    parts = [half + part for half in ("", _HALF) for part in _PARTS]
    homes = ("", *islice((f"{entry.name}/" for entry in _entries(folder)), _CONFIGURATIONS))
    places = ["", "data/", *(f"{home}{part}/" for home in homes for part in parts)]
    names = [f"{place}{entry.name}" for place in places for entry in _files(folder / place)]
    return [(folder / name, part) for name, part in shards_among(names, folder)]


def shards_among(names: Iterable[str], where: Path) -> list[tuple[str, str]]:
    """Return those names that are shards of one data set, each with the split that it tells.

    Raises:
        BadData: they are of several data sets; ``where`` they lie is for the message.
    """
    found = {name: place for name in names if (place := _place(name)) is not None}
    homes = sorted({home for home, _ in found.values()})
    if len(homes) > 1:
        listed = some((home or "." for home in homes), most=6)
        raise BadData(f"{where} holds several data sets: {listed}; give the folder of one.")
    return [(name, part) for name, (_, part) in found.items()]


def is_lone_table(shard: Shard) -> bool:
    """Return whether a file is called as a table of paths may be, too: ``train.parquet``."""
    return _WHOLE.fullmatch(shard[0].name) is not None


def _place(name: str) -> tuple[str, str] | None:
    """Return the folder of a shard's data set, and its split; None for any other file."""
    *folders, file = name.split("/")
    above = folders[-1].removeprefix(_HALF) if folders else ""
    home = "/".join(folders[:-1] if above in {*_PARTS, "data"} else folders)
    if match := _SHARD.fullmatch(file):
        return home, _split(match[1], above)
    if _NUMBERED.fullmatch(file) and above in _PARTS:
        return home, _split(above)
    if (match := _WHOLE.fullmatch(file)) and match[1] in _PARTS:
        return home, _split(match[1])
    return None


def _split(*words: str) -> str:
    part = next((word for word in words if word in _PARTS), "")
    return "val" if part == "dev" else part


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """Yield the folders in a folder."""
    with suppress(OSError), os.scandir(folder) as found:
        for entry in islice(found, _LOOKED_AT):
            if entry.is_dir() and entry.name not in {*_PARTS, "data"}:
                yield entry


def _files(folder: Path) -> list["os.DirEntry[str]"]:
    """Return the files in a folder, as far as it is looked through."""
    with suppress(OSError), os.scandir(folder) as found:
        files = [entry for entry in islice(found, _LOOKED_AT) if entry.is_file()]
        return sorted(files, key=lambda entry: entry.name)
    return []
