"""What the user pointed at → photos, one by one: files, folders, globs, archives, stdin.

What is named is tried by its content, whatever its ending, and what cannot be read is a photo
with its reason: one bad argument never costs the answers to the others.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fursure.commands.name_list import NameList
from fursure.dataset.layout import iter_photos
from fursure.dataset.listing import PhotoInside, Source
from fursure.dataset.naming import is_system_folder
from fursure.dataset.sources import holds_photos, is_camera_raw, open_source
from fursure.engine.predictor import Named
from fursure.errors import BadImage, FursureError
from fursure.photos.decode import LIMITS
from fursure.remote.place import remote_place, shown_place
from fursure.webdataset import shard_names

LOST = ("unreadable folder", "broken link")  # passed over although there may have been photos


def announce_photo(named: Named) -> None:
    """Have a photo fetched that will be asked for soon, if it lies elsewhere."""
    _, photo = named
    if isinstance(photo, PhotoInside):
        photo.source.expect(photo.name)


@dataclass(slots=True)
class Photos:
    """The photos behind a command line's arguments, found as they are read.

    What is told of them is complete once they have all been read.
    """

    inputs: Sequence[str]
    stdin: BinaryIO | None = None  # read for the input "-"
    lists: Sequence[NameList] = ()  # of more inputs, which come after those
    count: int = 0  # photos so far, those that cannot be read included
    passed_over: Counter[str] = field(default_factory=Counter)  # files in folders, by kind
    notes: list[str] = field(default_factory=list)  # on how an archive or a table was read
    without: list[str] = field(default_factory=list)  # inputs in which there was no photo

    @property
    def read_once(self) -> bool:
        """Return whether a second look would find something else: standard input is gone then."""
        return "-" in self.inputs or any(names.read_once for names in self.lists)

    @property
    def all_good(self) -> bool:
        """Return whether each input had photos, and every entry of a folder could be looked at."""
        return not self.without and not any(self.passed_over[kind] for kind in LOST)

    def opened_on(self, stack: ExitStack) -> Iterator[Named]:
        """Yield every photo; what must be open to read it closes with ``stack``."""
        for written in self.inputs:
            for name in _expanded(written):
                yield from self._counted(name, stack)
        for names in self.lists:
            before = self.count
            for name in names.names(self.stdin):
                # as it stands there: no glob, and no standard input
                yield from self._counted("./-" if name == "-" else name, stack)
            if self.count == before:
                self.without.append(names.shown)

    def _counted(self, name: str, stack: ExitStack) -> Iterator[Named]:
        """Yield the photos behind one name, and note where there is none."""
        before = self.count
        for photo in self._behind(name, stack):
            self.count += 1
            yield photo
        if self.count == before:
            self.without.append(shown_place(name))

    def _behind(self, name: str, stack: ExitStack) -> Iterator[Named]:
        path = Path(name)
        if remote_place(name) is not None:
            yield from self._inside(name, stack)
        elif name == "-":
            yield name, self._from_stdin()
        elif is_camera_raw(path):
            yield name, BadImage(name, f"a camera's raw file ({path.suffix}); save it as JPEG")
        elif not holds_photos(path):
            yield name, path
        elif is_system_folder(path.name):  # a star named it, not a person
            self.passed_over[path.name] += 1
        else:
            yield from self._inside(name, stack)

    def _from_stdin(self) -> bytes | BadImage:
        if self.stdin is None:
            return BadImage("-", "standard input is closed; pipe a photo into it, or name a file")
        try:
            return self.stdin.read(LIMITS.bytes + 1)
        except OSError as error:
            return BadImage("-", f"standard input cannot be read: {error.strerror}")

    def _inside(self, name: str, stack: ExitStack) -> Iterator[Named]:
        """Yield the photos of a folder, an archive or a table; why there are no more is one too."""
        try:
            source = stack.enter_context(open_source(name))
            for member in iter_photos(source, self.passed_over):
                photo = PhotoInside(source=source, name=member, limit=LIMITS.bytes)
                yield _shown(name, source, member), photo
            self.notes += source.notes
        except FursureError as error:
            name = shown_place(name)
            yield name, BadImage(name, str(error).removeprefix(f"{name} "))


def _expanded(written: str) -> Iterator[str]:
    """Yield what a glob or a row of shards stands for, once; what is there stands for itself.

    What a glob finds is taken literally: a broken link, or a name with brackets, is no glob.
    """
    if remote_place(written) or shard_names(written):
        yield from shard_names(written) or [written]
        return
    if written == "-" or os.path.lexists(written) or not glob.has_magic(written):
        yield written
        return
    paths = sorted(glob.glob(written, recursive=True))  # noqa: PTH207 - absolute ones too
    if "**" in written:  # it names each folder and then what is in it
        paths = [path for path in paths if not os.path.isdir(path)]  # noqa: PTH112 - never raises
    yield from paths or [written]


def _shown(name: str, source: Source, member: str) -> str:
    """Return how a photo of a source is named: reachable from here, or ``archive!member``."""
    if remote_place(name) is not None:
        return str(source.root / member)
    if source.prefix:
        return str(Path(name).parent / member) if Path(name).parent != Path() else member
    return os.path.join(name, member) if Path(name).is_dir() else str(source.root / member)  # noqa: PTH118
