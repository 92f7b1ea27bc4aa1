"""Chunks come back in order and once, whoever dies."""

import tracemalloc
from collections.abc import Iterator
from itertools import islice

import pytest
from crews import Crew
from hypothesis import given
from hypothesis import strategies as st

from fursure.cluster.ordered import exactly_once
from fursure.errors import ClusterFailed


@given(seed=st.integers(0, 10**6), count=st.integers(0, 60), loss=st.sampled_from([0.0, 0.3]))
def test_every_chunk_comes_back_in_order_and_once_whichever_workers_die(
    seed: int, count: int, loss: float
) -> None:
    crew = Crew(lambda item: -item, seed=seed, loss=loss)
    try:
        results = list(exactly_once(crew, range(count)))
    except ClusterFailed:  # eight losses of one chunk in a row: once in 15,000 chunks
        return
    assert results == [-item for item in range(count)]


def test_work_over_which_every_worker_ends_is_given_up_in_a_sentence() -> None:
    with pytest.raises(ClusterFailed, match=r"8 workers in turn ended over the same photos \(its"):
        list(exactly_once(Crew(lambda item: item, loss=1.0), range(3)))


def test_no_more_is_taken_than_there_is_room_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10_000):
            taken.append(item)
            yield item

    crew = Crew(lambda item: item, most=4)
    results = exactly_once(crew, items())
    assert list(islice(results, 100)) == list(range(100))
    assert crew.largest <= 4
    assert len(taken) <= 100 + 5 * 4


@pytest.mark.long
def test_the_memory_of_a_million_rows_is_that_of_a_few_chunks() -> None:
    """Chunks of 32 rows with 1,280 features each are 5 GB in all."""
    import numpy as np

    crew = Crew(lambda _item: np.zeros((32, 1280), np.float32), loss=0.01)
    tracemalloc.start()
    try:
        count = sum(len(rows) for rows in exactly_once(crew, range(1_000_000 // 32)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 1_000_000
    assert peak < 16 * 2**20
