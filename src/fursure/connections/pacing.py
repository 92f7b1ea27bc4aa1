"""The pace of a connection: who sends too much waits, who does not read is cut off.

A connection that was asked to close waits until its last byte is taken, so that a client which
reads nothing keeps its place, and the memory of its answer, for ever.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

SLOWEST = 4 * 2**10  # bytes a second that a client has to read


class Sending:
    """The clock of one connection's answers; it runs while any byte of them is not yet taken."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        transport: Transport,
        seconds: float,
        late: Callable[[], None],
    ) -> None:
        self._loop, self._transport, self._seconds, self._late = loop, transport, seconds, late
        self._timer: TimerHandle | None = None
        self._left = 0  # bytes that were not taken when the clock last struck
        transport.set_write_buffer_limits(high=0)  # hear of the first byte that has to wait

    def begin(self) -> None:
        """Note that something waits to be read."""
        self._left = self._transport.get_write_buffer_size()
        self._start(self._seconds)

    def end(self) -> None:
        """Note that all was read, or that the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hurry(self, seconds: float) -> None:
        """Give what waits only so much longer: the service is about to end."""
        if self._timer is not None:
            self._left = 0  # whatever is left then is late
            self._start(seconds)

    def _start(self, seconds: float) -> None:
        self.end()
        self._timer = self._loop.call_later(seconds, self._strike)

    def _strike(self) -> None:
        left = self._transport.get_write_buffer_size()
        if left > self._left - SLOWEST * self._seconds:
            self._late()
            self._transport.abort()
            return
        self._left = left
        self._start(self._seconds)


class Reading(FlowControl):
    """Uvicorn's switch of a connection's reading, which may be held for a while."""

    _held: TimerHandle | None = None

    def hold(self, loop: AbstractEventLoop, seconds: float) -> None:
        """Read nothing for so long, whoever asks for more."""
        if self._held is None:
            self._held = loop.call_later(seconds, self._release)
            self.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless held."""
        if self._held is None:
            super().resume_reading()

    def _release(self) -> None:
        self._held = None
        if not self._transport.is_closing():
            self.resume_reading()
