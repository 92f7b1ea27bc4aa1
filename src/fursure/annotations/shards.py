"""A data set kept as files of columns → its shards, and their split; in a zip, too, or elsewhere.

They are called ``train-00000-of-00003.parquet``, as the Hugging Face library writes them;
``0000.parquet`` in a folder ``default/train``, as its hub converts them; or ``train.parquet``.
"""

import io
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from fursure.errors import BadData, some

COLUMNAR_SUFFIXES = frozenset({".parquet", ".arrow", ".feather", ".ipc"})
_SHARD = re.compile(  # the Hugging Face library's, ours without the count, Spark's
    r"(?:([\w.]+)-\d{4,6}(?:-of-\d{4,6}(?:-\w+)?)?|part-\d{4,6}[\w.-]*)\.(?:parquet|arrow)"
)
_NUMBERED = re.compile(r"\d{4,6}\.(?:parquet|arrow)")
_WHOLE = re.compile(r"(\w+)\.(?:parquet|arrow|feather)")
_LOOKED_AT = 4096  # entries; a folder of shards has hardly others, one of photos a million
_CONFIGURATIONS = 64  # folders that may be some; classes may be more
_PARTS = ("train", "training", "val", "valid", "validation", "dev", "test")
_HALF = "partial-"  # the hub puts it before a split that it has converted in part
_FREE, _RATIO = 1 << 30, 50  # bytes that any table may unpack to, and else times its size
_BLOCK = 1 << 20  # bytes copied at a time


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
    """Return the shards in a folder here, in order; none where it is another kind of folder.

    They lie in the folder, in its ``data``, in its ``train``, ``test`` …, or in those of a
    folder that is a configuration of the data set.

    Raises:
        BadData: several configurations lie there.
    """
    inner = (name for name in names_in(folder) if name.endswith("/"))
    others = (name for name in inner if name[:-1] not in {*_PARTS, "data"})
    homes = ("", *islice(others, _CONFIGURATIONS))
    parts = [half + part for half in ("", _HALF) for part in _PARTS]
    places = ["", "data/", *(f"{home}{part}/" for home in homes for part in parts)]
    names = [f"{place}{name}" for place in places for name in names_in(folder / place)]
    return [(folder / name, part) for name, part in shards_among(names, folder)]


def shards_below(names: Iterable[str], where: object) -> list[tuple[str, str]]:
    """Return the shards of a listing of all that lies in a folder, as `shards_in` does of it.

    Raises:
        BadData: several configurations lie there.
    """
    return shards_among((name for name in names if _lies_near(name)), where)


def shards_among(names: Iterable[str], where: object) -> list[tuple[str, str]]:
    """Return those names that are shards of one data set, in order, each with its split.

    Raises:
        BadData: they are of several data sets; ``where`` they lie is for the message.
    """
    found = {name: place for name in names if (place := _place(name)) is not None}
    homes = sorted({home for home, _ in found.values()})
    if len(homes) > 1:
        listed = some((home or "." for home in homes), most=6)
        raise BadData(f"{where} holds several data sets: {listed}; give the folder of one.")
    return [(name, found[name][1]) for name in sorted(found, key=_turn)]


def is_lone_table(shard: Shard) -> bool:
    """Return whether a file is called as a table of paths may be, too: ``train.parquet``."""
    return _WHOLE.fullmatch(file_name(shard)) is not None


def file_name(shard: Shard) -> str:
    """Return the name of a shard's file, without its folder."""
    return Path(str(shard[0])).name


def tables_in(names: Sequence[str], where: Path) -> list[tuple[str, str]]:
    """Return the tables among an archive's ``names``: shards with their split, or the only one.

    Raises:
        BadData: they are of several data sets.
    """
    tables = [name for name in names if Path(name).suffix.lower() in COLUMNAR_SUFFIXES]
    return shards_among(tables, where) or ([(tables[0], "")] if len(tables) == 1 else [])


def copied_tables(
    path: Path, tables: Sequence[tuple[str, str]], into: "TemporaryDirectory[str]"
) -> list[Shard]:
    """Return copies of a zip's tables, in their order.

    Raises:
        BadData: one is damaged, locked by a password, or of a size that no such table has.
    """
    shards: list[Shard] = []
    try:
        with zipfile.ZipFile(path) as packed:
            members = [packed.getinfo(name) for name, _ in tables]
            check_unpacked_size(
                str(path), sum(one.file_size for one in members), path.stat().st_size
            )
            for number, (member, (name, part)) in enumerate(zip(members, tables, strict=True)):
                copy = Path(into.name) / f"{number:06}{Path(name).suffix}"
                with packed.open(member) as content, copy.open("wb") as file:
                    shutil.copyfileobj(content, file, _BLOCK)
                shards.append((copy, part))
    except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, OSError) as error:
        raise BadData(
            f"the tables in {path} cannot be unpacked ({error}); unpack them, and give the folder."
        ) from None
    return shards


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


def check_unpacked_size(name: str, unpacked: int, packed: int) -> None:
    """Refuse what would unpack to far more bytes than it has.

    Raises:
        BadData: it would.
    """
    if unpacked > _FREE + _RATIO * packed:
        raise BadData(
            f"{name} unpacks to {unpacked:,} bytes, as no table of photos does; write it anew."
        )


def _place(name: str) -> tuple[str, str] | None:
    """Return the folder of a shard's data set, and its split; None for any other file."""
    *folders, file = name.split("/")
    above = _above(name)
    home = "/".join(folders[:-1] if above in {*_PARTS, "data"} else folders)
    if match := _SHARD.fullmatch(file):
        return home, _split(match[1], above)
    if _NUMBERED.fullmatch(file) and above in _PARTS:
        return home, _split(above)
    if (match := _WHOLE.fullmatch(file)) and match[1] in _PARTS:
        return home, _split(match[1])
    return None


def _above(name: str) -> str:
    """Return the folder that a file lies in, by its last word."""
    return name.rpartition("/")[0].rpartition("/")[2].removeprefix(_HALF)


def _lies_near(name: str) -> bool:
    """Return whether a file lies where a folder's shards are looked for."""
    match name.count("/"):
        case 0:
            return True
        case 1:
            return _above(name) in {*_PARTS, "data"}
        case 2:
            return _above(name) in _PARTS
    return False


def _turn(name: str) -> tuple[int, str]:
    """Return what shards are sorted by: their folder's part, as in `_PARTS`, and their name."""
    above = _above(name)
    return (_PARTS.index(above) if above in _PARTS else -1), name


def _split(*words: str | None) -> str:
    part = next((word for word in words if word in _PARTS), None) or ""
    return "val" if part == "dev" else part
