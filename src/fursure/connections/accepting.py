"""A listening socket → connections, and none where no descriptor is left for one.

asyncio's own way, where there is none left, is to try again 512 times, to log each, and to plan
512 more for a second later: a log of gigabytes, and at last no service.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import replace

from fursure.connections.admission import SPARE
from fursure.connections.limits import ServiceLimits
from fursure.system import open_files, open_files_allowed

_KEPT = SPARE + 16  # descriptors for connections that are turned away, models, reports, threads
USED_UP = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE = 0.1  # seconds until the next try where they are used up
_WANTED = 4_096  # descriptors, where the system lets us have them


def within_descriptors(limits: ServiceLimits, say: Callable[[str], None]) -> ServiceLimits:
    """Return limits with no more connections than this process may open; say so if it is fewer."""
    allowed = open_files_allowed(_WANTED)
    if allowed is None:
        return limits
    room = max(1, allowed - open_files() - _KEPT)
    if room >= limits.connections:
        return limits
    say(f"no more than {room} connections at once: {allowed} open files are allowed (ulimit -n)")
    return replace(limits, connections=room)


async def accept(
    listening: socket.socket,
    protocol: Callable[[], asyncio.Protocol],
    say: Callable[[str], None],
) -> None:
    """Let connections in until cancelled; say once if there is no more room."""
    loop, said = asyncio.get_running_loop(), False
    beginning: set[asyncio.Task[object]] = set()  # the loop itself keeps no task alive
    listening.setblocking(False)
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
            task = loop.create_task(loop.connect_accepted_socket(protocol, connection))
            beginning.add(task)
            task.add_done_callback(beginning.discard)
        except OSError as error:  # of the client's making, as a reset at once, or of ours
            if error.errno not in USED_UP:
                continue
            if not said:
                say(f"no connection can be accepted: {error.strerror}; trying again")
                said = True
            await asyncio.sleep(PAUSE)
