"""A queue that takes turns: whoever sends much waits behind himself, and behind nobody else."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

SHORT = 0.005  # seconds after which nobody needs a rest
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Turns(Generic[_Item]):
    """Items by owner; one is taken from each owner in turn. Not safe between threads by itself."""

    def __init__(self) -> None:
        self._by_owner: OrderedDict[str, deque[_Item]] = OrderedDict()
        self._count = 0
        self.closed = False  # nothing more will be put in

    def __len__(self) -> int:
        """Return how many items wait."""
        return self._count

    def held(self, owner: str) -> int:
        """Return how many items of ``owner`` wait."""
        return len(self._by_owner.get(owner, ()))

    def owners(self) -> Iterable[str]:
        """Return whose items wait."""
        return self._by_owner.keys()

    def put(self, owner: str, items: Iterable[_Item]) -> None:
        """Add items behind the owner's others."""
        queue = self._by_owner.setdefault(owner, deque())
        before = len(queue)
        queue.extend(items)
        self._count += len(queue) - before

    def put_back(self, owner: str, item: _Item) -> None:
        """Return an item that was taken; its owner's turn is the next one."""
        self._by_owner.setdefault(owner, deque()).appendleft(item)
        self._by_owner.move_to_end(owner, last=False)
        self._count += 1

    def take(self, most: int) -> list[_Item]:
        """Return up to ``most`` items, one of each owner in turn."""
        taken: list[_Item] = []
        while self._count and len(taken) < most:
            owner, queue = next(iter(self._by_owner.items()))
            taken.append(queue.popleft())
            self._count -= 1
            if queue:
                self._by_owner.move_to_end(owner)
            else:
                del self._by_owner[owner]
        return taken


class Desk:
    """Where requests are read and answers written off the loop: one at a time, owners in turn.

    What is read in C keeps Python's lock to its end. Several such at once would hold the loop up
    for the sum of them; and after a long one others have the lock for as long as it had.
    """

    def __init__(self) -> None:
        self._waiting: Turns[asyncio.Future[None]] = Turns()
        self._taken = False

    async def __call__(self, owner: str, call: Callable[[], _Result]) -> _Result:
        """Return what ``call`` does, on a thread."""
        if self._taken:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.put(owner, [turn])
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # it was ours already
                    self._hand_on()
                raise
        self._taken, began = True, time.monotonic()
        try:
            return await asyncio.to_thread(call)
        finally:
            took = time.monotonic() - began
            if took < SHORT:
                self._hand_on()
            else:
                asyncio.get_running_loop().call_later(took, self._hand_on)

    def _hand_on(self) -> None:
        self._taken = False
        for turn in self._waiting.take(1):
            if turn.cancelled():
                self._hand_on()
            else:
                self._taken = True  # nobody comes in between
                turn.set_result(None)
