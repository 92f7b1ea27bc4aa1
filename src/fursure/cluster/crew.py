"""A cluster of Ray → a crew: one actor a core, hired, watched, replaced, let go."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any

from fursure.cluster.joining import joined
from fursure.cluster.ordered import WorkerLost
from fursure.cluster.workbench import Job, Workbench, carried
from fursure.errors import ClusterFailed, counted
from fursure.run import Run

_EACH = 3  # chunks a worker has at a time: two at work, one that waits, so none stands idle
_PATIENCE = 120.0  # seconds without a single worker
_LOSSES = 20  # workers lost in a row for each one hired, without a result between


@contextmanager
def crew_of(run: Run, job: Job) -> Iterator["RayCrew"]:
    """Join the cluster that ``run`` names, and open ``job`` on each of its cores.

    Raises:
        ClusterFailed: nobody answers there, or a node cannot do the work.
        MissingExtra: Ray is not installed.
    """
    with joined(run.on or "ray", run.cores) as ray:
        cores = int(ray.cluster_resources().get("CPU", 0))
        crew = RayCrew(ray, job, min(cores, run.threads or cores))
        try:
            yield crew
        finally:
            crew.dismiss()


class RayCrew:
    """Actors on the cores of a cluster. One that is lost is replaced where there is room."""

    def __init__(self, ray: Any, job: Job, size: int) -> None:
        from ray.exceptions import ObjectLostError, RayActorError, WorkerCrashedError

        self._gone = (ObjectLostError, RayActorError, WorkerCrashedError)
        self._ray, self._job = ray, ray.put(job)
        self._actor = ray.remote(
            num_cpus=1,
            max_restarts=0,  # an actor restarts only where there is room, and blocks until then
            max_task_retries=0,
            max_concurrency=2,  # while one call waits for a disk, the other computes
            scheduling_strategy="SPREAD",
        )(Workbench)
        self._hired: dict[Any, Any] = {}  # what says that it is open -> the worker
        self._load: dict[Any, int] = {}  # worker that is open -> chunks it has
        self._with: dict[Any, Any] = {}  # ticket -> its worker
        self._losses, self._most_losses = 0, _LOSSES * max(1, size)
        self._idle_since = time.monotonic()
        for _ in range(size):
            self._hire()

    def _hire(self) -> None:
        worker = self._actor.remote()
        opened = worker.open.remote(self._job, version("fursure"), carried())
        self._hired[opened] = worker

    def room(self) -> int:
        """Return how many chunks the workers that are open may have."""
        if self._hired:
            opened, _ = self._ray.wait(list(self._hired), num_returns=len(self._hired), timeout=0)
            for ticket in opened:
                self._welcome(ticket)
        return _EACH * len(self._load)

    def _welcome(self, opened: Any) -> None:
        """Let a worker begin, unless its node cannot do the work."""
        worker = self._hired.pop(opened)
        try:
            refusal = self._ray.get(opened)
        except self._gone as error:
            self._replace(worker, error)
            return
        if refusal is not None:
            raise ClusterFailed(f"a node of the cluster cannot do the work: {refusal}")
        self._load[worker] = 0

    def give(self, item: Any) -> Any:
        """Let the worker that has least begin with ``item``."""
        worker = min(self._load, key=self._load.__getitem__)
        ticket = worker.work.remote(item)
        self._load[worker] += 1
        self._with[ticket] = worker
        return ticket

    def finished(self, tickets: list[Any], wait: float) -> list[Any]:
        """Return the tickets whose work has ended, soon after the first of them has."""
        watched = [*tickets, *self._hired]
        if not watched:
            time.sleep(wait)
        else:
            self._ray.wait(watched, num_returns=1, timeout=wait)
        self._check_patience()
        if not tickets:
            return []
        ended, _ = self._ray.wait(tickets, num_returns=len(tickets), timeout=0)
        return list(ended)

    def result(self, ticket: Any) -> Any:
        """Return a result; the worker that was lost with it is replaced."""
        worker = self._with.pop(ticket)
        try:
            result = self._ray.get(ticket)
        except self._gone as error:
            if self._load.pop(worker, None) is not None:
                self._replace(worker, error)
            raise WorkerLost(_first_line(error)) from None
        if worker in self._load:
            self._load[worker] -= 1
        self._losses = 0
        return result

    def _replace(self, worker: Any, error: Exception) -> None:
        """Hire another for a worker that was lost."""
        self._losses += 1
        if self._losses > self._most_losses:
            raise ClusterFailed(
                f"{counted(self._losses, 'worker')} in a row ended without a result "
                f"({_first_line(error)}); look into the nodes, and run the command again: it "
                "continues."
            )
        with suppress(Exception):  # it may still live, cut off from here
            self._ray.kill(worker)
        self._hire()

    def _check_patience(self) -> None:
        if self._load:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _PATIENCE:
            raise ClusterFailed(
                f"the cluster had no core free for {_PATIENCE:.0f} seconds; wait until others are "
                "done with it, or add nodes. The same command continues."
            )

    def dismiss(self) -> None:
        """End every worker, whatever it is at."""
        for worker in (*self._load, *self._hired.values()):
            with suppress(Exception):  # the cluster may be gone already
                self._ray.kill(worker)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
