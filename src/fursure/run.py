"""How a piece of work is done: by which engine, on how many cores, and who hears how it goes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Literal, Protocol

from fursure.system import cores_allowed

Engine = Literal["auto", "onnxruntime", "openvino", "cuda", "openvino-gpu"]
Advance = Callable[[int], None]  # hears how many more photos are done
Say = Callable[[str], None]  # hears a sentence that is worth telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A step on the way to a head or a network, and what it answered there."""

    name: str  # "pass 3", "strength 0.01"
    knob: float  # the number in its name
    train_loss: float  # nats per photo; of a network, on augmented photos
    val_loss: float  # nats per photo
    val_accuracy: float
    best: bool  # whether it was kept: the best so far

    def sentence(self) -> str:
        """Return how it went, for a person who waits."""
        result = f"validation {self.val_accuracy:.2%}, {self.val_loss:.4f} nats"
        learned = f", training {self.train_loss:.4f}" if isfinite(self.train_loss) else ""
        return f"{self.name}: {result}{learned}{', kept' if self.best else ''}"


Hear = Callable[[Pass], None]  # hears of each pass


class Progress(Protocol):
    """Opens a stage of work; `silent` is one, the command line's bar is another."""

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Advance]:
        """Begin a stage of ``total`` photos (None: nobody knows) and return its counter."""


@contextmanager
def silent(title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - a Progress
    """Report nothing."""
    yield lambda _done: None


class Watching(Protocol):
    """Opens one training to whoever watches; `unwatched` is one, the live line another."""

    def __call__(self, title: str) -> AbstractContextManager[Hear]:
        """Begin to watch a training and return what hears of its passes."""


@contextmanager
def unwatched(title: str) -> Iterator[Hear]:  # noqa: ARG001 - a Watching
    """Watching nothing."""
    yield to_nobody


def to_nobody(_heard: object) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one command's work is done with."""

    engine: Engine = "auto"  # what runs networks
    threads: int | None = None  # None: all cores that this process may keep busy
    on: str | None = None  # a cluster, "ray" or "ray://HOST:PORT"; None: this machine alone
    progress: Progress = silent
    say: Say = to_nobody
    watch: Watching = unwatched

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
