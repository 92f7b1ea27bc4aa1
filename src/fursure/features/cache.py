"""What was computed once for a photo, kept on disk under the digest of its bytes.

A cache is one SQLite file, safe against kill -9 and against two processes at once (write-ahead
log), so an interrupted run loses nothing it had finished.
"""

import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fursure.errors import CacheUnusable
from fursure.parallel import chunked
from fursure.photos.statistics import Facts
from fursure.splitting.scanned import Fingerprint, Vector

CachedValue = TypeVar("CachedValue")
_AT_ONCE = 500  # values a query; SQLite allows 999 marks in old versions
WAIT = 60.0  # seconds to wait for another process's write


@dataclass(frozen=True, slots=True)
class Codec(Generic[CachedValue]):
    """How one kind of value becomes bytes and comes back."""

    pack: Callable[[CachedValue], bytes]
    unpack: Callable[[bytes], CachedValue]
    even: bool = True  # all values of a cache are equally long


VECTORS: Codec[Vector] = Codec(  # half precision: a cosine moves by less than 1e-6
    lambda vector_D: vector_D.astype("<f2").tobytes(),
    lambda blob: np.frombuffer(blob, "<f2").astype(np.float32),
)
_SIZE = struct.Struct("<II")


def _fingerprint(blob: bytes) -> Fingerprint:
    width, height = _SIZE.unpack_from(blob)
    return Fingerprint(width, height, blob[_SIZE.size :])


FINGERPRINTS: Codec[Fingerprint] = Codec(
    lambda found: _SIZE.pack(found.width, found.height) + found.views, _fingerprint
)
DIGESTS: Codec[str] = Codec(bytes.fromhex, bytes.hex)
_NUMBERS = struct.Struct("<QII7f")  # bytes, width, height; levels


def _pack_facts(facts: Facts) -> bytes:
    levels = (facts.brightness, facts.contrast, facts.sharpness, *facts.border, facts.border_spread)
    return _NUMBERS.pack(facts.bytes, facts.width, facts.height, *levels) + facts.format.encode()


def _unpack_facts(blob: bytes) -> Facts:
    size, width, height, *levels = _NUMBERS.unpack_from(blob)
    brightness, contrast, sharpness, red, green, blue, spread = levels
    return Facts(
        bytes=size,
        format=blob[_NUMBERS.size :].decode(),
        width=width,
        height=height,
        brightness=brightness,
        contrast=contrast,
        sharpness=sharpness,
        border=(red, green, blue),
        border_spread=spread,
    )


FACTS: Codec[Facts] = Codec(_pack_facts, _unpack_facts, even=False)


class DiskCache(Generic[CachedValue]):
    """Values by hex digest in one SQLite file; `update` is one transaction.

    SQLite does not notice a value that a disk cut short; `many` leaves it out, so that it is
    computed anew.
    """

    def __init__(self, path: Path, codec: Codec[CachedValue]) -> None:
        self.path, self._codec = path, codec
        self._lock = threading.Lock()  # one connection, shared by the worker threads
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise CacheUnusable(path, str(error)) from error
        try:
            self._prepare()
            self._length = self._usual_length() if codec.even else None
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        try:
            self._write_ahead()
            # NORMAL may lose the last transactions to a power cut, never the file's integrity
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS entry (digest BLOB PRIMARY KEY, value BLOB NOT NULL)"
                " WITHOUT ROWID"
            )
        except (sqlite3.Error, OSError) as error:
            raise CacheUnusable(self.path, str(error)) from error

    def _usual_length(self) -> int | None:
        """Return how many bytes most of the first values have; the longer, where two are even."""
        rows = self._run(
            "SELECT length(value) FROM (SELECT value FROM entry LIMIT 1000)"
            " GROUP BY 1 ORDER BY count(*) DESC, 1 DESC LIMIT 1"
        )
        return int(rows[0][0]) if rows else None

    def _write_ahead(self) -> None:
        """Switch the file to its write-ahead log; SQLite does not wait for that lock by itself."""
        until = time.monotonic() + WAIT
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise CacheUnusable(self.path, str(error)) from error

    def many(self, digests: Iterable[str]) -> dict[str, CachedValue]:
        """Return the values held, of those asked for: one query for many."""
        values: dict[str, CachedValue] = {}
        for some in chunked(digests, _AT_ONCE):
            marks = ",".join("?" * len(some))
            rows = self._run(
                f"SELECT digest, value FROM entry WHERE digest IN ({marks})",  # noqa: S608 - marks
                tuple(map(bytes.fromhex, some)),
            )
            for digest, value in rows:
                if self._length in {None, len(value)}:
                    with suppress(ValueError, TypeError, struct.error):  # damaged
                        values[digest.hex()] = self._codec.unpack(value)
        return values

    def short_digests(self) -> NDArray[np.uint64]:
        """Return the first 8 bytes of every digest held, sorted."""
        rows = self._run("SELECT substr(digest, 1, 8) FROM entry ORDER BY digest")
        return np.frombuffer(b"".join(row[0] for row in rows), ">u8").astype(np.uint64)

    def update(self, values: Mapping[str, CachedValue], /) -> None:
        """Store many values in one transaction: all of them or none."""
        entries = [
            (bytes.fromhex(digest), self._codec.pack(value)) for digest, value in values.items()
        ]
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    self._db.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", entries)
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise CacheUnusable(self.path, str(error)) from error

    def close(self) -> None:
        """Fold the write-ahead log into the file and release it."""
        with self._lock, closing(self._db):
            pass
