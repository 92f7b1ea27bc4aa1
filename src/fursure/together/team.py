"""Processes that `torchrun` started → a team: sums, broadcasts and jobs, each with a time limit.

Tensors on a CPU travel by gloo, those on a GPU by NCCL. A process that ends, or is not heard of,
ends the others in a sentence and not in a wait for ever.

Dimension key: N rows of anything.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from fursure.errors import TeamFailed
from fursure.together.launch import Launched

PATIENCE = timedelta(minutes=5)  # for a process that should be at the same step
LONG_PATIENCE = timedelta(days=7)  # for the first process, which may read millions of photos first
_ENDED = "fursure/ended"  # in the store, once the first process has said what went wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One process among those that train together, or alone."""

    launched: Launched
    jobs: Any = None  # the group in which the first one hands out work; None: alone

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.launched.size

    @property
    def is_first(self) -> bool:
        """Whether it is the one that reads, fits, prints and writes."""
        return self.launched.rank == 0

    def share(self, rows: int) -> slice:
        """Return which of so many rows are this process's; rows stay in order."""
        rank, size = self.launched.rank, self.size
        return slice(rows * rank // size, rows * (rank + 1) // size)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, the same bits in each of them."""
        if self.jobs is None:
            return
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        with heard():
            dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        with torch.no_grad():
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def joined(self, mine: Tensor, rows: int) -> Tensor:
        """Return all rows, of which each process has its `share`."""
        if self.jobs is None:
            return mine
        all_NK = mine.new_zeros((rows, *mine.shape[1:]))
        all_NK[self.share(rows)] = mine
        with heard():
            dist.all_reduce(all_NK)
        return all_NK

    def as_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite each tensor with what the first process has in its place."""
        if self.jobs is None:
            return
        with heard(), torch.no_grad():
            for tensor in tensors:
                sent = tensor.detach().clone(memory_format=torch.contiguous_format)
                dist.broadcast(sent, 0)
                tensor.copy_(sent)

    def agreed(self, value: float) -> float:
        """Return the first process's value."""
        told = torch.tensor(value, dtype=torch.float64)
        self.as_first([told])
        return float(told)

    def hand_out(self, job: object) -> Any:
        """Return the job that the first process hands out; the others wait for it as long."""
        box = [job]
        if self.jobs is not None:
            with heard():
                dist.broadcast_object_list(box, 0, group=self.jobs)
        return box[0]

    def meet(self) -> None:
        """Wait until every process is here."""
        if self.jobs is not None:
            with heard():
                dist.barrier(group=self.jobs)


ALONE = Team(launched=Launched())
_formed: list[Team] = []  # torch too has one default group a process


def present_team() -> Team:
    """Return the team that was formed, or this process alone."""
    return _formed[0] if _formed else ALONE


@contextmanager
def formed(launched: Launched) -> Iterator[Team]:
    """Meet the other processes, and be a team until the end.

    Raises:
        TeamFailed: they do not come, are of another version, or are more than the GPUs; or later,
            one of them ended.
    """
    store = _met(launched)
    with heard():
        jobs = dist.new_group(backend="gloo", timeout=LONG_PATIENCE)
    team = Team(launched=launched, jobs=jobs)
    with _told_to_end():
        try:
            _check_versions(team)
            _formed.append(team)
            yield team
        except BaseException as error:
            if team.is_first:
                with suppress(RuntimeError):
                    store.set(_ENDED, "")
            elif isinstance(error, TeamFailed) and _is_ended(store):
                raise SystemExit(1) from None  # the first one has said why
            raise
        finally:
            _formed.clear()
    dist.destroy_process_group()  # not after an error: it may wait for those that are gone


def _met(launched: Launched) -> Any:
    """Return the store by which the processes found each other."""
    backend = "gloo"
    if torch.cuda.is_available():
        gpus = torch.cuda.device_count()
        if launched.local_size > gpus:
            raise TeamFailed(
                f"{launched.local_size} processes were started on a host with {gpus} "
                f"GPU{'s' if gpus > 1 else ''}, and each needs its own; start torchrun with "
                f"--nproc-per-node {gpus}."
            )
        torch.cuda.set_device(launched.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    with heard():
        store = next(iter(rendezvous("env://", timeout=PATIENCE)))[0]
        dist.init_process_group(
            backend,
            store=store,
            rank=launched.rank,
            world_size=launched.size,
            timeout=PATIENCE,
        )
    return store


def _check_versions(team: Team) -> None:
    """Refuse processes of other versions, before any work: they would add up other things."""
    from importlib.metadata import version

    mine = f"fursure {version('fursure')} with torch {torch.__version__}"
    found: list[Any] = [None] * team.size
    with heard():
        dist.all_gather_object(found, mine, group=team.jobs)
    if len(set(found)) > 1:
        which = "; ".join(f"process {rank + 1} has {what}" for rank, what in enumerate(found))
        raise TeamFailed(f"all processes need the same versions, but {which}.")


def _is_ended(store: Any) -> bool:
    """Return whether the first process, which is given a moment for it, says what went wrong."""
    try:
        store.wait([_ENDED], timedelta(seconds=2))
    except RuntimeError:  # it was killed, or its host is gone
        return False
    return True


@contextmanager
def heard() -> Iterator[None]:
    """Say in a sentence that another process is gone, or silent for too long."""
    try:
        yield
    except RuntimeError as error:  # of torch.distributed, whose own errors are subclasses
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise lost(str(error)) from error


def lost(reason: str) -> TeamFailed:
    """Return the error of a training that has lost one of its processes."""
    line = (reason.strip() or "no reason given").splitlines()[0][:200]
    return TeamFailed(
        f"another process of this training ended, or was not heard of in time ({line}). See what "
        "it said; the same command goes on from the last checkpoint, with any number of processes."
    )


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Let `torchrun` end this process in a sentence: it asks so when another one has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:  # noqa: ARG001 - a signal handler
        raise lost("torchrun asked this one to end")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
