"""Chunks of work → their results, in order and each exactly once, whichever workers are lost."""

import heapq
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from fursure.errors import ClusterFailed

_AHEAD = 4  # results kept for each one under way, while the one that is next is waited for
MOST_LOST = 8  # workers that one chunk may lose; more is no accident
_WAIT = 1.0  # seconds until new workers are looked for

_Item = TypeVar("_Item")


class WorkerLost(Exception):  # never leaves this room
    """A worker ended before its result was here; its chunk is done by another."""


class Crew(Protocol):
    """Whoever does the work: a Ray cluster, or threads in tests."""

    def room(self) -> int:
        """Return how many chunks may be under way now; it changes as workers come and go."""
        ...

    def give(self, item: Any) -> Hashable:
        """Let a worker begin with ``item``, and return what its result is asked for by."""
        ...

    def finished(self, tickets: list[Any], wait: float) -> list[Any]:
        """Return the tickets whose work has ended, after ``wait`` seconds at most.

        Raises:
            ClusterFailed: there are no workers, and none came in time.
        """
        ...

    def result(self, ticket: Any) -> Any:
        """Return the result of work that has ended.

        Raises:
            WorkerLost: the worker is gone.
        """
        ...


def exactly_once(crew: Crew, items: Iterable[_Item]) -> Iterator[Any]:
    """Yield the result of each item, in order.

    Only so much is taken from ``items`` as the crew has room for, and a few results wait for the
    slowest, so memory stays flat however many items there are. A lost worker's chunk is given to
    another, before any new one; a result that comes twice is not asked for.

    Raises:
        ClusterFailed: one chunk lost every worker that tried it, or no workers are left.
    """
    yield from _Order(crew, items).results()


class _Order:
    """What was taken, what is under way, and what waits for its turn."""

    def __init__(self, crew: Crew, items: Iterable[_Item]) -> None:
        self._crew, self._source = crew, enumerate(items)
        self._items: dict[int, Any] = {}  # taken, and their results not here yet
        self._under_way: dict[Any, int] = {}  # by ticket
        self._again: list[int] = []  # a heap: what was lost, the first ones first
        self._done: dict[int, Any] = {}
        self._lost: Counter[int] = Counter()
        self._next = 0

    def results(self) -> Iterator[Any]:
        """Yield the results in order."""
        while True:
            self._fill()
            if self._next in self._done:
                yield self._done.pop(self._next)
                self._next += 1
            elif self._items or self._take():
                self._gather()
            else:
                return

    def _fill(self) -> None:
        """Give out what there is room for."""
        room = self._crew.room()
        while len(self._under_way) < room:
            if not self._again and (len(self._done) >= _AHEAD * room or not self._take()):
                return
            number = heapq.heappop(self._again)
            self._under_way[self._crew.give(self._items[number])] = number

    def _take(self) -> bool:
        """Take one more item; it waits among those to be given out."""
        for number, item in self._source:
            self._items[number] = item
            heapq.heappush(self._again, number)
            return True
        return False

    def _gather(self) -> None:
        """Wait for results; what was lost with a worker is to be done again."""
        for ticket in self._crew.finished(list(self._under_way), _WAIT):
            number = self._under_way.pop(ticket)
            try:
                self._done[number] = self._crew.result(ticket)
                del self._items[number]
            except WorkerLost as error:
                self._lost[number] += 1
                if self._lost[number] >= MOST_LOST:
                    raise ClusterFailed(
                        f"{MOST_LOST} workers in turn ended over the same photos ({error}); "
                        "look whether the nodes have memory enough, and run the command again: "
                        "it continues."
                    ) from None
                heapq.heappush(self._again, number)
