"""What requests hold in memory, charged before it is taken: one sum for the whole process.

A body is charged as it arrives, its copy before it is taken apart, a photo before it is decoded.
An address has a share, and what is left at the end is kept for those who hold next to nothing, so
that nobody's bodies keep everybody else out. An answer is charged before it is written and until it
is read.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Condition

from fursure.connections.problems import Problem

SMALL_BYTES = 2**20  # bytes that an address may hold even where the rest is taken
KEPT_BYTES = 32 * 2**20  # bytes kept for such
_MAPPED = 2**19  # bytes from which memory comes from the system and goes back to it at once
ARENAS = 2  # of the C library; each keeps what was freed in it
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # mallopt(3)


def keep_nothing_freed() -> None:
    """Let large memory go back to the system when it is freed, where the C library is glibc.

    By itself it raises the size it maps to 32 MB once such a piece was freed. From then on a large
    photo lies in its heap, which keeps it, and is cleared by hand, which takes 60 ms of Python's
    lock where fresh pages are clear already.
    """
    with suppress(AttributeError, OSError, TypeError):  # another library, or another system
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, _MAPPED)
        mallopt(M_ARENA_MAX, ARENAS)


class Memory:
    """The sum, and each address's part of it; safe between threads."""

    def __init__(self, limit: int, share: int) -> None:
        self.limit, self.share = limit, share  # bytes
        self.used = 0
        self._by_address: dict[str, int] = {}
        self._freed = Condition()

    def take(self, address: str, size: int) -> None:
        """Charge ``size`` bytes.

        Raises:
            Problem: the address, or all of them together, would hold too much.
        """
        with self._freed:
            held = self._by_address.get(address, 0) + size
            if held > self.share:
                raise Problem(
                    429, "your requests hold too much at once; wait for an answer.", retry_after=1
                )
            if self.used + size > (self.limit if held <= SMALL_BYTES else self.limit - KEPT_BYTES):
                raise Problem(
                    503, "the service's memory is taken; try again in a second.", retry_after=1
                )
            self._by_address[address] = held
            self.used += size

    def give(self, address: str, size: int) -> None:
        """Note that ``size`` bytes are free again."""
        with self._freed:
            self.used -= size
            held = self._by_address.get(address, 0) - size
            if held > 0:
                self._by_address[address] = held
            else:
                self._by_address.pop(address, None)
            self._freed.notify_all()

    @contextmanager
    def decoding(self, size: int, *, wait: float) -> Iterator[None]:
        """Hold ``size`` bytes for a photo, of nobody's share; up to ``wait`` seconds pass before.

        Raises:
            Problem: there was no room in that time.
        """
        with self._freed:
            if not self._freed.wait_for(lambda: self.used + size <= self.limit, wait):
                raise Problem(
                    503, "there is no memory for so large a photo now; try again.", retry_after=1
                )
            self.used += size
        try:
            yield
        finally:
            self.give("", size)


@dataclass(slots=True)
class Account:
    """What one connection holds."""

    memory: Memory
    address: str
    held: int = 0  # bytes

    def take(self, size: int) -> None:
        """Charge ``size`` bytes until `clear`.

        Raises:
            Problem: that would be too much.
        """
        self.memory.take(self.address, size)
        self.held += size

    def clear(self) -> None:
        """Give everything back."""
        if self.held:
            self.memory.give(self.address, self.held)
            self.held = 0
