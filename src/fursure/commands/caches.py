"""What fursure keeps under its home → rows with sizes; or nothing, once it is cleared."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fursure.files import remove
from fursure.home import KEPT, Kept, folder_for


@dataclass(frozen=True, slots=True)
class Cached:
    """A file, or a folder of files that belong together."""

    kind: str
    path: str
    megabytes: float
    entries: int  # photos, checkpoints, tables, networks or models

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def cached() -> list[Cached]:
    """Return everything that `clear` removes, from `fursure.home`."""
    return [
        Cached(kind, str(path), _size(path, *_beside(kind, path)) / 1e6, _entries(kind, path))
        for kind in KEPT
        for path in _rows(kind)
    ]


def clear(*, include_backbones: bool = False, include_models: bool = False) -> int:
    """Remove the caches, interrupted trainings included; return how many bytes that freed."""
    freed = 0
    left = {"backbones": not include_backbones, "models": not include_models}
    for kind in KEPT:
        if left.get(kind):
            continue
        for path in sorted(folder_for(kind).glob("*")):
            before = _size(path)
            remove(path)
            freed += before - _size(path)
    return freed


def _rows(kind: Kept) -> list[Path]:
    """Return what is worth a row: a training is one, and so are the notes on tables and engines."""
    folder = folder_for(kind)
    match kind:
        case "tables" | "engines":
            return [folder] if folder.is_dir() and any(folder.iterdir()) else []
        case "pixels" | "training":  # what a kill left half written too
            return sorted(folder.glob("*"))
        case "models":  # not the locks
            return sorted(folder.glob("models--*"))
        case _:
            return sorted(path for path in folder.glob("*") if path.suffix in {".sqlite", ".onnx"})


def _beside(kind: Kept, path: Path) -> list[Path]:
    """Return the files that belong to one: the logs of a database, the note on a network."""
    if kind in {"pixels", "training", "tables", "engines", "models"}:
        return []
    return [file for file in path.parent.glob(f"{path.stem}.*") if file != path and path.is_file()]


def _size(*paths: Path) -> int:
    """Return how many bytes files, and folders with all that is in them but links, have."""
    size = 0
    for path in paths:
        for file in (path, *path.rglob("*")) if path.is_dir() else (path,):
            with suppress(OSError):  # gone, or just renamed by a run that goes on
                size += file.lstat().st_size if file.is_file() and not file.is_symlink() else 0
    return size


def _entries(kind: Kept, path: Path) -> int:
    match kind:
        case "backbones":
            return 1
        case "pixels":
            return _photos(path)
        case "training":
            return len(list(path.glob("*.safetensors")))
        case "tables" | "engines":
            return len(list(path.glob("*.*")))
        case "models":
            return len(list(path.glob("snapshots/*/**/*.fursure")))
        case _:
            return _values(path)


def _photos(pixels: Path) -> int:
    with suppress(OSError, ValueError):  # cut off; `clear` removes it all the same
        return len(np.load(pixels, mmap_mode="r"))
    return 0


def _values(database: Path) -> int:
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened,
    ):
        return int(opened.execute("SELECT count(*) FROM entry").fetchone()[0])
    return 0  # locked or damaged; `clear` removes it all the same
