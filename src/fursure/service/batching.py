"""Many requests at once → few calls of the model: whatever waits goes together.

A worker thread takes what is there, up to a batch, and never waits for more: an idle service adds
no delay, and under load batches grow by themselves. What waited too long, or whose client is gone,
is dropped before any work is done on it. Every item gets one answer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Generic, TypeVar

from fursure.service.problems import Problem, busy

Item = TypeVar("Item")
Answer = TypeVar("Answer")

SMOOTHING = 0.1  # weight of the last batch in the measured rate


@dataclass(slots=True, eq=False)
class _Ticket(Generic[Item, Answer]):
    """An item on its way, and who waits for it."""

    item: Item
    until: float  # monotonic seconds
    gone: Callable[[], bool]  # whether nobody waits any more
    future: "asyncio.Future[Answer]"
    result: Answer | None = None
    error: Exception | None = None


@dataclass(slots=True)
class Figures:
    """What a batcher has done, for `/metrics`."""

    batches: int = 0
    items: int = 0
    expired: int = 0
    cancelled: int = 0
    failed: int = 0
    rate: float = 0.0  # items a second of one worker, lately; 0 before the first batch
    sizes: dict[int, int] = field(default_factory=dict)


class Batcher(Generic[Item, Answer]):
    """Workers that answer items by ``call``, several at a time."""

    def __init__(
        self,
        call: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        size: int,
        workers: int,
        deadline: float,
        queued: float,
        least: int,
    ) -> None:
        self.call = call  # replaced whole when a model is swapped
        self.size, self.deadline = size, deadline
        self._queued, self._least, self._workers = queued, least, workers
        self._waiting: deque[_Ticket[Item, Answer]] = deque()
        self._ready = Condition()
        self._closed = False
        self.busy = 0  # workers that are computing
        self.figures = Figures()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            Thread(target=self._work, name=f"fursure-worker-{n}", daemon=True)
            for n in range(workers)
        ]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer, on ``loop``."""
        self._loop = loop
        for thread in self._threads:
            thread.start()

    @property
    def healthy(self) -> bool:
        """Return whether every worker is at its place."""
        return not self._closed and all(thread.is_alive() for thread in self._threads)

    @property
    def waiting(self) -> int:
        """Return how many items wait."""
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Return how many items may wait: so much work as is done in the time allowed."""
        return max(self._least, int(self.figures.rate * self._workers * self._queued))

    def full(self) -> bool:
        """Return whether one more item would wait too long."""
        return len(self._waiting) >= self.room

    async def submit(
        self, items: Sequence[Item], gone: Callable[[], bool] = lambda: False
    ) -> list[Answer]:
        """Return the answers to ``items``, in order.

        Raises:
            Problem: too much is waiting, the deadline passed, or the model failed.
        """
        if self._closed:
            raise Problem(503, "the service is shutting down.", retry_after=5)
        # room for the first of several photos is enough: a large request would never find more
        if self.full():
            raise busy(self.waiting)
        loop = asyncio.get_running_loop()
        until = time.monotonic() + self.deadline * max(1.0, len(items) / max(1, self._least))
        tickets = [_Ticket(item, until, gone, loop.create_future()) for item in items]
        with self._ready:
            self._waiting.extend(tickets)
            self._ready.notify(len(tickets))
        try:
            return [await ticket.future for ticket in tickets]
        finally:
            for ticket in tickets:
                if ticket.future.done():
                    if not ticket.future.cancelled():
                        ticket.future.exception()  # seen: of several, the first one is raised
                else:
                    ticket.future.cancel()

    def close(self) -> None:
        """Answer what waits, then stop."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=self.deadline + 5)

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            kept = [ticket for ticket in batch if self._wanted(ticket)]
            if kept:
                self._answer(kept)
            loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, batch)

    def _take(self) -> list[_Ticket[Item, Answer]] | None:
        with self._ready:
            while not self._waiting:
                if self._closed:
                    return None
                self._ready.wait()
            count = min(self.size, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def _wanted(self, ticket: _Ticket[Item, Answer]) -> bool:
        if ticket.future.cancelled() or ticket.gone():
            self.figures.cancelled += 1
            ticket.error = Problem(503, "the client is gone.")
            return False
        if time.monotonic() > ticket.until:
            self.figures.expired += 1
            ticket.error = Problem(
                503, f"no answer within {self.deadline:g} s; try again.", retry_after=1
            )
            return False
        return True

    def _answer(self, tickets: list[_Ticket[Item, Answer]]) -> None:
        began = time.monotonic()
        self.busy += 1
        try:
            answers = self.call([ticket.item for ticket in tickets])
            for ticket, answer in zip(tickets, answers, strict=True):
                ticket.result = answer
        except Exception as error:  # one batch is lost, not the worker
            self.figures.failed += 1
            for ticket in tickets:
                ticket.error = error
        finally:
            self.busy -= 1
        self._count(len(tickets), time.monotonic() - began)

    def _count(self, items: int, seconds: float) -> None:
        figures = self.figures
        figures.batches += 1
        figures.items += items
        figures.sizes[items] = figures.sizes.get(items, 0) + 1
        if items == self.size or figures.rate == 0:  # a full batch shows what it can do
            rate = items / max(seconds, 1e-6)
            figures.rate += (rate - figures.rate) * (SMOOTHING if figures.rate else 1.0)


def _deliver(batch: Sequence[_Ticket[Item, Answer]]) -> None:
    for ticket in batch:
        if ticket.future.done():  # the client hung up
            continue
        if ticket.error is not None:
            ticket.future.set_exception(ticket.error)
        else:
            ticket.future.set_result(ticket.result)  # type: ignore[arg-type]
