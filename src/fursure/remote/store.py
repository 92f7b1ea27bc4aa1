"""A place → what lies there, asked for with patience, and errors in plain words."""

import hashlib
import json
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar, final

from fursure.errors import RemoteFailed
from fursure.files import FORBIDDEN, offline
from fursure.remote.asking import Span, copy_of_web, file_of_web, object_of_s3
from fursure.remote.commits import file_of_hub, pin_of
from fursure.remote.facts import Changed, NoRanges, RemoteFacts, facts_of
from fursure.remote.opening import SCHEMES, opened_files
from fursure.remote.place import RemotePath
from fursure.remote.refusals import (
    TRIES,
    concerns_one,
    is_full_disk,
    is_unsigned,
    may_pass,
    why_refused,
)

_Result = TypeVar("_Result")
_PAUSE = 0.2  # seconds before the second try, twice as many before each further one
_LONGEST = 10.0  # seconds
_DEEPEST = 16  # folders below each other on a web server that lists whatever it is asked


@final
class RemoteStore:
    """The file system that a place lies in; safe to share between threads."""

    def __init__(self, place: RemotePath) -> None:
        self.place = place
        self.is_web, self._is_s3 = place.scheme in {"http", "https"}, place.scheme == "s3"
        self._anonymous = False
        self._files = opened_files(place, anonymous=False)

    def key_of(self, place: RemotePath) -> str:
        """Return what the file system calls a place, at the commit it is pinned to, if any."""
        return str(self._files._strip_protocol(place.fixed.address))

    def facts(self, key: str) -> RemoteFacts | None:
        """Return what is known of one file; ``None`` of a folder.

        Raises:
            RemoteFailed: there is neither.
        """
        try:
            found = self._patiently(lambda: self._files.info(key))
        except RemoteFailed as error:
            refused = isinstance(error.__cause__, OSError) and not may_pass(error.__cause__)
            if refused and not self.is_web:
                self._patiently(lambda: self._files.ls(key))  # only its answer tells why
            raise
        return None if found["type"] == "directory" else facts_of(found, is_web=self.is_web)

    def mark(self, facts: RemoteFacts) -> str | None:
        """Return, as 64 hex digits, what stands for the bytes of a file: where it lies, its ETag
        and its size. ``None``: the ETag is weak or absent, or reading is not bound to it, or it is
        a web server's for a file that was written just now.

        In a repository they are the same at whatever commit and under whatever name.
        """
        pinned = self.place.pin is not None
        if not (facts.is_strong and facts.size and (self.is_web or self._is_s3 or pinned)):
            return None
        if self.is_web and not facts.is_settled(time.time()):
            return None
        where = facts.key.partition("@")[0] if pinned else facts.key
        words = [self.place.scheme, self._endpoint, where, facts.version, facts.size]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    @cached_property
    def _endpoint(self) -> str:
        """Whose buckets these are: several providers may have one of that name."""
        if self.is_web:  # the key has its server in it
            return ""
        return str(self._sync(_endpoint_of) if self._is_s3 else self._files.endpoint)

    def exists(self, key: str) -> bool:
        """Return whether there is a file or a folder of that name."""
        try:
            self._patiently(lambda: self._files.info(key), absent=True)
        except FileNotFoundError:
            return False
        return True

    def below(self, key: str) -> Iterator[RemoteFacts]:
        """Yield every file in a folder and in the folders in it."""
        limits = {"maxdepth": _DEEPEST} if self.is_web else {}
        found = self._patiently(lambda: self._files.find(key, detail=True, **limits))
        return (
            facts_of(entry, is_web=self.is_web)
            for entry in found.values()
            if entry["type"] == "file"
        )

    def read(self, facts: RemoteFacts) -> bytes:
        """Return a whole file of many.

        Raises:
            FileNotFoundError, PermissionError: this one is gone, or is not for everybody.
            Changed: it is another one by now.
            RemoteFailed: the server does not answer, however often it is asked.
        """
        return self._patiently(lambda: self._ask(facts, None), absent=True)

    def read_range(
        self, facts: RemoteFacts, start: int, end: int, place: RemotePath | None = None
    ) -> bytes:
        """Return the bytes from ``start`` to ``end`` of a file, which messages call ``place``.

        Raises:
            Changed: it is another one by now.
            NoRanges: the server has only whole files.
            RemoteFailed: it is gone, or the server does not answer, however often it is asked.
        """
        return self._patiently(lambda: self._ask(facts, (start, end)), place=place)

    def download(self, facts: RemoteFacts, target: Path) -> None:
        """Copy a file of a web server here by one request, from its first byte to its last.

        Raises:
            Changed: it is another one by now.
            OSError: there is no room for it here.
            RemoteFailed: it cannot be had.
        """
        self._patiently(lambda: self._sync(copy_of_web, facts, target))

    def upload(self, origin: Path, key: str) -> None:
        """Copy a file there; it appears when all of it is there."""
        self._patiently(lambda: self._files.put_file(str(origin), key))

    def pinned(self) -> "RemoteStore":
        """Return the store at the commit that its branch stands for now, if it is of a repository.

        Raises:
            RemoteFailed: there is no such repository or revision, or it cannot be asked.
        """
        if self.place.scheme != "hf" or self.place.pin is not None:
            return self
        pin = self._patiently(lambda: pin_of(self._files, self.place))
        return RemoteStore(replace(self.place, pin=pin))

    def _ask(self, facts: RemoteFacts, span: Span | None) -> bytes:
        """Return a file or a range of it, all of the version that ``facts`` name."""
        match self.place.scheme:
            case "s3":
                return self._sync(object_of_s3, facts, span)
            case "http" | "https":
                return self._sync(file_of_web, facts, span)
            case "hf" if self.place.pin is not None:
                return file_of_hub(self._files, facts, span)
        start, end = span or (None, None)
        data: bytes = self._files.cat_file(facts.key, start=start, end=end)
        if span is not None:  # one answer is of one version, several need not be
            now = facts_of(self._files.info(facts.key, refresh=True), is_web=False)
            facts.check(size=now.size, version=now.version, modified="")
        return data

    def _sync(self, ask: Callable[..., Coroutine[Any, Any, _Result]], *details: object) -> _Result:
        """Wait for an answer that the file system's own loop brings."""
        from fsspec.asyn import sync

        answer: _Result = sync(self._files.loop, ask, self._files, *details)
        return answer

    def _patiently(
        self,
        ask: Callable[[], _Result],
        *,
        absent: bool = False,
        place: RemotePath | None = None,
    ) -> _Result:
        """Return the answer, asked for again after failures that may pass.

        ``absent``: the caller wants to know of a file that is not there, or not for us.
        """
        for left in reversed(range(TRIES)):
            signed = not self._anonymous  # another thread may change it meanwhile
            try:
                return ask()
            except (Changed, NoRanges):
                raise
            except Exception as error:  # each library has a tree of its own
                if is_unsigned(error) and signed:
                    if not self._anonymous:
                        self._files = opened_files(self.place, anonymous=True)
                        self._anonymous = True
                elif is_full_disk(error) or (absent and concerns_one(error)):
                    raise
                elif not left or not may_pass(error):
                    self._fail(error, place)
                else:
                    pause = min(_LONGEST, _PAUSE * 2 ** (TRIES - 1 - left))
                    time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all return at once
        raise AssertionError  # the last try returns or raises

    def _fail(self, error: Exception, place: RemotePath | None = None) -> NoReturn:
        reason = why_refused(error, self.place, self._anonymous)
        raise RemoteFailed(place or self.place, reason) from error


