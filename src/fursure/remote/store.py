"""A scheme → the file system of fsspec behind it, patient with servers and plain in its errors."""

import random
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar, final
from urllib.parse import unquote

from fursure.errors import MissingExtra, MissingPackage, RemoteFailed
from fursure.files import FORBIDDEN, offline
from fursure.remote.ahead import IN_FLIGHT
from fursure.remote.place import RemotePath

_Result = TypeVar("_Result")
_PACKAGES = {  # what speaks the scheme, where it is no part of the extra `cloud`
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface-hub",
}
SCHEMES = ("s3", *_PACKAGES, "http", "https")
_TRIES = 7  # with the pauses below, half a minute: longer than most servers need to come back
_PAUSE = 0.2  # seconds before the second try, twice as many before each further one
_LONGEST = 10.0  # seconds
_WAIT = 60.0  # seconds for one answer, so that a dead connection is noticed
_DEEPEST = 16  # folders below each other on a web server that lists whatever it is asked

_EXPIRED = "the credentials have expired; renew them and repeat the command, which continues"
_WRONG = "the credentials are wrong; look at AWS_ACCESS_KEY_ID and at AWS_PROFILE"
_WORDS = {  # what S3 calls it -> what to do
    "NoSuchBucket": "there is no such bucket; look at its name and at the endpoint",
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "InvalidAccessKeyId": _WRONG,
    "InvalidToken": _WRONG,
    "SignatureDoesNotMatch": _WRONG,
}
_FORBIDDEN = "no permission; the credentials need the rights to list it, and to read or write it"
_STRANGER = (
    "there are no credentials and strangers may not read it; give some by the environment or a "
    "profile, as for the provider's own tools"
)


class NoRanges(Exception):
    """A server that answers with the whole file whatever part of it is asked for."""


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """What a listing says of one file."""

    key: str  # what the file system calls it
    size: int | None  # bytes, where the server says
    version: str  # changes when the content does, as far as the server tells; "" where it does not


@final
class RemoteStore:
    """The file system that a place lies in; safe to share between threads."""

    def __init__(self, place: RemotePath) -> None:
        self.place = place
        self.is_web = place.scheme in {"http", "https"}
        self._anonymous = False
        self._files = _opened(place, anonymous=False)

    def key_of(self, place: RemotePath) -> str:
        """Return what the file system calls a place."""
        return str(self._files._strip_protocol(place.address))

    def facts(self, key: str) -> RemoteFacts | None:
        """Return what is known of one file; ``None`` of a folder.

        Raises:
            RemoteFailed: there is neither.
        """
        try:
            found = self._patiently(lambda: self._files.info(key))
        except RemoteFailed as error:
            if not self.is_web and isinstance(error.__cause__, PermissionError):
                self._patiently(lambda: self._files.ls(key))  # only its answer tells why
            raise
        return None if found["type"] == "directory" else _facts(found)

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
        return (_facts(entry) for entry in found.values() if entry["type"] == "file")

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return a file, or the bytes from ``start`` to ``end`` of it.

        Raises:
            FileNotFoundError, PermissionError: this one is gone, or is not for everybody.
            NoRanges: the server has only whole files.
            RemoteFailed: the server does not answer, however often it is asked.
        """
        data: bytes = self._patiently(
            lambda: self._files.cat_file(key, start=start, end=end), absent=True
        )
        if end is not None and len(data) > end - (start or 0):
            raise NoRanges
        return data

    def download(self, key: str, target: Path) -> None:
        """Copy a file here, from its first byte to its last."""
        self._patiently(lambda: self._files.get_file(key, str(target)))

    def upload(self, origin: Path, key: str) -> None:
        """Copy a file there; it appears when all of it is there."""
        self._patiently(lambda: self._files.put_file(str(origin), key))

    def _patiently(self, ask: Callable[[], _Result], *, absent: bool = False) -> _Result:
        """Return the answer, asked for again after failures that may pass.

        ``absent``: the caller wants to know of a file that is not there, or not for us.
        """
        for left in reversed(range(_TRIES)):
            try:
                return ask()
            except Exception as error:  # each library has a tree of its own
                if _is_unsigned(error) and not self._anonymous:
                    self._anonymous = True
                    self._files = _opened(self.place, anonymous=True)
                elif absent and _concerns_one(error):
                    raise
                elif not left or not _may_pass(error):
                    self._fail(error)
                else:
                    pause = min(_LONGEST, _PAUSE * 2 ** (_TRIES - 1 - left))
                    time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all return at once
        raise AssertionError  # the last try returns or raises

    def _fail(self, error: Exception) -> NoReturn:
        raise RemoteFailed(self.place, _why(error, self.place, self._anonymous)) from error


def store_of(place: RemotePath) -> RemoteStore:
    """Return the one store of a place for whoever is signed in to it.

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
    return opened_store(place, place.userinfo, place.address)


