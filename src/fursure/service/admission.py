"""Who may come in: connections and requests counted by address, before any of them is read."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fursure.service.limits import Limits
from fursure.service.memory import Memory
from fursure.service.problems import Problem, busy

REMEMBERED = 10_000  # addresses whose buckets are kept
BURST = 2.0  # seconds of its rate that an address may save up


@dataclass(slots=True)
class Refused:
    """How often a request or a connection was turned away, by reason."""

    reasons: dict[str, int] = field(default_factory=dict)

    def __call__(self, reason: str) -> None:
        """Count one."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Admission:
    """The door: it knows who is inside, who came how often, and whether there is room."""

    def __init__(
        self, limits: Limits, full: Callable[[str], int | None], memory: Memory | None = None
    ) -> None:
        self.limits = limits
        self.memory = memory or Memory(limits.memory, limits.memory_share)
        self._full = full  # how many wait where an address has no room for more, else None
        self.refused = Refused()
        self.inside: dict[str, int] = {}  # connections by address
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, when

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

    def ask(self, address: str) -> Problem | None:
        """Return why a request for answers is refused now, or None."""
        if self.limits.rate and not self._token(address):
            self.refused("rate")
            detail = f"more than {self.limits.rate:g} requests a second; slow down."
            return Problem(429, detail, retry_after=1)
        waiting = self._full(address)
        if waiting is None:
            return None
        self.refused("queue")
        return busy(waiting)

    def _token(self, address: str) -> bool:
        """Take a token from the address's bucket, which fills at its rate."""
        now, most = time.monotonic(), max(1.0, self.limits.rate * BURST)
        tokens, since = self._buckets.pop(address, (most, now))
        tokens = min(most, tokens + (now - since) * self.limits.rate)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - allowed, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed
