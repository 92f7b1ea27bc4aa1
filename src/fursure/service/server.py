"""Models and limits → a running server: it stops when asked to, and takes new models in flight."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import uvicorn

from fursure.errors import BadData
from fursure.service.access import log_requests
from fursure.service.admission import Admission
from fursure.service.app import application
from fursure.service.figures import Figures
from fursure.service.limits import Limits
from fursure.service.models import Models
from fursure.service.protocol import Guard

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
STOPS = ("SIGTERM", "SIGINT", "SIGBREAK")  # the last is Windows' Ctrl-Break
BACKLOG = 512  # connections that the system keeps waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the service listens, and who may come."""

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()  # names it goes by, besides its own
    token: str | None = None  # what a client has to know; None: nothing

    @property
    def local(self) -> bool:
        """Return whether only this machine can reach it."""
        return self.host in LOOPBACK

    def names(self) -> frozenset[str] | None:
        """Return the names a request may ask for; None: any.

        On this machine alone they are known, and checking them keeps a page of another site, whose
        name was made to point here, from asking.
        """
        if not self.local and not self.hosts:
            return None
        return frozenset({"127.0.0.1", "localhost", "[::1]", *map(str.lower, self.hosts)})


class Server(uvicorn.Server):
    """Uvicorn's server with our signals: it ends with 0 after SIGTERM, and SIGHUP swaps models."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


def serve(
    models: Models,
    place: Place,
    limits: Limits,
    *,
    say: Callable[[str], None],
    ready: Callable[[str], None],
    publish_reports: bool = False,
    access_log: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was accepted.

    ``ready`` hears the address once requests are answered. ``publish_reports`` shows visitors the
    page beside each model.

    Raises:
        BadData: the address cannot be listened on.
    """
    listening = _bound(place)
    port = listening.getsockname()[1]
    admission = Admission(limits, models.full, models.memory)
    figures = Figures(models, admission)
    guard = partial(Guard, admission=admission, hosts=place.names(), token=place.token)
    config = uvicorn.Config(
        cast("Any", application(models, figures, limits, publish_reports=publish_reports)),
        http=cast("Any", guard),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=access_log,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(limits.keep_alive),
        timeout_graceful_shutdown=int(limits.shutdown),
        backlog=BACKLOG,
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # each malformed request is a line
    if access_log:
        log_requests()
    server = Server(config)
    try:
        asyncio.run(
            _run(server, listening, models, figures, say, partial(ready, _url(place, port)))
        )
    finally:
        models.close()
        listening.close()


async def _run(
    server: Server,
    listening: socket.socket,
    models: Models,
    figures: Figures,
    say: Callable[[str], None],
    ready: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()
    models.start(loop)
    swapping = asyncio.Lock()
    tasks: set[asyncio.Task[None]] = set()

    async def swap() -> None:
        async with swapping:
            for name, problem in await asyncio.to_thread(models.swap):
                figures.swaps["refused" if problem else "taken"] += 1
                say(f"{name}: kept as it was, {problem}" if problem else f"{name}: read again")

    def on_hangup() -> None:
        task = loop.create_task(swap())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def on_stop() -> None:
        server.should_exit = True

    for name in STOPS:
        _on_signal(loop, name, on_stop)
    _on_signal(loop, "SIGHUP", on_hangup)
    loop.call_soon(ready)
    await server.serve(sockets=[listening])


def _on_signal(loop: asyncio.AbstractEventLoop, name: str, call: Callable[[], None]) -> None:
    """Call when the signal of that name comes, if this system has it."""
    number = getattr(signal, name, None)
    if number is None:
        return
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows: the handler runs between two steps of this very thread
        signal.signal(number, lambda *_: call())


def _bound(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only where the protocol is named; where it is not, the two
    # parts of an answer wait 40 ms for each other
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, _sharing(), 1)
        listening.bind((place.host, place.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        reason = error.strerror or error
        raise BadData(
            f"cannot listen on {place.host} port {place.port}: {reason}; "
            "choose another --port, or --port 0 for any that is free."
        ) from None
    return listening


def _sharing() -> int:
    """Return the option that frees a port of the connections an ended service left waiting.

    On Windows a port is free of them anyway, and SO_REUSEADDR means that another program may listen
    on it as well and take over our clients; there the option is the one that forbids it.
    """
    exclusive: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    return exclusive


def _url(place: Place, port: int) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"http://{host}:{port}/"


def unlimited(limits: Limits) -> Limits:
    """Return limits that count no single address: for a load test from one machine."""
    return replace(limits, rate=0.0, connections=100_000, per_address=100_000)
