"""A service that answers → signs of life to systemd, which starts it anew where they stay out.

systemd names a datagram socket in NOTIFY_SOCKET and its patience in WATCHDOG_USEC (sd_notify(3),
sd_watchdog_enabled(3)). The sign comes from the event loop and only while every worker is at its
place, so that a loop that stands still and a worker that is gone both end in a new process.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

READY, ALIVE, STOPPING = b"READY=1", b"WATCHDOG=1", b"STOPPING=1"


def notify(message: bytes, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, where it asked to be told; never wait for it."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path or not hasattr(socket, "AF_UNIX"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.setblocking(False)
        link.sendto(message, "\0" + path[1:] if path.startswith("@") else path)


def interval(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return the seconds between two signs, half of systemd's patience; None: it wants none."""
    patience = environment.get("WATCHDOG_USEC", "")
    meant_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(patience) / 2e6 if patience.isdecimal() and int(patience) and meant_for_us else None


async def live(healthy: Callable[[], bool]) -> None:
    """Give a sign of life again and again, as long as all is well; until cancelled."""
    seconds = interval()
    while seconds is not None:
        if healthy():
            notify(ALIVE)
        await asyncio.sleep(seconds)
