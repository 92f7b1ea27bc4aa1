"""A model's file or folder → its members by name, bounded before they are read.

A zip file's directory is parsed only where it is as small as that of a bundle; each name has a
size limit, and no member may be larger than the file it lies in.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from fursure.stored import opened

MEMBER_LIMITS = {  # bytes; a bundle holds exactly these members, with either form of the network
    "model.onnx": 2**31 - 1,
    "model.splice": 2**24,  # the network less the weights of a data package
    "bundle.json": 2**24,  # half a kilobyte a class
    "familiar.npz": 2**26,
    "golden.npz": 2**24,
    "card.md": 2**20,
    "SHA256SUMS": 2**16,
}


def read_members(path: Path) -> dict[str, bytes]:
    """Return the members of a `.fursure` file, or of a folder with the same files.

    A pipe or a device is neither, and is not waited for.

    Raises:
        ValueError: it lacks one, or holds another or a larger one than a bundle does.
        zipfile.BadZipFile: the file is no zip.
        OSError: it cannot be read.
    """
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> dict[str, bytes]:
    # a pipe in the place of the file would otherwise hold its reader until somebody writes
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is a device or a pipe; give a .fursure file")
        with opened(file, most=len(MEMBER_LIMITS)) as archive:
            entries = archive.infolist()
            _check_names(entry.filename for entry in entries)
            for entry in entries:
                check_size(entry.filename, entry.file_size)
            return {entry.filename: archive.read(entry) for entry in entries}


def _of_folder(path: Path) -> dict[str, bytes]:
    names = sorted(path.name for path in path.iterdir())
    _check_names(names)
    members = {}
    for name in names:
        status = (path / name).lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise ValueError(f"{name} in it is a link or no plain file")
        check_size(name, status.st_size)
        members[name] = (path / name).read_bytes()
    return members


def _check_names(names: Iterable[str]) -> None:
    members = list(names)
    wanted = MEMBER_LIMITS.keys() - {"model.onnx" if "model.splice" in members else "model.splice"}
    if missing := sorted(wanted - set(members)):
        raise ValueError(f"{missing[0]} is missing; copy it again")
    if len(members) > len(wanted):
        extra = sorted(set(members) - MEMBER_LIMITS.keys()) or ["a file twice"]
        raise ValueError(f"it also holds {extra[0][:100]!r}, which no bundle has")


def check_size(name: str, size: int) -> None:
    """Refuse a member that is too large.

    Raises:
        ValueError: it is.
    """
    if size > MEMBER_LIMITS[name]:
        raise ValueError(
            f"{name} in it has {size} bytes, more than the {MEMBER_LIMITS[name]} allowed"
        )


def check_sums(members: Mapping[str, bytes], known: Mapping[str, str]) -> None:
    """Compare every member's digest with what was written; those ``known`` were computed before.

    Raises:
        ValueError: one differs.
    """
    lines = members["SHA256SUMS"].decode("ascii").splitlines()
    pairs = [line.partition("  ") for line in lines]
    sums = {name: digest for digest, _, name in pairs}
    for name in MEMBER_LIMITS.keys() - {"SHA256SUMS", "model.splice"}:
        digest = known.get(name) or hashlib.sha256(members[name]).hexdigest()
        if sums.get(name) != digest:
            raise ValueError(
                f"{name} in it is not what was written (its sha256 differs); copy it again"
            )
