"""How a piece of work is done: by which engine, on how many cores, and who hears how it goes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from fursure.recipe import Engine
from fursure.system import cores_allowed

Advance = Callable[[int], None]  # hears how many more photos are done
Say = Callable[[str], None]  # hears a sentence that is worth telling


class Progress(Protocol):
    """Opens a stage of work; `silent` is one, the command line's bar is another."""

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Advance]:
        """Begin a stage of ``total`` photos (None: nobody knows) and return its counter."""


@contextmanager
def silent(title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - a Progress
    """Report nothing."""
    yield lambda _done: None


def to_nobody(_sentence: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one command's work is done with."""

    engine: Engine = "auto"  # what runs networks
    threads: int | None = None  # None: all cores that this process may keep busy
    on: str | None = None  # a cluster, "ray" or "ray://HOST:PORT"; None: this machine alone
    progress: Progress = silent
    say: Say = to_nobody

    @property
    def cores(self) -> int:
        """How many threads may compute at once."""
        return self.threads or available_threads()


def available_threads() -> int:
    """Return how many threads this process may keep busy: affinity and cgroup quota respected."""
    return max(1, min(cores_allowed(), _cgroup_cores()))


def _cgroup_cores() -> int:
    """Return the cores a container's CPU quota amounts to (cgroup v2), at least one."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123
            quota, period = file.read().split()
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or the quota is "max"
        return 1 << 16
