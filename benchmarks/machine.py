"""Timing whole commands, and saying on what machine."""

import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

POLL = 0.01  # seconds; what a wall time may be too long by
POLL_FAMILY = 0.5  # seconds; counting shared pages costs milliseconds
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # an installed package runs from its byte code


@dataclass(frozen=True, slots=True)
class Timed:
    """One finished command."""

    wall: float  # seconds, process start to exit
    cpu: float  # seconds, user + system
    peak: float  # MB, largest resident size
    rss: tuple[float, ...]  # MB, every `POLL`
    stdout: str
    code: int
    family: float = 0.0  # MB, the most that it and its children held together, if asked for


def run(
    command: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    limit: float = math.inf,
    family: bool = False,
) -> Timed:
    """Run a command and account for it.

    Its standard error is ours, or goes to ``log``. After ``limit`` seconds it is killed with its
    children. With ``family`` the memory of children is counted too, pages they share once.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, _opened(log) as errors:
        process = subprocess.Popen(
            [str(one) for one in command],
            stdout=output,
            stderr=errors,
            env={**os.environ, **COMPILED, **(env or {})},
        )
        rss, largest = _watched(process, began + limit, family=family)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        output.seek(0)
        return Timed(
            wall,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
            tuple(rss),
            output.read(),
            process.returncode,
            largest,
        )


def _opened(log: Path | None) -> AbstractContextManager[IO[str] | None]:
    return log.open("w") if log is not None else nullcontext()


def _watched(
    process: "subprocess.Popen[bytes]", until: float, *, family: bool
) -> tuple[list[float], float]:
    """Return the process's size at every `POLL` and its family's largest, once it has ended."""
    rss, largest, counted = [], 0.0, -math.inf
    while not _ended(process):
        rss.append(_resident(process.pid))
        now = time.perf_counter()
        if now > until:
            for pid in tuple(_descent(process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if family and now > counted + POLL_FAMILY:
            largest = max(largest, sum(map(_proportional, _descent(process.pid))))
            counted = now
        time.sleep(POLL)
    return rss, largest


def _descent(pid: int) -> Iterator[int]:
    """Yield a process, its children, theirs, and so on."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread may end meanwhile
            for child in children.read_text().split():
                yield from _descent(int(child))


def _proportional(pid: int) -> float:
    """Return the MB of a process, a page that n processes share as an n-th of it."""
    with suppress(OSError):  # it may end meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    """Return whether the process has ended, leaving it for wait4 to account for."""
    info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return info is not None


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def fastest_of(command: Sequence[object], times: int, env: Mapping[str, str]) -> tuple[float, ...]:
    """Return min, median and max wall seconds of ``times`` runs after one to warm up."""
    run(command, env=env)
    walls = [run(command, env=env).wall for _ in range(times)]
    return min(walls), median(walls), max(walls)


def megabytes(folder: Path) -> float:
    """Return the size of all files in ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def described() -> str:
    """Return the machine in one line."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
    cores = len(os.sched_getaffinity(0))
    flags = Path("/proc/cpuinfo").read_text()
    bf16 = ", avx512_bf16" if "avx512_bf16" in flags else ""
    return f"{cores} cores of {name}{bf16}, Python {platform.python_version()}, {sys.platform}"
