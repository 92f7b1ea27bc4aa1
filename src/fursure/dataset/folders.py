"""A folder, or a single photo in it → names and bytes."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import final

from fursure.dataset.listing import Source
from fursure.dataset.naming import is_system_folder
from fursure.errors import BadData, BadImage
from fursure.remote.place import AnyPlace


@final
class Folder(Source):
    """A folder of files, or just ``only`` that one of them.

    ``anywhere``: a name may lead out of the folder, because the user wrote it himself.
    """

    prefix = ""

    def __init__(self, root: Path, *, only: str | None = None, anywhere: bool = False) -> None:
        self._folder, self._only, self._anywhere = root, only, anywhere
        self.root: AnyPlace = root
        self.path: AnyPlace = root / only if only else root

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:
        """Yield files and folders; holds the entries of the open folders only.

        Links to files are followed. A linked folder is entered only where nothing was listed
        from it before, so loops end and forests of links stay finite.
        """
        if self._only:
            yield self._only
            return
        skipped = Counter() if skipped is None else skipped
        seen = {_identity(self._folder)}
        stack = [("", iter(_listed(self._folder)))]
        while stack:
            folder, entries = stack[-1]
            if (entry := next(entries, None)) is None:
                stack.pop()
            elif (kind := _kind(entry)) == "file":
                yield folder + entry.name
            elif kind == "folder":
                try:
                    identity, inside = _identity(entry.path), _listed(entry.path)
                except BadData:
                    skipped["unreadable folder"] += 1
                    continue
                if entry.is_symlink() and identity in seen:
                    skipped["link to a folder listed already"] += 1
                    continue
                seen.add(identity)
                yield f"{folder}{entry.name}/"
                stack.append((f"{folder}{entry.name}/", iter(inside)))
            else:
                skipped[kind] += 1

    def has(self, name: str) -> bool:
        """Return whether a regular file of that name lies in the folder."""
        return not self._refused(name) and os.path.isfile(self._folder / name)  # noqa: PTH113 - never raises

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a regular file, which may have changed since it was listed."""
        if self._refused(name):
            raise BadImage(name, "the path leaves the folder")
        try:
            with open(self._folder / name, "rb", opener=_without_waiting) as file:
                state = os.fstat(file.fileno())
                if not stat.S_ISREG(state.st_mode):
                    raise BadImage(name, "not a regular file")
                # A file that grows meanwhile is not chased: one byte more tells.
                data = file.read(min(state.st_size, limit) + 1)
        except FileNotFoundError:
            raise BadImage(name, "file is missing") from None
        except OSError as error:
            raise BadImage(name, f"cannot be read: {error.strerror}") from None
        if len(data) > limit:
            raise BadImage(name, f"larger than {limit:,} bytes")
        return data

    def _refused(self, name: str) -> bool:
        return "\0" in name or (not self._anywhere and _leaves(name))


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that took its place would else wait for somebody to write."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _leaves(name: str) -> bool:
    """Return whether ``name`` would lead out of the folder, by this system's rules."""
    path = Path(name)
    return path.is_absolute() or bool(path.drive) or ".." in path.parts


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "file", "folder", or under which name what is not to be opened is counted."""
    try:
        if entry.is_dir():
            if is_system_folder(entry.name):
                return entry.name
            return "hidden folder" if entry.name.startswith(".") else "folder"
        if entry.is_file():
            return "file"
        return "broken link" if entry.is_symlink() else "not a regular file"
    except OSError:
        return "broken link"  # a link that leads to itself


def _listed(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BadData(
            f"{folder} cannot be listed ({error.strerror}); it must be a folder you may read."
        ) from None


def _identity(folder: Path | str) -> tuple[int, int]:
    try:
        state = os.stat(folder)  # noqa: PTH116 - no Path a folder, this runs for each of thousands
    except OSError as error:
        raise BadData(f"{folder} cannot be read ({error.strerror}).") from None
    return state.st_dev, state.st_ino
