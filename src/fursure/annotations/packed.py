"""Tables of photos in a zip → files in a folder: pyarrow reads no members of archives."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fursure.annotations.columnar import COLUMNAR_SUFFIXES, Shard, check_unpacked_size
from fursure.annotations.shards import shards_among
from fursure.errors import BadData

_BLOCK = 1 << 20  # bytes copied at a time


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
    shards = []
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