@lru_cache(maxsize=16)
def opened_store(place: RemotePath, _userinfo: str, _address: str) -> RemoteStore:
    """Return the store of a place; places compare without what was typed to sign in."""
    return RemoteStore(place)


def _opened(place: RemotePath, *, anonymous: bool) -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra(f"a place like {place.scheme}://", "cloud") from error
    try:
        return fsspec.filesystem(
            place.scheme,
            skip_instance_cache=True,
            use_listings_cache=False,
            **_knobs(place, anonymous=anonymous),
        )
    except ImportError as error:
        if package := _PACKAGES.get(place.scheme):
            raise MissingPackage(f"{place.scheme}://", package) from error
        raise MissingExtra(f"{place.scheme}://", "cloud") from error


def _knobs(place: RemotePath, *, anonymous: bool) -> dict[str, Any]:
    """Return what a file system is to be opened with.

    Credentials are found where each provider's own tools find them. Only we try again, so that
    each failure is waited for once.
    """
    match place.scheme:
        case "s3":
            user, _, password = place.userinfo.partition(":")
            config = {
                "retries": {"total_max_attempts": 1},
                "max_pool_connections": IN_FLIGHT,
                "read_timeout": _WAIT,
            }
            knobs: dict[str, Any] = {"config_kwargs": config}
            if anonymous:
                knobs["anon"] = True
            return knobs | ({"key": user, "secret": password} if user else {})
        case "http" | "https":
            from aiohttp import ClientTimeout

            client: dict[str, Any] = {"timeout": ClientTimeout(total=None, sock_read=_WAIT)}
            if place.userinfo:
                signed_in = b64encode(unquote(place.userinfo).encode()).decode()
                client["headers"] = {"Authorization": f"Basic {signed_in}"}
            return {"client_kwargs": client}
    return {"token": "anon"} if anonymous and place.scheme in {"gs", "gcs"} else {}


def _facts(found: dict[str, Any]) -> RemoteFacts:
    size = found.get("size")
    marks = (found.get(name) for name in ("ETag", "etag", "md5Hash", "blob_id", "mtime"))
    version = next((str(mark) for mark in marks if mark), "")
    return RemoteFacts(found["name"], None if size is None else int(size), version)


def _is_unsigned(error: Exception) -> bool:
    """Return whether there are no credentials at all; a public bucket needs none."""
    return type(error).__name__ == "NoCredentialsError"


def _concerns_one(error: Exception) -> bool:
    """Return whether an error may be of this file alone, and those of others can be read."""
    return isinstance(error, FileNotFoundError) or (
        isinstance(error, PermissionError) and _code(error) in {"AccessDenied", "403", ""}
    )


def _may_pass(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
        return False
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(status, int):
        return status >= 500 or status in {408, 425, 429}
    return type(error).__name__ not in {
        "NoCredentialsError", "ProfileNotFound", "InvalidRegionError", "ParamValidationError",
        "ValueError", "TypeError", "UnauthorizedSSOTokenError", "TokenRetrievalError",
    }  # fmt: skip


def _code(error: BaseException) -> str:
    """Return what S3 calls an error, "" where it is none of S3's."""
    response = getattr(error.__cause__, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) else ""


def _why(error: Exception, place: RemotePath, anonymous: bool) -> str:
    """Say what is wrong, and what to do, without the words that may hold a secret."""
    status, known = _status(error), _WORDS.get(_code(error))
    if known is None and isinstance(error, FileNotFoundError):
        known = "nothing lies there"
    elif known is None and (isinstance(error, PermissionError) or status in {401, 403}):
        known = _STRANGER if anonymous else _FORBIDDEN
    if known is not None:
        return known
    what = f"the server answers {status}" if status else _own_words(error, place)
    return f"{what}, also after {_TRIES} tries" if _may_pass(error) else what


def _status(error: Exception) -> int | None:
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _own_words(error: Exception, place: RemotePath) -> str:
    """Return an error's own words, unless they might repeat what must stay secret."""
    text = " ".join(str(error).split())[:200]
    secrets = [place.userinfo.partition(":")[2], place.address.removeprefix(str(place))]
    leaks = "://" in text or any(secret and secret in text for secret in secrets)
    return type(error).__name__ if leaks or not text else text
