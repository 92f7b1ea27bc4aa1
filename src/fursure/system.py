"""What only some systems have → one call for all of them, which does the next best elsewhere.

No other module asks which system this is, but for the folder of caches (`fursure.home`) and the
service's signals. What is missing is None here, under a name that a test can set.
"""

import ctypes
import errno
import mmap
import os
import stat
import sys
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

PLATFORM = sys.platform


def _library(name: str) -> ModuleType | None:
    with suppress(ImportError):
        return import_module(name)
    return None


FCNTL, MSVCRT, RESOURCE = map(_library, ("fcntl", "msvcrt", "resource"))


def lock(handle: int) -> None:
    """Lock an open file against other processes, without waiting.

    Raises:
        BlockingIOError, PermissionError: another process has it.
        OSError: neither this system nor the disk knows locks.
    """
    if FCNTL is not None:
        FCNTL.flock(handle, FCNTL.LOCK_EX | FCNTL.LOCK_NB)
    elif MSVCRT is not None:
        os.lseek(handle, 0, os.SEEK_SET)  # the same byte for everyone
        MSVCRT.locking(handle, MSVCRT.LK_NBLCK, 1)
    else:
        raise OSError(errno.ENOTSUP, "there are no locks here")


def removes_open_files() -> bool:
    """Return whether a file can be removed while somebody has it open, as on POSIX systems."""
    return PLATFORM != "win32"


def sync_folder(folder: Path) -> None:
    """Make a rename durable: the directory entry is data too (ALICE study, OSDI 2014)."""
    if PLATFORM == "win32":  # directories cannot be opened there; NTFS journals the rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def release(file: mmap.mmap) -> None:
    """Let the memory go that reading a mapped file took; what is asked for is read again."""
    if hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def trim_memory() -> None:
    """Give back to the system what was freed, where the C library is glibc, which keeps it."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def user() -> str:
    """Return what tells this user's files from others'; the same for all where there are none."""
    return str(os.getuid()) if hasattr(os, "getuid") else "user"


def is_ours_alone(folder: Path) -> bool:
    """Return whether ``folder`` is one, of this user, that no other may write to."""
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode):
        return False
    return not hasattr(os, "getuid") or (
        state.st_uid == os.getuid() and not state.st_mode & 0o022
    )  # on Windows a user's temporary folder is the user's own


def cores_allowed() -> int:
    """Return the cores that this process may run on; all of them where nobody can be bound."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_memory(most: int) -> None:
    """Let this process have ``most`` bytes at most, if the system can and does not allow less."""
    if RESOURCE is not None:
        with suppress(ValueError, OSError):
            RESOURCE.setrlimit(RESOURCE.RLIMIT_AS, (most, most))


def limit_computing(seconds: int) -> None:
    """End this process after ``seconds`` of a core's time, or 5 more where it does not listen."""
    if RESOURCE is not None:
        with suppress(ValueError, OSError):
            RESOURCE.setrlimit(RESOURCE.RLIMIT_CPU, (seconds, seconds + 5))


def gpu_devices() -> str:
    """Return what the system shows of graphics processors that compute; "" where there are none.

    The text changes with the devices, with NVIDIA's driver and with what is hidden from us, so that
    what was found out about them counts only as long as it stays the same.
    """
    if PLATFORM == "win32":
        return "windows"  # drivers alone know; asking them is for whoever tries one
    names = sorted(
        path.name
        for folder, pattern in (("", "nvidia[0-9]*"), ("", "dxg"), ("dri", "renderD*"))
        for path in Path("/dev", folder).glob(pattern)
    )
    if not names:
        return ""
    driver = ""
    with suppress(OSError):
        driver = Path("/proc/driver/nvidia/version").read_text().partition("\n")[0]
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return " ".join([*names, driver, hidden]).strip()


def open_files_allowed(wanted: int) -> int | None:
    """Return how many files may be open, after asking for ``wanted``; None: there is no limit."""
    if RESOURCE is None:
        return None
    soft, hard = RESOURCE.getrlimit(RESOURCE.RLIMIT_NOFILE)
    if soft < min(hard, wanted):
        soft = min(hard, wanted)
        RESOURCE.setrlimit(RESOURCE.RLIMIT_NOFILE, (soft, hard))
    return int(soft)


def open_files() -> int:
    """Return how many files are open now, roughly where the system does not say."""
    folder = Path("/proc/self/fd" if PLATFORM == "linux" else "/dev/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 16  # noqa: PTH208


def read_at(file: BinaryIO, offset: int, size: int, turn: AbstractContextManager[object]) -> bytes:
    """Return ``size`` bytes from ``offset`` on, whatever other threads read meanwhile.

    They take turns by ``turn`` where the system has one position a file and no more.
    """
    if hasattr(os, "pread"):
        data: bytes = os.pread(file.fileno(), size, offset)
        return data
    with turn:
        file.seek(offset)
        return file.read(size)
