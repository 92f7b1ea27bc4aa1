"""What will be read soon → bytes already here: many requests in flight, few bytes waiting."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar, final

IN_FLIGHT = 32  # requests of one source at a time; a bucket answers in 20 to 100 ms
_MOST = 128 << 20  # bytes fetched, or being fetched, that nobody has taken yet
_Key = TypeVar("_Key")


@final
class Ahead(Generic[_Key]):
    """Fetches what was announced in that order, as far as memory allows.

    Whoever takes something that has not begun yet has it fetched at once, so nobody waits for
    room that only he could make.
    """

    def __init__(self, fetch: Callable[[_Key], bytes], size_of: Callable[[_Key], int]) -> None:
        self._fetch, self._size_of = fetch, size_of
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="fetch")
        self._lock = threading.Lock()
        self._announced: deque[_Key] = deque()
        self._begun: dict[_Key, Future[bytes]] = {}
        self._room = _MOST

    def expect(self, key: _Key) -> None:
        """Hear what will be taken, once, after all that was announced before."""
        with self._lock:
            self._announced.append(key)
            self._begin_more()

    def take(self, key: _Key) -> bytes:
        """Return what ``key`` stands for; raise what its fetching raised."""
        with self._lock:
            future = self._begun.get(key) or self._begin(key)
        try:
            return future.result()
        finally:
            with self._lock:
                if self._begun.pop(key, None) is not None:
                    self._room += self._size_of(key)
                self._begin_more()

    def close(self) -> None:
        """Fetch nothing more."""
        with self._lock:
            self._announced.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin_more(self) -> None:
        while self._announced and self._room > 0:
            key = self._announced.popleft()
            if key not in self._begun:
                self._begin(key)

    def _begin(self, key: _Key) -> Future[bytes]:
        if key in self._announced:
            self._announced.remove(key)
        self._room -= self._size_of(key)
        future = self._begun[key] = self._pool.submit(self._fetch, key)
        return future
