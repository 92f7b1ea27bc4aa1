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

from fursure.connections import watchdog
from fursure.connections.accepting import accept, within_descriptors
from fursure.connections.access import log_requests
from fursure.connections.admission import Admission
from fursure.connections.limits import ServiceLimits
from fursure.connections.protocol import Guard
from fursure.connections.screening import ANY_ADDRESS, Judge
from fursure.errors import BadData
from fursure.service.app import application
from fursure.service.metrics import Figures
from fursure.service.models import Models

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
STOPS = ("SIGTERM", "SIGINT", "SIGBREAK")  # the last is Windows' Ctrl-Break
BACKLOG = 512  # connections that the system keeps waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the service listens, and who may come."""

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()  # names it goes by, besides its own
    token: str | None = None  # what a client has to know; None: nothing

    @property
    def local(self) -> bool:
        """Return whether only this machine can reach it."""
        return self.host in LOOPBACK

    def names(self) -> frozenset[str]:
        """Return the names a request may ask for.

        Checking them keeps a page of another site, whose name was made to point here, from asking.
        Where other machines come in, an address serves as well: none can be made to point here.
        """
        own = {"127.0.0.1", "localhost", "[::1]", *map(str.lower, self.hosts)}
        return frozenset(own if self.local else own | {ANY_ADDRESS, socket.gethostname().lower()})


class Server(uvicorn.Server):
    """Uvicorn's server with our signals: it ends with 0 after SIGTERM, and SIGHUP swaps models."""

    on_shutdown: Callable[[], object]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield

    def connection(self) -> asyncio.Protocol:
        """Return what speaks to a connection that was accepted."""
        guard: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return guard(config=self.config, server_state=self.server_state, app_state={})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, then finish what was accepted."""
        self.on_shutdown()
        await super().shutdown(sockets)


def serve(
    models: Models,
    place: Address,
    limits: ServiceLimits,
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
    limits = within_descriptors(limits, say)
    admission = Admission(limits, models.full, models.memory)
    figures = Figures(models, admission)
    judge = Judge(admission=admission, hosts=place.names(), token=place.token)
    config = uvicorn.Config(
        cast("Any", application(models, figures, limits, publish_reports=publish_reports)),
        http=cast("Any", partial(Guard, judge=judge)),
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
    server.config.load()
    accepting = loop.create_task(accept(listening, server.connection, say))
    living = loop.create_task(watchdog.live(lambda: models.ready))
    server.on_shutdown = accepting.cancel
    watchdog.notify(watchdog.READY)
    await server.serve(sockets=[])
    watchdog.notify(watchdog.STOPPING)
    living.cancel()


def _on_signal(loop: asyncio.AbstractEventLoop, name: str, call: Callable[[], None]) -> None:
    """Call when the signal of that name comes, if this system has it."""
    number = getattr(signal, name, None)
    if number is None:
        return
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows: the handler runs between two steps of this very thread
        signal.signal(number, lambda *_: call())


def _bound(place: Address) -> socket.socket:
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


def _url(place: Address, port: int) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"http://{host}:{port}/"


def unlimited(limits: ServiceLimits) -> ServiceLimits:
    """Return limits that count no single address: for a load test from one machine."""
    return replace(limits, rate=0.0, pace=0, connections=100_000, per_address=100_000)
