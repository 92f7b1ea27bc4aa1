"""The service's parts alone: batches, the door's counters, forms."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress

import pytest
from serving import form

from fursure.connections.admission import Admission
from fursure.connections.limits import ServiceLimits
from fursure.connections.problems import Problem
from fursure.service.batching import Batcher
from fursure.service.multipart import files_in


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("filename*=UTF-8''na%C3%AFve%20cat.jpg", "naïve cat.jpg"),
        ("filename*=\"utf-8'de'K%C3%A4tzchen.png\"", "Kätzchen.png"),
        ("filename*=iso-8859-1''caf%E9.jpg", "café.jpg"),
        ("filename*0=long; filename*1=name.jpg", "longname.jpg"),
        ("filename=plain.jpg; filename*=UTF-8''other.jpg", "plain.jpg"),
        ("filename*=nonsense''a%FFb.jpg", "aÿb.jpg"),
        ("filename*=idna''%C3%9F..jpg", "photo"),
        ("filename*=cat.jpg", "cat.jpg"),
        ("filename*=a; filename*1=b", "photo"),
    ],
)
def test_a_part_is_a_file_however_its_name_is_written(disposition: str, name: str) -> None:
    head = f'--x\r\nContent-Disposition: form-data; name="files"; {disposition}\r\n\r\n'
    body = head.encode() + b"bytes\r\n--x--\r\n"
    assert files_in(body, "multipart/form-data; boundary=x", most=1) == [(name, b"bytes")]


def batcher(call, *, size: int = 8, workers: int = 1, deadline: float = 5.0, least: int = 100):  # type: ignore[no-untyped-def]
    return Batcher(call, size=size, workers=workers, deadline=deadline, queued=0.25, least=least)


def test_what_waits_while_a_batch_runs_goes_together_in_the_next() -> None:
    sizes: list[int] = []
    first = threading.Event()

    def call(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        first.wait(5)
        return [10 * item for item in items]

    async def story() -> list[list[int]]:
        one = batcher(call)
        one.figures.rate = 1_000.0  # a quick model: its batches may be full
        one.start(asyncio.get_running_loop())
        tasks = [asyncio.create_task(one.submit([0]))]
        while not sizes:
            await asyncio.sleep(0.005)
        tasks += [asyncio.create_task(one.submit([n])) for n in range(1, 11)]
        await asyncio.sleep(0.05)
        first.set()
        answers = await asyncio.gather(*tasks)
        one.close()
        return answers

    assert asyncio.run(story()) == [[10 * n] for n in range(11)]
    assert sizes == [1, 8, 2]  # alone at once, then as many as fit, then the rest


def test_a_failure_reaches_its_own_batch_only_and_the_worker_goes_on() -> None:
    def call(items: Sequence[int]) -> list[int]:
        if -1 in items:
            raise RuntimeError("broken")
        return list(items)

    async def story() -> None:
        one = batcher(call, size=1)
        one.start(asyncio.get_running_loop())
        with pytest.raises(RuntimeError, match="broken"):
            await one.submit([-1])
        assert await one.submit([3]) == [3]
        assert one.healthy
        assert one.figures.failed == 1
        one.close()
        assert not one.healthy

    asyncio.run(story())


def test_what_waited_too_long_is_dropped_before_it_costs_anything() -> None:
    called: list[int] = []

    def call(items: Sequence[int]) -> list[int]:
        called.extend(items)
        time.sleep(0.15)
        return list(items)

    async def story() -> None:
        one = batcher(call, size=1, deadline=0.05)
        one.start(asyncio.get_running_loop())
        first = asyncio.create_task(one.submit([1]))
        await asyncio.sleep(0.02)
        with pytest.raises(Problem, match="no answer within") as refused:
            await one.submit([2])
        assert refused.value.status == 503
        assert await first == [1]
        one.close()

    asyncio.run(story())
    assert called == [1]


class Body:
    """A request's bytes, which can be watched."""


def test_a_photo_that_got_no_answer_is_forgotten_at_once() -> None:
    """Not in a ring that waits for the collector: 175 MB of photos lay there once."""

    def call(bodies: Sequence[Body]) -> list[str]:
        time.sleep(0.15)
        return ["cat" for _ in bodies]

    async def story() -> weakref.ref[Body]:
        service = batcher(call, size=1, deadline=0.05)
        service.start(asyncio.get_running_loop())
        first = asyncio.create_task(service.submit([Body()]))
        await asyncio.sleep(0.02)
        late = Body()
        watched = weakref.ref(late)
        with suppress(Problem):
            await service.submit([late])
        del late
        await first
        service.close()
        return watched

    gc.disable()
    try:
        assert asyncio.run(story())() is None
    finally:
        gc.enable()


