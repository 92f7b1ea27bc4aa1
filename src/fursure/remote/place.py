"""A URL → where something lies that no file system here has, without what must stay secret."""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import final

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(?:([^/@]*)@)?([^?#]*)([?#].*)?", re.DOTALL)
_WEB = {"http", "https"}


@final
class _Secret:
    """What was typed of a URL and must not be shown: ``user:password`` and the query."""

    __slots__ = ("query", "userinfo")

    def __init__(self, userinfo: str, query: str) -> None:
        self.userinfo, self.query = userinfo, query


_NONE = _Secret("", "")
# By a place as it is shown, for whoever names it again without its secret; of two different ones,
# typed by two users of one process, none.
_TYPED: dict[str, _Secret] = {}


@final
@dataclass(frozen=True, slots=True)
class Pin:
    """A repository at a branch as it was typed, and the same at the commit that is read."""

    typed: str  # datasets/ORG/NAME or datasets/ORG/NAME@BRANCH
    fixed: str  # datasets/ORG/NAME@COMMIT


@dataclass(frozen=True, slots=True, order=True)
class RemotePath:
    """A place behind a scheme, such as ``s3://bucket/photos``.

    What was typed of a password, or of a query that may be a signature, can be neither printed nor
    saved nor sent to another process, and plays no part in what place it is. Nor does a ``pin``,
    which says at which commit a repository is read.
    """

    scheme: str
    path: str  # bucket/key or host/path; a web folder keeps its final '/'
    _secret: _Secret = field(default=_NONE, repr=False, compare=False)
    pin: Pin | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Return the URL, without secrets."""
        return f"{self.scheme}://{self.path}"

    def __reduce__(self) -> tuple[type["RemotePath"], tuple[str, str, _Secret, Pin | None]]:
        """Return what may leave this process."""
        return RemotePath, (self.scheme, self.path, _NONE, self.pin)

    def __fspath__(self) -> str:
        """Return the URL, without secrets."""
        return str(self)

    def __truediv__(self, name: str) -> "RemotePath":
        """Return what lies under this place by that name."""
        return self._on_same_server(f"{self.path.rstrip('/')}/{name}")

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
        return self._on_same_server((above or self.path) + "/" * (self.scheme in _WEB))

    @property
    def userinfo(self) -> str:
        """What was typed before the @, to sign in with: never to be shown."""
        return self._secret.userinfo

    @property
    def address(self) -> str:
        """The URL as the server wants it, query and all: never to be shown."""
        return str(self) + self._secret.query

    @property
    def fixed(self) -> "RemotePath":
        """The same with the commit it is read at in its name, which any process reads alike."""
        if self.pin is None or not self.path.startswith(self.pin.typed):
            return self
        path = self.pin.fixed + self.path.removeprefix(self.pin.typed)
        return replace(self, path=path, pin=Pin(self.pin.fixed, self.pin.fixed))

    def _on_same_server(self, path: str) -> "RemotePath":
        """Return another place there, signed in to alike; a query belongs to one place."""
        return RemotePath(self.scheme, path, _Secret(self.userinfo, ""), self.pin)

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
    if not (userinfo or query):
        return replace(place, _secret=_TYPED.get(str(place), _NONE))
    secret = _Secret(userinfo or "", query or "")
    before = _TYPED.setdefault(str(place), secret)
    if (before.userinfo, before.query) != (secret.userinfo, secret.query):
        _TYPED[str(place)] = _NONE
    return replace(place, _secret=secret)


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
