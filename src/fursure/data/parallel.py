"""An ordered, bounded, parallel map: the one way fursure keeps every core busy."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, computed by ``threads`` threads.

    At most two items a thread wait at any time, so memory stays flat however many there are. The
    work must spend its time outside Python (decoding, hashing, inference), where threads run
    side by side.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: deque[Future[Result]] = deque(
            pool.submit(work, item) for item in islice(source, 2 * threads)
        )
        while waiting:
            result = waiting.popleft().result()
            for item in islice(source, 1):
                waiting.append(pool.submit(work, item))
            yield result
    finally:  # also when the caller stops listening or is interrupted
        pool.shutdown(wait=True, cancel_futures=True)


def chunked(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` consecutive items, the last one as short as it comes."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
