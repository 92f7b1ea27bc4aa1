"""systemd hears that the service lives, and nothing once it does not."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from serving import serving

from fursure.connections import watchdog

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no systemd")


def listening(path: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.bind(str(path))
    link.settimeout(10)
    return link


def signs(link: socket.socket) -> bytes:
    """Return what is told, or nothing where nothing is."""
    try:
        return link.recv(100)
    except TimeoutError:
        return b""


@pytest.mark.long
def test_a_service_says_that_it_is_ready_and_lives_and_stops(tmp_path: Path) -> None:
    with listening(tmp_path / "notify") as link:
        patience = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        fast = ["--engine", "onnxruntime", "--threads", "1"]
        with serving(tmp_path / "log", "pets", *fast, env=os.environ | patience) as service:
            told = [link.recv(100) for _ in range(4)]
            assert sorted(set(told)) == [watchdog.READY, watchdog.ALIVE]
            service.process.send_signal(signal.SIGSTOP)  # it stands still: no sign of life
            link.settimeout(1)
            while signs(link):
                pass
            service.process.send_signal(signal.SIGCONT)
            assert link.recv(100) == watchdog.ALIVE
        last = link.recv(100)
        while last == watchdog.ALIVE:
            last = link.recv(100)
        assert last == watchdog.STOPPING


def test_a_worker_that_is_gone_ends_the_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = iter([True, True, False, False])
    with listening(tmp_path / "notify") as link:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "2000")
        with pytest.raises(RuntimeError):  # of the iterator at its end
            asyncio.run(watchdog.live(lambda: next(health)))
        link.settimeout(0.2)
        assert [link.recv(100), link.recv(100)] == [watchdog.ALIVE] * 2
        with pytest.raises(TimeoutError):
            link.recv(100)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
    ],
)
def test_without_systemd_there_are_no_signs(environment: dict[str, str]) -> None:
    assert watchdog.interval(environment) is None
    watchdog.notify(watchdog.READY, {"NOTIFY_SOCKET": "/nowhere/at/all"})  # and no error either
