"""Clients that cost little: plain asyncio protocols on kept connections, and a fixed schedule."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer."""

    status: int  # 0: none came
    seconds: float  # from when it should have been sent
    answered: float  # seconds from when it was sent


def request_of(body: bytes, path: str = "/v1/predict") -> bytes:
    """Return a whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Link(asyncio.Protocol):
    """A connection with one request under way at most."""

    def __init__(self, pool: "Pool") -> None:
        self.pool, self.buffer = pool, b""
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        place = lower.find(b"content-length:")
        length = int(lower[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(int(head[9:12]))
        if b"connection: close" in lower and self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.transport = None
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(0)


class Pool:
    """Kept connections, as many as are needed at once up to ``size``."""

    def __init__(self, port: int, size: int) -> None:
        self.port, self.size, self.open = port, size, 0
        self._free: deque[Link] = deque()

    async def _link(self) -> Link | None:
        while self._free:
            link = self._free.pop()
            if link.transport is not None and not link.transport.is_closing():
                return link
            self.open -= 1
        if self.open >= self.size:
            return None
        self.open += 1
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_connection(lambda: Link(self), "127.0.0.1", self.port)
        except OSError:
            self.open -= 1
            return None
        return link

    async def ask(self, data: bytes, due: float) -> Sample:
        """Send a request, and time its answer."""
        link = await self._link()
        if link is None or link.transport is None:
            return Sample(0, time.monotonic() - due, 0.0)
        link.waiting = asyncio.get_running_loop().create_future()
        sent = time.monotonic()
        link.transport.write(data)
        status = await link.waiting
        now = time.monotonic()
        self._free.append(link)
        return Sample(status, now - due, now - sent)

    async def give_up(self, data: bytes) -> None:
        """Send a request, and leave before its answer."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(data)
            await asyncio.sleep(0.002)
            writer.transport.abort()

    def close(self) -> None:
        """Close every connection."""
        for link in self._free:
            if link.transport is not None:
                link.transport.close()


async def closed_loop(
    port: int,
    photos: Sequence[bytes],
    *,
    clients: int,
    seconds: float,
    pause: float = 0.0,
    path: str = "/v1/predict",
) -> list[Sample]:
    """Let clients ask one photo after another for a while."""
    pool, samples = Pool(port, clients), []
    data = [request_of(one, path) for one in photos]
    end = time.monotonic() + seconds

    async def client(number: int) -> None:
        place = number
        while True:
            samples.append(await pool.ask(data[place % len(data)], time.monotonic()))
            place += clients
            if time.monotonic() >= end:
                return
            if pause:
                await asyncio.sleep(pause)

    await asyncio.gather(*(client(number) for number in range(clients)))
    pool.close()
    return samples


async def open_loop(
    port: int, photos: Sequence[bytes], rate: float, seconds: float
) -> tuple[list[Sample], int]:
    """Send requests by the clock, however the service does; return the answers and how many."""
    pool, samples = Pool(port, 2_000), []
    data = [request_of(one) for one in photos]
    tasks: set[asyncio.Task[Sample]] = set()
    began, count = time.monotonic(), int(rate * seconds)

    def done(task: "asyncio.Task[Sample]") -> None:
        tasks.discard(task)
        samples.append(task.result())

    for number in range(count):
        due = began + number / rate
        late = due - time.monotonic()
        if late > 0:
            await asyncio.sleep(late)
        elif number % 64 == 0:
            await asyncio.sleep(0)
        if time.monotonic() > began + seconds:
            count = number  # the client cannot keep up: what it sent is what it sent
            break
        task = asyncio.ensure_future(pool.ask(data[number % len(data)], due))
        tasks.add(task)
        task.add_done_callback(done)
    if tasks:
        await asyncio.wait(tasks, timeout=5)
    pool.close()
    return samples, count


async def slow_clients(port: int, count: int, seconds: float) -> list[float]:
    """Drip a byte every five seconds on many connections; return how long each one lived."""

    async def drip(number: int) -> float:
        await asyncio.sleep(seconds / 4 * number / count)
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            while time.monotonic() - began < seconds:
                writer.write(b"a")
                with suppress(TimeoutError):
                    if not await asyncio.wait_for(reader.read(65536), timeout=5):
                        break
            writer.transport.abort()
        except OSError:
            pass
        return time.monotonic() - began

    return list(await asyncio.gather(*(drip(number) for number in range(count))))
