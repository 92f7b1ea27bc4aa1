"""What lies in a data set: the one view of folders, tables and archives."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, final

from fursure.annotations.exports import EXPORT_SUFFIXES
from fursure.annotations.shards import COLUMNAR_SUFFIXES
from fursure.dataset.naming import ARCHIVE_SUFFIXES, TABLE_SUFFIXES, is_left_by_a_system, junk
from fursure.parallel import begun
from fursure.remote.place import AnyPlace
from fursure.rows.photo import Photo


class Source(Protocol):
    """A data set opened for reading: a folder, an archive, a table, a single photo.

    Its names are '/'-separated on every system and begin with ``prefix``, so each of them is a
    `Photo.path`. Nothing in it is ever changed, and any number of threads may read.
    """

    path: AnyPlace  # what the user named
    root: AnyPlace  # the folder its names are relative to
    prefix: str  # "archive.zip!" before the names of an archive's members, else ""
    notes: Sequence[str] = ()  # what is worth telling of it, in sentences, once it was listed

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:
        """Yield every file, and every folder with a final '/', each folder's entries sorted.

        What must never be opened (devices, unsafe names) is counted by kind in ``skipped``.
        """
        ...

    def has(self, name: str) -> bool:
        """Return whether `read` would find a regular file of that name."""
        ...

    def expect(self, name: str) -> None:  # noqa: ARG002
        """Hear that ``name`` will be read soon, once; what lies far away begins to fetch it."""
        return

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of one file.

        Raises:
            BadImage: it is gone, damaged, encrypted, no regular file, or above ``limit`` bytes.
            RemoteFailed: it lies elsewhere, and there nothing can be had any more.
        """
        ...

    def close(self) -> None:
        """Let go of what is open; nothing can be read afterwards."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def announced(source: Source, photos: Iterable[Photo]) -> Iterator[Photo]:
    """Yield photos in order, those that will be read announced to their source well before."""

    def begin(photo: Photo) -> None:
        if photo.reason is None:
            source.expect(photo.path)

    return begun(photos, begin)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoInside:
    """A photo of a source, read when it is called; where it lies can be told to others."""

    source: Source
    name: str
    limit: int  # bytes

    def __call__(self) -> bytes:
        """Return its bytes.

        Raises:
            BadImage: it cannot be read.
        """
        return self.source.read(self.name, self.limit)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a source holds, by full names."""

    photos: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    occupied: set[str] = field(default_factory=set)  # folders with a file that somebody put there
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)  # on how a table in it was read


def contents_of(source: Source) -> Contents:
    """Return what a folder or an archive holds, sorted out by name."""
    contents = Contents()
    for name in source.names(contents.skipped):
        inside = name.removeprefix(source.prefix)
        if name.endswith("/"):
            if junk(f"{inside}x") is None:
                contents.folders.add(name)
            continue
        if not is_left_by_a_system(inside.rpartition("/")[2]):
            contents.occupied.add(name[: name.rfind("/") + 1])
        if (kind := junk(inside)) is None:
            contents.photos.append(name)
            continue
        contents.skipped[kind] += 1
        if kind in TABLE_SUFFIXES | EXPORT_SUFFIXES | COLUMNAR_SUFFIXES:
            contents.tables.append(name)
        elif kind in ARCHIVE_SUFFIXES:
            contents.archives.append(name)
    return contents
