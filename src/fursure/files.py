"""Writes that happen wholly or not at all, one at a time, and what the disk says of them."""

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from fursure.system import lock, removes_open_files, sync_folder

_PART = ".fursure.part"  # ends the name of a file that is being written
LEFT = re.compile(r"\..*\.[a-z0-9_]{8}" + re.escape(_PART))
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # how a disk says that it is full
FORBIDDEN = "FURSURE_OFFLINE or HF_HUB_OFFLINE forbids the network"
FRESH = 60.0  # seconds within which a part may belong to a writer that is just beginning


def offline() -> bool:
    """Return whether the user forbade the network (``FURSURE_OFFLINE`` or ``HF_HUB_OFFLINE``)."""
    chosen = (os.environ.get(name, "") for name in ("FURSURE_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.lower() not in {"", "0", "false", "no"} for value in chosen)


@contextmanager
def replacing(path: Path, *, needs: int | Callable[[], int] = 0) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` only once it is complete and on disk.

    An interrupted or failed write leaves ``path`` as it was and no temporary file behind. What a
    killed one left goes with the next write to that folder. ``needs`` is how many bytes it will
    take, where that is known, or what counts them: a full disk says so.
    """
    import tempfile  # only where a file is written: one answer starts sooner without it

    _sweep(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=_PART)
    part = Path(name)
    try:
        with naming(path, needs), os.fdopen(handle, "wb") as file:
            _is_ours(handle)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())  # mkstemp made it private
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def naming(path: Path, needs: int | Callable[[], int] = 0) -> Iterator[None]:
    """Let a write that fails say which file it was, and of a full disk how many bytes it needs."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        if error.errno in FULL and needs:
            count = needs() if callable(needs) else needs
            error.strerror = f"{error.strerror}; it needs {count:,} bytes"
        raise


def is_left(name: str) -> bool:
    """Return whether a file of that name is what a killed write of ours left."""
    return LEFT.fullmatch(name) is not None


@lru_cache(maxsize=1000)
def _sweep(folder: Path) -> None:
    """Remove, once a run, what killed writers left in ``folder``; each living one has a lock."""
    with suppress(OSError), os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if is_left(entry.name)]
        for part in left:
            with suppress(OSError):  # another run was quicker, or it is no file of this user
                _sweep_one(part)


def _sweep_one(part: Path) -> None:
    state = part.lstat()
    if not stat.S_ISREG(state.st_mode) or time.time() - state.st_mtime < FRESH:
        return
    with part.open("rb") as file:
        if not removes_open_files() or _is_ours(file.fileno()):
            part.unlink()


def _is_ours(handle: int) -> bool:
    """Return whether we hold the lock of an open file, or the disk knows no locks."""
    try:
        lock(handle)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other runs from making ``path`` meanwhile, by a lock beside it that ends with this one.

    Raises:
        BlockingIOError: another run is making it; its second argument is that run's process.
    """
    place = path.with_name(f".{path.name[:80]}.lock")
    file = _locked(place)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no file that is open
            place.unlink()
        file.close()


def _locked(place: Path) -> BinaryIO:
    while True:
        file = place.open("a+b")
        if not _is_ours(file.fileno()):
            with file:
                raise BlockingIOError(place, _owner(file))
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), place.stat()):
                with suppress(OSError):  # a full disk has room for a lock, if not for its owner
                    os.ftruncate(file.fileno(), 0)
                    os.write(file.fileno(), str(os.getpid()).encode())
                return file
        file.close()  # its owner removed it as we opened it


def _owner(file: BinaryIO) -> str:
    """Return the process that a lock belongs to, as far as it can be read."""
    with suppress(OSError):  # Windows lets nobody else read it
        file.seek(0)
        written = file.read(20).decode("ascii", "replace")
        return written if written.isdecimal() else ""
    return ""


def remove(path: Path) -> None:
    """Remove a file or a folder of our own; one that is gone already is fine."""
    import shutil  # as tempfile

    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
