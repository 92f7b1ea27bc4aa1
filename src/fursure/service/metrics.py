"""What the service has done so far → `/metrics`, in Prometheus' words, counted when it is asked.

The path of a request only adds to plain numbers; what they are called is decided at a scrape.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from fursure.connections.admission import Admission
from fursure.service.models import Models

EDGES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds


class Figures:
    """Requests by status, and how long they took."""

    def __init__(self, models: Models, admission: Admission) -> None:
        self.models, self.admission = models, admission
        self.statuses: dict[int, int] = {}
        self.swaps = {"taken": 0, "refused": 0}
        self._took = [0] * (len(EDGES) + 1)
        self._seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def done(self, status: int, seconds: float) -> None:
        """Count a request to `/v1/predict`."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200:
            self._took[bisect_left(EDGES, seconds)] += 1
            self._seconds += seconds

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        metrics: bytes = generate_latest(self._registry)
        return metrics

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; the registry asks for them."""
        yield _counter("fursure_requests", "Requests for predictions.", "status", self.statuses)
        yield _counter(
            "fursure_refused", "Requests and connections refused early.", "reason",
            self.admission.refused.reasons,
        )  # fmt: skip
        yield _counter("fursure_swaps", "Models read again on SIGHUP.", "result", self.swaps)
        sums = [*accumulate(self._took)]
        buckets = [(str(edge), count) for edge, count in zip((*EDGES, "+Inf"), sums, strict=True)]
        took = HistogramMetricFamily("fursure_request_seconds", "Time to a good answer.")
        took.add_metric([], buckets, self._seconds)
        yield took
        yield GaugeMetricFamily(
            "fursure_connections", "Open connections.", sum(self.admission.inside.values())
        )
        yield GaugeMetricFamily(
            "fursure_memory_bytes", "Held by requests.", self.admission.memory.used
        )
        yield from self._of_models()

    def _of_models(self) -> Iterator[Metric]:
        gauges = {
            "waiting": GaugeMetricFamily(
                "fursure_waiting", "Photos that wait for a worker.", labels=["model"]
            ),
            "room": GaugeMetricFamily(
                "fursure_room", "Photos that may wait before more are refused.", labels=["model"]
            ),
            "healthy": GaugeMetricFamily(
                "fursure_healthy", "1 where every worker is at its place.", labels=["model"]
            ),
        }
        counters = {
            name: CounterMetricFamily(f"fursure_photos_{name}", told, labels=["model"])
            for name, told in (
                ("items", "Photos answered."),
                ("expired", "Photos that waited too long."),
                ("cancelled", "Photos whose client went away."),
                ("batches", "Calls of the network."),
                ("failed", "Calls of the network that failed."),
            )
        }
        for name, model in self.models.by_name.items():
            for key, gauge in gauges.items():
                gauge.add_metric([name], float(getattr(model.batcher, key)))
            for key, counter in counters.items():
                counter.add_metric([name], float(getattr(model.batcher.figures, key)))
        yield from (*gauges.values(), *counters.values())


def _counter(name: str, about: str, label: str, values: dict[Any, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, about, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
