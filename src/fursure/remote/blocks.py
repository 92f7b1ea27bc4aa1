"""A file far away → what reads like one here, by ranges, while that costs less than a copy."""

import io
import tempfile
import threading
from collections import OrderedDict
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO, cast, final

from fursure.errors import RemoteFailed
from fursure.remote.ahead import Ahead
from fursure.remote.facts import Changed, NoRanges, RemoteFacts
from fursure.remote.place import RemotePath
from fursure.remote.refusals import CHANGED
from fursure.remote.store import RemoteStore
from fursure.system import read_at

_BLOCK = 1 << 20  # bytes of one request: dozens of small photos that lie side by side
_KEPT = 48  # blocks
_PART = 8 << 20  # bytes of one request of a copy
_FURTHER = 8  # blocks fetched ahead of whoever reads from one end to the other


@final
class RemoteFile:
    """A file read in blocks of a mebibyte, those kept that were read last.

    Once more bytes came by blocks than the whole file has (its members are wanted in another
    order than they lie), or where the server knows no ranges, it is copied to a temporary file.
    Threads may read at once, each at a place of its own.
    """

    def __init__(
        self, store: RemoteStore, facts: RemoteFacts, place: RemotePath | None = None
    ) -> None:
        """Read the file of those ``facts``, which messages call ``place``."""
        self.place = place or store.place
        self._store, self._facts = store, facts
        self._lock = threading.Lock()
        self._ahead: Ahead[int] = Ahead(self._fetch, lambda _block: _BLOCK)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._stack = ExitStack()
        self._copy: BinaryIO | None = None
        self._fetched = 0
        self.size = self._copy_size() if facts.size is None else facts.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on, fewer at the end; threads may ask at once.

        Raises:
            RemoteFailed: it cannot be had, or is another one by now.
        """
        end = min(self.size, offset + size)
        if self._copy is None and self._fetched > self.size + (_KEPT * _BLOCK):
            self.copied()
        if self._copy is None:
            try:
                return self._from_blocks(offset, end)
            except NoRanges:
                self.copied()
            except Changed:
                raise RemoteFailed(self.place, CHANGED) from None
        return read_at(self.copied(), offset, max(0, end - offset), self._lock)

    def expect(self, offset: int, size: int) -> None:
        """Hear that these bytes will be read soon."""
        if self._copy is None:
            for block in range(offset // _BLOCK, (min(self.size, offset + size) - 1) // _BLOCK + 1):
                if block not in self._blocks:
                    self._ahead.expect(block)

    def copied(self) -> BinaryIO:
        """Return the whole file as a temporary one here, which goes when this is closed.

        Raises:
            RemoteFailed: it cannot be had, is another one by now, or there is no room for it.
        """
        with self._lock:
            if self._copy is None:
                folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
                try:
                    self._copy_to(folder / "copy")
                except Changed:
                    raise RemoteFailed(self.place, CHANGED) from None
                except OSError as error:
                    raise RemoteFailed(
                        self.place,
                        f"its copy does not fit in {tempfile.gettempdir()} ({error.strerror}); "
                        "set TMPDIR to a disk with space",
                    ) from None
                self._copy = self._stack.enter_context((folder / "copy").open("rb"))
            return self._copy

    @property
    def mark(self) -> str | None:
        """What stands for its bytes, if its store vouches for them."""
        return self._store.mark(self._facts)

    def reader(self) -> BinaryIO:
        """Return the file as one that is read from its beginning on."""
        return cast(BinaryIO, RemoteReader(self))

    def close(self) -> None:
        """Let go of the blocks and of the copy."""
        self._ahead.close()
        self._stack.close()

    def __str__(self) -> str:
        """Return its place."""
        return str(self.place)

    def _from_blocks(self, offset: int, end: int) -> bytes:
        if offset >= end:
            return b""
        first, last = offset // _BLOCK, (end - 1) // _BLOCK
        self.expect(offset, end - offset)
        data = b"".join(self._block(block) for block in range(first, last + 1))
        return data[offset - first * _BLOCK : end - first * _BLOCK]

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number in self._blocks:
                self._blocks.move_to_end(number)
                return self._blocks[number]
        data = self._ahead.take(number)
        with self._lock:
            self._blocks[number] = data
            self._fetched += len(data)
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        return data

    def _fetch(self, number: int) -> bytes:
        return self._part_of(number, _BLOCK)

    def _part_of(self, number: int, size: int) -> bytes:
        start = number * size
        end = min(self.size, start + size)
        return self._store.read_range(self._facts, start, end, self.place)

    def _copy_to(self, target: Path) -> None:
        """Copy it by parts, several in flight, or in one piece where a server has no parts."""
        if self._facts.size is None:
            self._store.download(self._facts, target)
            return
        parts: Ahead[int] = Ahead(lambda number: self._part_of(number, _PART), lambda _part: _PART)
        with closing(parts), target.open("wb") as file:
            numbers = range(-(-self.size // _PART))
            for number in numbers:
                parts.expect(number)
            try:
                file.writelines(parts.take(number) for number in numbers)
                return
            except NoRanges:
                pass
        self._store.download(self._facts, target)

    def _copy_size(self) -> int:
        return self.copied().seek(0, io.SEEK_END)


@final
class RemoteReader(io.RawIOBase):
    """A place in a file far away, from which the next bytes are read."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file = file
        self._position, self._read_to = 0, -1

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place in it can be read."""
        return True

    def tell(self) -> int:
        """Return where the next bytes are read from."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place."""
        ends = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}
        self._position = max(0, ends[whence] + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; whoever reads on and on has those after them fetched."""
        whole = self._file.size
        data = self._file.read_at(self._position, whole if size is None or size < 0 else size)
        reads_on = self._position == self._read_to
        self._read_to = self._position = self._position + len(data)
        if reads_on:
            self._file.expect(self._position, min(_FURTHER * _BLOCK, whole - self._position))
        return data
