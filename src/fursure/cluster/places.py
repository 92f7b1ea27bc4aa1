"""Photos of this machine ↔ photos by name, which a worker on another machine opens itself.

What travels is where a photo lies, never an open file: the one seam through which every kind of
source passes. A source that `open_source` opens by its name needs nothing here.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from fursure.dataset.listing import PhotoInside, Source
from fursure.dataset.sources import open_source
from fursure.errors import BadImage, FursureError
from fursure.photos.decode import LIMITS
from fursure.remote.place import RemotePath


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Where a photo lies."""

    source: str  # a folder, an archive, a table; where there is no ``member`` the photo's own file
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that could not be used already where it was listed."""

    reason: str


Sent = tuple[str, SharedPlace | Unreadable | bytes]  # a photo's name and the photo, by name
Received = tuple[str, Callable[[], bytes] | BadImage | bytes | str]


def by_name(name: str, photo: object) -> Sent:
    """Return a photo of `fursure.commands.inputs` or of a listing as it travels."""
    match photo:
        case PhotoInside(source=source, name=member):
            return name, SharedPlace(shared_name(source), member)
        case BadImage(reason=reason):
            return name, Unreadable(reason)
        case bytes():
            return name, photo
        case os.PathLike() | str():
            return name, SharedPlace(os.path.abspath(photo))  # noqa: PTH100 - no links followed
    raise TypeError(f"{name} is a {type(photo).__name__}, which has no place to be read from")


def shared_name(source: Source) -> str:
    """Return how any machine that reaches a source may name it: whole, a URL at its commit."""
    written = str(source.path.fixed if isinstance(source.path, RemotePath) else source.path)
    return written if "://" in written else os.path.abspath(written)  # noqa: PTH100 - as above


@dataclass(slots=True)
class Places:
    """The sources that a worker reads from, each opened once and kept open."""

    _sources: dict[str, Source | FursureError] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def received(self, photo: Sent) -> Received:
        """Return a photo as the engine takes it; nothing of it is read yet."""
        match photo:
            case name, SharedPlace(source, None):
                return name, source
            case name, SharedPlace(source, member):
                return name, partial(self._read, source, str(member))
            case name, Unreadable(reason):
                return name, BadImage(name, reason)
            case name, bytes(data):
                return name, data
        raise TypeError(f"{photo!r} is no photo by name")

    def _read(self, source: str, member: str) -> bytes:
        opened = self.source(source)
        if isinstance(opened, FursureError):
            raise BadImage(member, str(opened))
        return opened.read(member, LIMITS.bytes)

    def source(self, place: str) -> Source | FursureError:
        """Return the open source at ``place``, or why it cannot be opened."""
        with self._lock:
            if place not in self._sources:
                try:
                    self._sources[place] = open_source(place)
                except FursureError as error:
                    self._sources[place] = error
            return self._sources[place]
