"""How much the service takes on, in one place: every bound that keeps it up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What one process accepts; beyond it a request is refused, early and in words."""

    body: int = 20 * 2**20  # bytes of a request
    headers: int = 16 * 2**10  # bytes of its first line and headers
    memory: int = 384 * 2**20  # bytes of all bodies, photos being decoded and answers
    memory_share: int = 128 * 2**20  # of those, for the requests of one address
    photos: int = 64  # in one request
    receive: float = 10.0  # seconds in which a request has to have arrived, whole
    send: float = 10.0  # seconds in which a client has to read on, at 4 KiB a second
    keep_alive: float = 5.0  # seconds an idle connection stays open
    connections: int = 256
    per_address: int = 32  # connections of one address
    rate: float = 100.0  # requests a second of one address; 0 is no limit
    pace: int = 32 * 2**20  # bytes a second of one address, while others are connected too
    deadline: float = 1.0  # seconds a photo may wait for its turn
    queued: float = 0.25  # seconds of work that may wait; more is refused at once
    least_queue: int = 16  # photos that may wait however slow the model is
    shutdown: float = 10.0  # seconds for accepted requests to finish after SIGTERM
    farewell: float = 2.0  # seconds of those for what still arrives, or is not read
