"""What a listing or an answer says of one file: its size, and which version of it this is."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

_SETTLES = 60.0  # seconds


class NoRanges(Exception):
    """A server that answers with the whole file whatever part of it is asked for."""


class Changed(Exception):
    """A file that is no longer the one its listing named."""


class CutShort(Exception):
    """An answer that ended before all of it was there."""

    def __init__(self, *, got: int, wanted: int) -> None:
        super().__init__(f"the server sent {got:,} bytes instead of {wanted:,}")


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """What is known of one file before it is read."""

    key: str  # what the file system calls it
    size: int | None = None  # bytes, where the server says
    version: str = ""  # changes when the content does, as far as the server tells
    modified: str = ""  # when, in a web server's own words

    @property
    def is_strong(self) -> bool:
        """Whether equal versions of it mean equal bytes (RFC 9110, 8.8.1)."""
        return self.version.startswith('"')

    def is_settled(self, now: float) -> bool:
        """Whether it was last written a minute before ``now`` (seconds since 1970) or earlier.

        Web servers make ETags of size and time in seconds; a file written twice in one second may
        have the same one twice (RFC 9110, 8.8.2.2).
        """
        try:
            return parsedate_to_datetime(self.modified).timestamp() < now - _SETTLES
        except ValueError:  # it does not say when
            return False

    def check(self, *, size: int | None, version: str, modified: str) -> None:
        """Compare with what an answer says, as far as both say anything.

        Raises:
            Changed: it is another version.
        """
        pairs: list[tuple[object, object]] = [
            (self.size, size),
            (_comparable(self.version), _comparable(version)),
            (self.modified, modified),
        ]
        if any(known and now and known != now for known, now in pairs):
            raise Changed


def facts_of(entry: Mapping[str, Any], *, is_web: bool) -> RemoteFacts:
    """Return what one entry of a listing says.

    Some web servers say that a file has no bytes when only its headers are asked for. The hub of
    Hugging Face says what git calls the bytes, and of large files their SHA-256.
    """
    size = entry.get("size")
    size = None if size is None or (is_web and not size) else int(size)
    marks = (entry.get(name) for name in ("ETag", "etag", "md5Hash", "mtime"))
    version = next((str(mark) for mark in marks if mark), "")
    if blob := entry.get("blob_id"):
        version = f'"{(entry.get("lfs") or {}).get("sha256") or blob}"'
    modified = str(entry.get("Last-Modified") or "")
    return RemoteFacts(entry["name"], size, version, modified)


def _comparable(etag: str) -> str:
    """Return an ETag without what a server adds when only its packing differs."""
    return etag.removeprefix("W/")
