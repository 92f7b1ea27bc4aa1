"""Many requests at once → few calls of the model: whatever waits goes together.

A worker thread takes what is there, up to a batch, and never waits for more: an idle service adds
no delay, and under load batches grow by themselves. What waited too long, or whose client is gone,
is dropped before any work is done on it. Every item gets one answer.

Who sends items matters: owners take turns, and each has a share of the queue. What is heavy goes
through a lane of its own, one at a time, so that it never holds every worker. Where several owners
are about, batches are short and less counts as heavy: nobody waits long for another's.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Generic, TypeVar

from fursure.connections.problems import Problem, busy
from fursure.connections.turns import Turns

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

_SMOOTHING = 0.1  # weight of the last batch in the measured rate
LASTS = 0.06  # seconds that a batch may take, as whoever comes next has to wait for it
HEAVY = 16 * 2**20  # weight that a batch may have, and an item outside the heavy lane
HEAVY_BESIDE = HEAVY // 4  # of an item, where several owners are about: 40 ms of decoding
BATCH_BESIDE = HEAVY // 16  # of a batch of several, there
COMPANY = 60.0  # seconds that an owner counts as being about
NICER = 10  # how much less of a core the heavy lane gets than whatever else wants it
ENDING = 5.0  # seconds that closing waits for workers, beyond the deadline


@dataclass(slots=True, eq=False)
class _Ticket(Generic[_Item, _Answer]):
    """An item on its way, and who waits for it."""

    item: _Item
    until: float  # monotonic seconds
    gone: Callable[[], bool]  # whether nobody waits any more
    future: "asyncio.Future[_Answer]"
    owner: str = ""
    weight: int | None = None  # not known yet
    result: _Answer | None = None
    error: Exception | None = None


@dataclass(slots=True)
class BatchFigures:
    """What a batcher has done, for `/metrics`."""

    batches: int = 0
    items: int = 0
    expired: int = 0
    cancelled: int = 0
    failed: int = 0
    rate: float = 0.0  # items a second of one worker, lately; 0 before the first batch
    sizes: dict[int, int] = field(default_factory=dict)


class Batcher(Generic[_Item, _Answer]):
    """Workers that answer items by ``call``, several at a time."""

    def __init__(
        self,
        call: Callable[[Sequence[_Item]], Sequence[_Answer]],
        *,
        size: int,
        workers: int,
        deadline: float,
        queued: float,
        least: int,
        weigh: Callable[[_Item], int] = lambda _: 0,
        call_heavy: Callable[[Sequence[_Item]], Sequence[_Answer]] | None = None,
        charge: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._weigh, self._charge = weigh, charge
        self._call, self._call_heavy = call, call_heavy or call
        self.size, self.deadline = size, deadline
        self.beside = size  # items of a batch where several owners are about
        self.floor = 1  # items that take hardly longer than one: no batch is kept smaller
        self._last = "", -COMPANY  # who submitted items, and when
        self._company_until = 0.0
        self._queued, self._least, self._workers = queued, least, workers
        self._waiting: Turns[_Ticket[_Item, _Answer]] = Turns()
        self._heavy: Turns[_Ticket[_Item, _Answer]] = Turns()
        self._ready = Condition()
        self.busy = 0  # workers that are computing
        self.figures = BatchFigures()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            Thread(target=self._work, name=f"fursure-worker-{n}", daemon=True)
            for n in range(workers)
        ]
        self._lane = Thread(target=self._work_heavy, name="fursure-heavy", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to answer, on ``loop``."""
        self._loop = loop
        for thread in (*self._threads, self._lane):
            thread.start()

    @property
    def healthy(self) -> bool:
        """Return whether every worker is at its place."""
        workers = (*self._threads, self._lane)
        return not self._waiting.closed and all(thread.is_alive() for thread in workers)

    @property
    def waiting(self) -> int:
        """Return how many items wait."""
        return len(self._waiting) + len(self._heavy)

    @property
    def room(self) -> int:
        """Return how many items may wait: so much work as is done in the time allowed."""
        return max(self._least, int(self.figures.rate * self._workers * self._queued))

    def full(self, owner: str = "") -> bool:
        """Return whether ``owner``'s share of the room is taken: as much as any other's."""
        with self._ready:
            owners = {owner, *self._waiting.owners(), *self._heavy.owners()}
            waiting = self._waiting.held(owner) + self._heavy.held(owner)
        return waiting >= self.room // len(owners)

    async def submit(
        self,
        items: Sequence[_Item],
        gone: Callable[[], bool] = lambda: False,
        *,
        owner: str = "",
    ) -> list[_Answer]:
        """Return the answers to ``items``, in order.

        Raises:
            Problem: too much is waiting, the deadline passed, or the model failed.
        """
        if not items:
            return []
        if self._waiting.closed:
            raise Problem(503, "the service is shutting down.", retry_after=5)
        # room for the first of several photos is enough: a large request would never find more
        if self.full(owner):
            raise busy(self.waiting)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        self._notice(owner, now)
        until = now + self.deadline * max(1.0, len(items) / max(1, self._least))
        tickets = [_Ticket(item, until, gone, loop.create_future(), owner) for item in items]
        with self._ready:
            self._waiting.put(owner, tickets)
            self._ready.notify_all()  # the lane waits here, too
        answers = []
        try:
            for ticket in tickets:
                answers.append(await ticket.future)  # noqa: PERF401 - its frame keeps a ticket
        finally:
            for ticket in tickets:
                if ticket.future.done():
                    if not ticket.future.cancelled():
                        ticket.future.exception()  # seen: of several, the first one is raised
                else:
                    ticket.future.cancel()
            # An error's traceback holds this frame, and a ticket its error: in such a ring photos
            # would lie until the collector comes by, which may be never.
            tickets.clear()
            del ticket
        return answers

    def _notice(self, owner: str, now: float) -> None:
        last, when = self._last
        if owner != last and now - when < COMPANY:
            self._company_until = now + COMPANY
        self._last = owner, now

    @property
    def crowded(self) -> bool:
        """Return whether several owners were about lately."""
        return time.monotonic() < self._company_until

    def close(self) -> None:
        """Answer what waits, then stop."""
        until = time.monotonic() + self.deadline + ENDING
        for turns, threads in ((self._waiting, self._threads), (self._heavy, [self._lane])):
            with self._ready:
                turns.closed = True
                self._ready.notify_all()
            for thread in threads:
                if thread.is_alive():
                    thread.join(timeout=max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (batch := self._take(self._waiting, self._most())) is not None:
            self._finish(self._light(batch), self._call)
            del batch  # its photos would stay until the next batch comes

    def _most(self) -> int:
        """Return how many items a batch may have: a slow model's are smaller.

        Never fewer than take hardly longer than one: an engine that fills up its batches would be
        the slower, and its batches the smaller, the slower it looked.
        """
        rate, size = self.figures.rate, self.beside if self.crowded else self.size
        return max(self.floor, min(size, int(rate * LASTS))) if rate else size

    def _work_heavy(self) -> None:
        if sys.platform == "linux":  # elsewhere that is the whole process's
            os.nice(NICER)
        while (batch := self._take(self._heavy, 1)) is not None:
            self._finish(batch, self._call_heavy)
            del batch

    def _take(
        self, turns: Turns[_Ticket[_Item, _Answer]], most: int
    ) -> list[_Ticket[_Item, _Answer]] | None:
        with self._ready:
            while not turns:
                if turns.closed:
                    return None
                self._ready.wait()
            return turns.take(most)

    def _light(self, batch: Sequence[_Ticket[_Item, _Answer]]) -> list[_Ticket[_Item, _Answer]]:
        """Return so much of a batch as is light; what is heavy changes the lane, the rest waits."""
        light: list[_Ticket[_Item, _Answer]] = []
        heavy: list[_Ticket[_Item, _Answer]] = []
        later: list[_Ticket[_Item, _Answer]] = []
        weight, crowded = 0, self.crowded
        for ticket in batch:
            own = ticket.weight = (
                self._weigh(ticket.item) if ticket.weight is None else ticket.weight
            )
            if own > (HEAVY_BESIDE if crowded else HEAVY):
                heavy.append(ticket)
            elif light and weight + own > (BATCH_BESIDE if crowded else HEAVY):
                later.append(ticket)
            else:
                light.append(ticket)
                weight += own
        if heavy or later:
            with self._ready:
                for ticket in heavy:  # its own sender's others are no reason to give it up
                    ticket.until += self.deadline * (1 + self._heavy.held(ticket.owner))
                    self._heavy.put(ticket.owner, [ticket])
                for ticket in reversed(later):
                    self._waiting.put_back(ticket.owner, ticket)
                self._ready.notify_all()
        return light

    def _finish(
        self,
        batch: Sequence[_Ticket[_Item, _Answer]],
        call: Callable[[Sequence[_Item]], Sequence[_Answer]],
    ) -> None:
        kept = [ticket for ticket in batch if self._wanted(ticket)]
        if kept:
            self._answer(kept, call)
        loop = self._loop
        if batch and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, batch)

    def _wanted(self, ticket: _Ticket[_Item, _Answer]) -> bool:
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

    def _answer(
        self,
        tickets: list[_Ticket[_Item, _Answer]],
        call: Callable[[Sequence[_Item]], Sequence[_Answer]],
    ) -> None:
        began = time.monotonic()
        self.busy += 1
        try:
            # a batch's items are decoded one after another
            with self._charge(max(ticket.weight or 0 for ticket in tickets)):
                answers = call([ticket.item for ticket in tickets])
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
        if items >= self._most() or figures.rate == 0:  # a full batch shows what it can do
            rate = items / max(seconds, 1e-6)
            figures.rate += (rate - figures.rate) * (_SMOOTHING if figures.rate else 1.0)


def _deliver(batch: Sequence[_Ticket[_Item, _Answer]]) -> None:
    for ticket in batch:
        if ticket.future.done():  # the client hung up
            continue
        if ticket.error is not None:
            ticket.future.set_exception(ticket.error)
        else:
            ticket.future.set_result(ticket.result)  # type: ignore[arg-type]
