"""A listening socket → connections, and none where no descriptor is left for one.

asyncio's own way, where there is none left, is to try again 512 times, to log each, and to plan
512 more for a second later: a log of gigabytes, and at last no service.
"""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fursure.connections.admission import SPARE
from fursure.connections.limits import ServiceLimits

_KEPT = SPARE + 16  # descriptors for connections that are turned away, models, reports, threads
USED_UP = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE = 0.1  # seconds until the next try where they are used up
_WANTED = 4_096  # descriptors, where the system lets us have them


def within_descriptors(limits: ServiceLimits, say: Callable[[str], None]) -> ServiceLimits:
    """Return limits with no more connections than this process may open; say so if it is fewer."""
    if sys.platform == "win32":  # no such limit there
        return limits
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, _WANTED):
        soft = min(hard, _WANTED)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = max(1, soft - _open_now() - _KEPT)
    if room >= limits.connections:
        return limits
    say(f"no more than {room} connections at once: {soft} open files are allowed (ulimit -n)")
    return replace(limits, connections=room)


def _open_now() -> int:
    folder = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 16  # noqa: PTH208


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
