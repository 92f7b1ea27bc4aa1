"""Where the time of a run goes: seconds and photos of each stage, added up on every thread.

A stage is measured only while somebody records, so that it costs nothing where nobody does.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, get_args

_Step = Literal["start", "list", "photos", "group", "fit", "proof", "write", "examine", "page"]
_Part = Literal["read", "decode", "fingerprint", "resize", "network", "cache", "answer"]
_STEPS: tuple[_Step, ...] = get_args(_Step)  # in the order of a run, one after another
_PARTS: tuple[_Part, ...] = get_args(_Part)  # of "photos", on several threads side by side


@dataclass(slots=True)
class Spent:
    """What went into one stage."""

    seconds: float = 0.0  # of a part: of all threads together, their waiting for a core included
    cpu: float = 0.0  # seconds that all cores together computed meanwhile
    photos: int = 0


@dataclass(slots=True)
class Times:
    """The stages of one run; safe between threads."""

    began: float = field(default_factory=time.perf_counter)
    spent: dict[str, Spent] = field(default_factory=dict)
    reading: bool = False  # whether the step "photos" goes on, which has parts
    _lock: Lock = field(default_factory=Lock)

    def add(self, name: _Step | _Part, seconds: float, cpu: float, photos: int) -> None:
        """Add to a stage."""
        with self._lock:
            stage = self.spent.setdefault(name, Spent())
            stage.seconds += seconds
            stage.cpu += cpu
            stage.photos += photos

    def table(self) -> list[str]:
        """Return the stages as lines: seconds, share, cores that were busy, photos a second."""
        started = self.spent["start"].seconds
        whole = time.perf_counter() - self.began + started
        steps = {name: self.spent[name] for name in _STEPS if name in self.spent}
        parts = {name: self.spent[name] for name in _PARTS if name in self.spent}
        lines = [f"where {whole:.1f} s went"]
        for name, step in steps.items():
            cores = f"{step.cpu / max(step.seconds, 1e-9):.2f} cores"
            lines.append(_line(name, step, whole, cores))
            if name == "photos":
                within = sum(part.seconds for part in parts.values())
                lines += [_line(f"  {name}", part, within, "") for name, part in parts.items()]
        rest = Spent(seconds=whole - sum(step.seconds for step in steps.values()))
        return [*lines, _line("the rest", rest, whole, "")]


def _line(name: str, spent: Spent, whole: float, cores: str) -> str:
    rate = f"{spent.photos / max(spent.seconds, 1e-9):,.0f} photos/s" if spent.photos else ""
    share = f"{spent.seconds / max(whole, 1e-9):.1%}"
    return f"{name:14}{spent.seconds:8.2f} s{share:>8}{cores:>12}{rate:>18}".rstrip()


_recording: list[Times] = []  # at most one, that of the command


@contextmanager
def recorded() -> Iterator[Times]:
    """Record the stages of what runs inside."""
    times, started = Times(), time.process_time()  # the interpreter, and what it imported so far
    times.add("start", started, started, 0)
    _recording[:] = [times]
    try:
        yield times
    finally:
        _recording.clear()


@contextmanager
def stage(name: _Step | _Part, photos: int = 0) -> Iterator[None]:
    """Add what runs inside to a stage, where somebody records."""
    times = _recording[0] if _recording else None
    if times is None or (name in _PARTS and not times.reading):
        yield
        return
    began, before = time.perf_counter(), time.process_time()
    times.reading = times.reading or name == "photos"
    try:
        yield
    finally:
        times.reading = times.reading and name != "photos"
        cpu = time.process_time() - before
        times.add(name, time.perf_counter() - began, cpu, photos)
