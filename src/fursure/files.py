"""Where fursure keeps its own files, and writes that happen wholly or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def home() -> Path:
    """Return the folder of caches and converted backbones: ``FURSURE_HOME`` or the user's cache."""
    if chosen := os.environ.get("FURSURE_HOME"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fursure"


def offline() -> bool:
    """Return whether the user forbade the network (``FURSURE_OFFLINE`` or ``HF_HUB_OFFLINE``)."""
    chosen = (os.environ.get(name, "") for name in ("FURSURE_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.lower() not in {"", "0", "false", "no"} for value in chosen)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` only once it is complete and on disk.

    An interrupted or failed write leaves ``path`` as it was and no temporary file behind.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())  # mkstemp made it private
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # a failed write does not say which file it was
        raise
    _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder of our own; one that is gone already is fine."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: the directory entry is data too (ALICE study, OSDI 2014)."""
    if os.name == "nt":  # directories cannot be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
