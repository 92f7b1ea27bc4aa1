"""An archive's index → names and bytes, read in place and never unpacked to files.

Where each member lies is found out once; a read after that is one or two positional reads, which
threads do side by side. Names are only ever compared with each other, so none can lead anywhere.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, Protocol, final

from fursure.annotations.pictures import ColumnPictures
from fursure.dataset.listing import Source
from fursure.dataset.naming import tidy
from fursure.errors import BadImage
from fursure.remote.blocks import RemoteFile
from fursure.remote.place import AnyPlace
from fursure.system import read_at

ReadAt = Callable[[int, int], bytes]  # (offset, size) -> as many of these bytes as there are


class ArchiveMember(Protocol):
    """Where one file's bytes lie in an archive."""

    @property
    def size(self) -> int:
        """The size the archive declares, in bytes."""
        ...

    @property
    def span(self) -> tuple[int, int]:
        """Where its bytes begin in the archive, and how many there are, roughly."""
        ...

    def content(self, name: str, read_at: ReadAt) -> bytes:
        """Return ``size`` bytes or raise `BadImage`; never hold much more than ``size``."""
        ...


class StoredMember(NamedTuple):
    """A file whose bytes lie in another as they are."""

    start: int  # offset of its bytes
    size: int

    @property
    def span(self) -> tuple[int, int]:
        """Its bytes."""
        return self.start, self.size

    def content(self, name: str, read_at: ReadAt) -> bytes:
        """Return the bytes; there is no checksum over them."""
        data = read_at(self.start, self.size)
        if len(data) < self.size:
            raise BadImage(name, "cut off: the archive ends too early")
        return data


class RowMember(NamedTuple):
    """A picture in a table of columns; how large it is, shows when it is read."""

    pictures: ColumnPictures
    row: int

    @property
    def size(self) -> int:
        """Nothing that would be declared."""
        return 0

    @property
    def span(self) -> tuple[int, int]:
        """Nowhere: the table itself knows what to fetch next."""
        return 0, 0

    def content(self, name: str, read_at: ReadAt) -> bytes:  # noqa: ARG002 - as other members
        """Return the picture."""
        if not (data := self.pictures.read(self.row)):
            raise BadImage(name, "the row of the table has no photo in it")
        return data


@dataclass(frozen=True, slots=True)
class Index:
    """An archive's contents under tidy names; of two members with one name the later counts."""

    members: dict[str, ArchiveMember] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, member: ArchiveMember | None) -> None:
        """Note a member, or a folder where there is none, unless its name is an attack."""
        if (tidied := tidy(name)) is None:
            self.skipped["unsafe name"] += name not in {".", "./"}  # many tars begin with "./"
        elif member is None:
            self.folders.add(f"{tidied}/")
        else:
            self.skipped["name listed twice"] += tidied in self.members
            self.members[tidied] = member


@final
class Archive(Source):
    """A zip or tar file, the decompressed copy of one, or the pictures of a table."""

    def __init__(
        self, path: AnyPlace, file: BinaryIO | RemoteFile | ColumnPictures, index: Index
    ) -> None:
        self.path: AnyPlace = path
        self.root: AnyPlace = path.parent
        self.prefix = f"{path.name}!"
        self.notes = index.notes
        self._file, self._lock, self._index = file, threading.Lock(), index
        # By parts, so that a folder lists the same zipped and unzipped.
        self._names = sorted([*index.members, *index.folders], key=lambda name: name.split("/"))

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:
        """Yield the members in the order a folder would list them."""
        if skipped is not None:
            skipped.update(+self._index.skipped)
        for name in self._names:
            yield self.prefix + name

    def has(self, name: str) -> bool:
        """Return whether the archive has a file of that name."""
        return name.removeprefix(self.prefix) in self._index.members

    def expect(self, name: str) -> None:
        """Have a member's bytes fetched, where the archive lies elsewhere."""
        member = self._index.members.get(name.removeprefix(self.prefix))
        if member is not None and isinstance(self._file, RemoteFile):
            self._file.expect(*member.span)

    def mark(self, name: str) -> str | None:
        """Return what stands for a member's bytes: its name and place in a file with a mark."""
        inside = name.removeprefix(self.prefix)
        member = self._index.members.get(inside)
        whole = self._file.mark if isinstance(self._file, RemoteFile) else None
        if member is None or whole is None:
            return None
        return hashlib.sha256(f"{whole} {member.span} {inside}".encode()).hexdigest()

    def read(self, name: str, limit: int) -> bytes:
        """Return one member's bytes; its declared size decides before anything is read."""
        member = self._index.members.get(name.removeprefix(self.prefix))
        if member is None:
            raise BadImage(name, "file is missing")
        if member.size > limit:
            raise BadImage(name, f"larger than {limit:,} bytes")
        try:
            data = member.content(name, self._read_at)
        except OSError as error:
            raise BadImage(name, f"cannot be read: {error.strerror}") from None
        if len(data) > limit:
            raise BadImage(name, f"larger than {limit:,} bytes")
        return data

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def _read_at(self, offset: int, size: int) -> bytes:
        match self._file:
            case RemoteFile():
                return self._file.read_at(offset, size)
            case ColumnPictures():  # each of its members reads a row
                return b""
        return read_at(self._file, offset, size, self._lock)


@final
class Shards(Source):
    """Several archives in one folder, read one after another, as one data set."""

    prefix = ""

    def __init__(self, path: AnyPlace, root: AnyPlace, archives: Sequence[Archive]) -> None:
        self.path, self.root = path, root
        self.notes = [note for archive in archives for note in archive.notes]
        self._archives = {archive.prefix: archive for archive in archives}

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:
        """Yield the members of each archive, in the order of the archives."""
        for archive in self._archives.values():
            yield from archive.names(skipped)

    def has(self, name: str) -> bool:
        """Return whether the archive that ``name`` begins with has such a file."""
        archive = self._of(name)
        return archive is not None and archive.has(name)

    def mark(self, name: str) -> str | None:
        """Return what stands for a member's bytes, if anything does."""
        archive = self._of(name)
        return None if archive is None else archive.mark(name)

    def read(self, name: str, limit: int) -> bytes:
        """Return one member's bytes."""
        if (archive := self._of(name)) is None:
            raise BadImage(name, "file is missing")
        return archive.read(name, limit)

    def close(self) -> None:
        """Close the archives."""
        for archive in self._archives.values():
            archive.close()

    def _of(self, name: str) -> Archive | None:
        return self._archives.get(name[: name.find("!") + 1])
