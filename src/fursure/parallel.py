"""An ordered, bounded, parallel map: the one way fursure keeps every core busy."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int
) -> Iterator[_Result]:
    """Yield ``work(item)`` for each item, in order, computed by ``threads`` threads.

    At most two items a thread wait at any time, so memory stays flat however many there are. The
    work must spend its time outside Python (decoding, hashing, inference), where threads run
    side by side.
    """
    with _one_blas_thread() if threads > 1 else nullcontext():
        yield from _in_order(work, iter(items), ThreadPoolExecutor(threads), threads)


def _one_blas_thread() -> AbstractContextManager[object]:
    """Hold NumPy's BLAS to one thread, for every core has a worker already.

    If it spread each small product over all of them, its threads would wait by spinning: a third
    of the photos a second, measured.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def _in_order(
    work: Callable[[_Item], _Result],
    source: Iterator[_Item],
    pool: ThreadPoolExecutor,
    threads: int,
) -> Iterator[_Result]:
    try:
        waiting: deque[Future[_Result]] = deque(
            pool.submit(work, item) for item in islice(source, 2 * threads)
        )
        while waiting:
            result = waiting.popleft().result()
            for item in islice(source, 1):
                waiting.append(pool.submit(work, item))
            yield result
    finally:  # also when the caller stops listening or is interrupted
        pool.shutdown(wait=True, cancel_futures=True)


def begun(
    items: Iterable[_Item], begin: Callable[[_Item], object], *, ahead: int = 64
) -> Iterator[_Item]:
    """Yield the items in order, after ``begin`` heard of each and of the ``ahead`` behind it."""
    waiting: deque[_Item] = deque()
    for item in items:
        begin(item)
        waiting.append(item)
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def chunked(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield lists of ``size`` consecutive items, the last one as short as it comes."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def tapered(
    items: Iterable[_Item], size: int, *, least: int, threads: int
) -> Iterator[list[_Item]]:
    """Yield lists of ``size`` consecutive items, and shorter ones at the end.

    Where so few are left that some of the ``threads`` would wait for the last, each list is half
    of a thread's share, in multiples of ``least``. To know, it looks ``size`` items a thread ahead.
    """
    source = iter(items)
    ahead = deque(islice(source, size * threads))
    while ahead:
        share = len(ahead) // (2 * threads) // least * least
        count = size if len(ahead) == size * threads else min(size, max(share, least))
        yield [ahead.popleft() for _ in range(min(count, len(ahead)))]
        ahead.extend(islice(source, size * threads - len(ahead)))