def test_no_photos_have_no_answers() -> None:
    assert asyncio.run(batcher(list).submit([])) == []


def test_nobody_computes_for_a_client_that_is_gone() -> None:
    called: list[int] = []

    def call(items: Sequence[int]) -> list[int]:
        called.extend(items)
        time.sleep(0.05)
        return list(items)

    async def story() -> None:
        one = batcher(call, size=1)
        one.start(asyncio.get_running_loop())
        first = asyncio.create_task(one.submit([1]))
        await asyncio.sleep(0.01)
        away = asyncio.create_task(one.submit([2], gone=lambda: True))
        cancelled = asyncio.create_task(one.submit([3]))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        await asyncio.gather(first, away, cancelled, return_exceptions=True)
        assert await one.submit([4]) == [4]
        assert one.figures.cancelled == 2
        one.close()

    asyncio.run(story())
    assert called == [1, 4]


def test_a_full_queue_refuses_and_its_room_follows_the_measured_rate() -> None:
    go = threading.Event()

    def call(items: Sequence[int]) -> list[int]:
        go.wait(5)
        return list(items)

    async def story() -> None:
        one = batcher(call, size=4, least=3)
        one.start(asyncio.get_running_loop())
        tasks = [asyncio.create_task(one.submit([0]))]
        await asyncio.sleep(0.05)
        tasks += [asyncio.create_task(one.submit([n])) for n in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(Problem, match="3 photos are waiting") as refused:
            await one.submit([9])
        assert (refused.value.status, refused.value.retry_after) == (503, 1)
        go.set()
        await asyncio.gather(*tasks)
        one.figures.rate = 400.0
        assert one.room == 100  # a quarter of a second of work
        one.close()
        with pytest.raises(Problem, match="shutting down"):
            await one.submit([1])

    asyncio.run(story())


def test_closing_answers_what_waits() -> None:
    def call(items: Sequence[int]) -> list[int]:
        time.sleep(0.02)
        return list(items)

    async def story() -> None:
        one = batcher(call, size=2)
        one.start(asyncio.get_running_loop())
        tasks = [asyncio.create_task(one.submit([n])) for n in range(9)]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(one.close)
        assert await asyncio.gather(*tasks) == [[n] for n in range(9)]

    asyncio.run(story())


def test_connections_are_counted_by_address_and_in_sum() -> None:
    door = Admission(ServiceLimits(connections=3, per_address=2), lambda _: None)
    assert [door.enter(one) for one in "aaabc"] == [True, True, False, True, False]
    door.leave("a")
    assert door.enter("c")
    door.leave("a")
    assert "a" not in door.inside
    assert door.refused.reasons == {"connections of one address": 1, "connections": 1}


def test_a_rate_is_a_bucket_that_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("fursure.connections.admission.time.monotonic", lambda: now[0])
    door = Admission(ServiceLimits(rate=10), lambda _: None)
    assert sum(door.ask("a") is None for _ in range(50)) == 20  # two seconds' worth
    assert door.ask("b") is None  # others have their own
    now[0] += 0.55
    assert sum(door.ask("a") is None for _ in range(50)) == 5
    for number in range(20_000):
        door.ask(str(number))
    assert len(door._requests._left) <= 10_000


def test_a_full_model_refuses_before_anything_is_read() -> None:
    door = Admission(ServiceLimits(rate=0), lambda _: 7)
    refused = door.ask("a")
    assert refused is not None
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "7 photos are waiting" in refused.detail


def test_the_files_of_a_form_come_back_as_they_were_sent() -> None:
    files = {"a.jpg": b"\r\n--not-the-end\r\n", "ü.png": bytes(range(256)) * 300, "empty": b""}
    body, kind = form(files)
    assert files_in(body, kind, most=3) == list(files.items())
    with pytest.raises(Problem, match="more than 2 photos"):
        files_in(body, kind, most=2)
    with pytest.raises(Problem, match="ends before"):
        files_in(body[:-20], kind, most=3)
