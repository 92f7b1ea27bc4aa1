"""Who may come in: connections and requests counted by address, before any of them is read."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from fursure.connections.limits import ServiceLimits
from fursure.connections.memory import Memory
from fursure.connections.problems import Problem, busy

_REMEMBERED = 10_000  # addresses whose buckets are kept
SPARE = 16  # connections beyond all limits, for health and metrics alone
BURST = 2.0  # seconds of its rate that an address may save up
_DROPPED = 8  # what a byte that is thrown away counts: reading it brings nobody an answer


@dataclass(slots=True)
class Refusals:
    """How often a request or a connection was turned away, by reason."""

    reasons: dict[str, int] = field(default_factory=dict)

    def __call__(self, reason: str) -> None:
        """Count one."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Buckets:
    """A bucket of tokens for each address, which fills at a rate."""

    def __init__(self, rate: float, most: float) -> None:
        self.rate, self.most = rate, most  # tokens a second, and in a full bucket
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

    def take(self, address: str, count: float, *, least: float = 0.0) -> float:
        """Return what is left after taking ``count``; below ``least``, nothing was taken."""
        now = time.monotonic()
        tokens, since = self._left.pop(address, (self.most, now))
        tokens = min(self.most, tokens + (now - since) * self.rate)
        left = tokens - count
        self._left[address] = (tokens if left < least else left, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return left


class Admission:
    """The door: it knows who is inside, who came how often, and whether there is room."""

    def __init__(
        self, limits: ServiceLimits, full: Callable[[str], int | None], memory: Memory | None = None
    ) -> None:
        self.limits = limits
        self.memory = memory or Memory(limits.memory, limits.memory_share)
        self._full = full  # how many wait where an address has no room for more, else None
        self.refused = Refusals()
        self.inside: dict[str, int] = {}  # connections by address
        self._spare: OrderedDict[Callable[[], None], None] = OrderedDict()  # how each is ended
        self._requests = Buckets(limits.rate, max(1.0, limits.rate * BURST))
        self._bytes = Buckets(limits.pace, limits.pace)

    def enter(self, address: str) -> bool:
        """Let a connection in, or not."""
        count = self.inside.get(address, 0)
        if sum(self.inside.values()) >= self.limits.connections:
            self.refused("connections")
            return False
        if count >= self.limits.per_address:
            self.refused("connections of one address")
            return False
        self.inside[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """Note that a connection that was let in is gone."""
        count = self.inside.get(address, 0) - 1
        if count > 0:
            self.inside[address] = count
        else:
            self.inside.pop(address, None)

    def squeeze_in(self, end: Callable[[], None]) -> None:
        """Let a connection in that may ask how the service is; the oldest such makes room."""
        self._spare[end] = None
        if len(self._spare) > SPARE:
            oldest, _ = self._spare.popitem(last=False)
            oldest()

    def squeeze_out(self, end: Callable[[], None]) -> None:
        """Note that such a connection is gone."""
        self._spare.pop(end, None)

    def ask(self, address: str) -> Problem | None:
        """Return why a request for answers is refused now, or None."""
        if self.limits.rate and self._requests.take(address, 1) < 0:
            self.refused("rate")
            detail = f"more than {self.limits.rate:g} requests a second; slow down."
            return Problem(429, detail, retry_after=1)
        waiting = self._full(address)
        if waiting is None:
            return None
        self.refused("queue")
        return busy(waiting)

    def pause(self, address: str, size: int, *, dropped: bool) -> float:
        """Return the seconds until an address may send on after ``size`` bytes.

        Reading takes the loop's time, and refused bodies came without end at 350 MB/s. Where nobody
        else is connected, nobody is kept waiting by it.
        """
        if len(self.inside) < 2 or not self.limits.pace:
            return 0.0
        left = self._bytes.take(address, size * (_DROPPED if dropped else 1), least=-inf)
        return max(0.0, -left / self.limits.pace)
