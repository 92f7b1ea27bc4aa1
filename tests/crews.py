"""A crew for `exactly_once` without Ray: it works in this process, and loses workers as told."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from fursure.cluster.ordered import WorkerLost
from fursure.cluster.workbench import Job, Workbench, carried
from fursure.run import Run


class Crew:
    """Workers that end in any order, and now and then with their result lost."""

    def __init__(
        self, work: Callable[[Any], Any], *, seed: int = 0, loss: float = 0.0, most: int = 6
    ) -> None:
        self.work, self.random, self.loss, self.most = work, Random(seed), loss, most
        self.under_way: dict[int, Any] = {}
        self.given = self.largest = 0

    def room(self) -> int:
        return self.random.randint(0, self.most) if self.under_way else self.most

    def give(self, item: Any) -> int:
        self.given += 1
        self.under_way[self.given] = item
        self.largest = max(self.largest, len(self.under_way))
        return self.given

    def finished(self, tickets: list[Any], wait: float) -> list[Any]:
        return self.random.sample(tickets, min(len(tickets), self.random.randint(0, 3)))

    def result(self, ticket: int) -> Any:
        item = self.under_way.pop(ticket)
        if self.random.random() < self.loss:
            raise WorkerLost("its node is gone")
        return self.work(item)


@contextmanager
def in_this_process(run: Run, job: Job) -> Iterator[Crew]:
    """Stand in for `crew_of`: what a node gets and gives is pickled, as on a cluster."""
    from importlib.metadata import version

    bench = Workbench()
    assert bench.open(pickle.loads(pickle.dumps(job)), version("fursure"), carried()) is None  # noqa: S301

    def work(item: Any) -> Any:
        return pickle.loads(pickle.dumps(bench.work(pickle.loads(pickle.dumps(item)))))  # noqa: S301

    yield Crew(work, loss=0.2)