async def _endpoint_of(files: Any) -> str:
    return str((await files.set_session()).meta.endpoint_url)


def store_of(place: RemotePath) -> RemoteStore:
    """Return the store of a place for whoever is signed in to it, a shared one where it may be.

    Raises:
        MissingExtra, MissingPackage: nothing here speaks that scheme.
        RemoteFailed: the scheme is unknown, or the network is forbidden.
    """
    if place.scheme not in SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise RemoteFailed(
            place, f"{place.scheme}:// is no scheme fursure reads; those are {schemes}"
        )
    if not place.path.strip("/"):
        raise RemoteFailed(place, "it names no bucket and no server")
    if offline():
        raise RemoteFailed(place, f"it lies elsewhere, and {FORBIDDEN}")
    if place.scheme == "hf":  # what its library has listed once, it keeps for ever
        return RemoteStore(place)
    return opened_store(place, place.userinfo, place.address)


def pinned_place(place: RemotePath) -> RemotePath:
    """Return a place on the Hugging Face Hub at the commit of now; any other as it is.

    Raises:
        MissingExtra, MissingPackage, RemoteFailed: as `store_of`, and as `RemoteStore.pinned`.
    """
    return store_of(place).pinned().place if place.scheme == "hf" else place


@lru_cache(maxsize=16)
def opened_store(place: RemotePath, _userinfo: str, _address: str) -> RemoteStore:
    """Return the store of a place; places compare without what was typed to sign in."""
    return RemoteStore(place)
