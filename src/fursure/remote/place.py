"""A URL → where something lies that no file system here has, without what must stay secret."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(?:([^/@]*)@)?([^?#]*)([?#].*)?", re.DOTALL)
_SECRETS: dict[str, tuple[str, str]] = {}  # a place as shown -> user:password and query, as typed
_WEB = {"http", "https"}


@dataclass(frozen=True, slots=True, order=True)
class RemotePath:
    """A place behind a scheme, such as ``s3://bucket/photos``.

    What was typed of a password, or of a query that may be a signature, is no part of it: it is
    kept in this process's memory and can be neither printed nor saved.
    """

    scheme: str
    path: str  # bucket/key or host/path; a web folder keeps its final '/'

    def __str__(self) -> str:
        """Return the URL, without secrets."""
        return f"{self.scheme}://{self.path}"

    def __fspath__(self) -> str:
        """Return the URL, without secrets."""
        return str(self)

    def __truediv__(self, name: str) -> "RemotePath":
        """Return what lies under this place by that name."""
        place = RemotePath(self.scheme, f"{self.path.rstrip('/')}/{name}")
        return self._signed_alike(place)

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The extension with its dot, "" for none."""
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> "RemotePath":
        """What this lies in; a bucket lies in itself."""
        above, _, _ = self.path.rstrip("/").rpartition("/")
        place = RemotePath(self.scheme, (above or self.path) + "/" * (self.scheme in _WEB))
        return self._signed_alike(place)

    @property
    def userinfo(self) -> str:
        """What was typed before the @, to sign in with: never to be shown."""
        return _SECRETS.get(str(self), ("", ""))[0]

    @property
    def address(self) -> str:
        """The URL as the server wants it, query and all: never to be shown."""
        return str(self) + _SECRETS.get(str(self), ("", ""))[1]

    def _signed_alike(self, place: "RemotePath") -> "RemotePath":
        """Return a place on the same server, signed in to alike; a query belongs to one place."""
        if self.userinfo:
            _SECRETS.setdefault(str(place), (self.userinfo, ""))
        return place

    def absolute(self) -> "RemotePath":
        """Return itself: there is no folder it could be relative to."""
        return self


AnyPlace = Path | RemotePath


def remote_place(written: str | os.PathLike[str]) -> RemotePath | None:
    """Return the place that a URL means, ``None`` for the path of a file or a folder here."""
    if isinstance(written, RemotePath):
        return written
    if (match := _URL.fullmatch(os.fspath(written))) is None:
        return None
    scheme, userinfo, path, query = match.groups()
    place = RemotePath(scheme, path if scheme in _WEB else path.rstrip("/"))
    if userinfo or query:
        _SECRETS[str(place)] = (userinfo or "", query or "")
    return place


def place_of(written: str | os.PathLike[str]) -> AnyPlace:
    """Return the place here or elsewhere that was written."""
    return remote_place(written) or Path(written)


def place_name(place: AnyPlace) -> str:
    """Return the last part of a place, of "." the folder's own name."""
    return place.resolve().name if isinstance(place, Path) else place.name


def shown_place(written: str) -> str:
    """Return what may be printed or saved of what was written: a URL without its secrets."""
    place = remote_place(written)
    return written if place is None else str(place)
