"""Timing whole commands, and saying on what machine."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

POLL = 0.01  # seconds; what a wall time may be too long by
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


def run(command: Sequence[object], *, env: Mapping[str, str] | None = None) -> Timed:
    """Run a command and account for it; its standard error is ours."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(one) for one in command],
        stdout=subprocess.PIPE,
        env={**os.environ, **COMPILED, **(env or {})},
        text=True,
    )
    rss = []
    while not _ended(process):
        rss.append(_resident(process.pid))
        time.sleep(POLL)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    return Timed(
        wall,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
        tuple(rss),
        output,
        process.returncode,
    )


def _ended(process: "subprocess.Popen[str]") -> bool:
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
