"""One input at one door → what is wrong with that, if anything: its error, its time, its memory.

A door may raise what it promised and nothing else, within a deadline of processor time and an
allowance of memory. A call that does not return within its deadline ends this process, wherever it
hangs, in C as well: the input stands on a `Board`, from which the parent takes it.
"""

import faulthandler
import mmap
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from fuzzing.targets import Target

HEADER = struct.Struct("<QddQQ")  # the `Figures`, and the size of the input
ROOM = 2**22  # bytes of an input
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one input may take."""

    seconds: float = 2.0  # of the processor
    memory: int = 512 * 2**20  # bytes more than the process had before the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with one input."""

    kind: str  # error, memory, slow, crash, hang, stuck
    place: str  # where in the code; of two findings with one place, one is enough
    text: str  # a traceback, or what is known


@dataclass(slots=True)
class Figures:
    """What was done so far."""

    inputs: int = 0
    busy: float = 0.0  # seconds of the processor, mutation and all
    slowest: float = 0.0  # seconds of the processor that one input took
    peak: int = 0  # bytes more than before the first input


class Board:
    """A file in memory, where a process leaves what it is about to do, in case it dies of it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(HEADER.size + ROOM)
            self._map = mmap.mmap(file.fileno(), HEADER.size + ROOM)

    def write(self, figures: Figures, data: bytes) -> None:
        """Note what was done, and what is tried now."""
        size = min(len(data), ROOM)
        self._map[HEADER.size : HEADER.size + size] = data[:size]
        HEADER.pack_into(
            self._map, 0, figures.inputs, figures.busy, figures.slowest, figures.peak, size
        )

    def read(self) -> tuple[Figures, bytes]:
        """Return what was done, and the input that was tried last."""
        inputs, busy, slowest, peak, size = HEADER.unpack_from(self._map)
        data = self._map[HEADER.size : HEADER.size + size]
        return Figures(inputs=inputs, busy=busy, slowest=slowest, peak=peak), data


class Trial:
    """A door, and the limits within which it has to answer, in this process."""

    def __init__(
        self, target: Target, allowance: Allowance, figures: Figures | None = None
    ) -> None:
        self.target, self.allowance, self.figures = target, allowance, figures or Figures()
        for seed in target.seeds[:3]:  # whatever is loaded once is not the input's
            called(target, seed)
        self._before, self._used = peak_memory(), self.figures.busy - time.process_time()
        _limit_address_space(allowance.memory)
        faulthandler.register(signal.SIGPROF, all_threads=False, chain=True)  # says where, and dies

    def __call__(self, data: bytes) -> tuple[Hashable, Finding | None]:
        """Return what tells this outcome from others, and what is wrong with it."""
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, self.allowance.seconds)
        try:
            outcome, finding = called(self.target, data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        figures = self.figures
        figures.inputs += 1
        now, peak = time.process_time(), peak_memory() - self._before
        figures.busy = now + self._used
        figures.slowest, figures.peak = max(figures.slowest, now - began), max(figures.peak, peak)
        if finding is None and self.used_up:
            text = f"took {peak / 2**20:.0f} MiB, and ended in {outcome}"
            return outcome, Finding(kind="memory", place="peak", text=text)
        return outcome, finding

    @property
    def used_up(self) -> bool:
        """Return whether the peak of this process hides what further inputs take."""
        return peak_memory() - self._before > self.allowance.memory


def called(target: Target, data: bytes) -> tuple[Hashable, Finding | None]:
    """Return what tells this outcome from others, and what of it was not promised."""
    try:
        return repr(target.call(data)), None
    except KeyboardInterrupt:
        raise
    except target.promised as error:
        causes = [error, *_causes(error)]
        if any(isinstance(cause, MemoryError) for cause in causes):
            return "memory", _found("memory", error)
        return tuple((type(cause), *_last_lines(cause)) for cause in causes), None
    except BaseException as error:  # whatever it is: that is what is looked for
        return "found", _found("memory" if isinstance(error, MemoryError) else "error", error)


def peak_memory() -> int:
    """Return the most bytes this process ever had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def _limit_address_space(memory: int) -> None:
    """Let an allocation beyond the allowance fail, whether or not it is written to."""
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # no Linux: what is written to is still seen
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, resource.RLIM_INFINITY))


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    while (cause := error.__cause__ or error.__context__) is not None and len(causes) < 8:
        causes.append(cause)
        error = cause
    return causes


def _last_lines(error: BaseException) -> tuple[int, ...]:
    """Return the numbers of the lines that an error went through."""
    lines, frame = [], error.__traceback__
    while frame is not None:
        lines.append(frame.tb_lineno)
        frame = frame.tb_next
    return tuple(lines[-6:])


def _found(kind: str, error: BaseException) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/fursure/" in frame.filename] or list(frames)
    place = f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    text = "".join(traceback.format_exception(error))
    return Finding(kind=kind, place=place, text=text)


def minimised(
    data: bytes, fails: Callable[[bytes], bool], *, seconds: float = 5.0, rounds: int = 2000
) -> bytes:
    """Return the shortest found of ``data`` that still ``fails``: pieces are left out by halves."""
    end, size = time.process_time() + seconds, len(data) // 2
    while size:
        at = 0
        while at < len(data):
            rounds -= 1
            if not rounds or time.process_time() > end:
                return data
            shorter = data[:at] + data[at + size :]
            if fails(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
