"""Who sends much waits behind himself: shares of the queue, and a lane for what is heavy."""

import asyncio
import threading
import time
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from test_photos_bombs import flat_tiff, grey_jpeg

from fursure.connections.admission import Admission
from fursure.connections.limits import ServiceLimits
from fursure.connections.pacing import Reading
from fursure.connections.problems import Problem
from fursure.connections.turns import Desk, Turns
from fursure.drawings.draw import draw, jpeg
from fursure.engine.runtime import BATCH
from fursure.formats.heif import HEIF
from fursure.photos.cost import cost
from fursure.service.batching import BATCH_BESIDE, HEAVY, HEAVY_BESIDE, NICER, Batcher
from fursure.service.models import _beside


def test_owners_take_turns() -> None:
    turns: Turns[str] = Turns()
    turns.put("a", ["a1", "a2", "a3", "a4"])
    turns.put("b", ["b1"])
    turns.put("c", ["c1", "c2"])
    assert turns.take(4) == ["a1", "b1", "c1", "a2"]
    turns.put_back("a", "a2")
    turns.put("b", ["b2"])
    assert turns.take(9) == ["a2", "c2", "b2", "a3", "a4"]
    assert (len(turns), turns.held("a"), list(turns.owners())) == (0, 0, [])


def batcher(call, **options) -> Batcher[int, int]:  # type: ignore[no-untyped-def]
    options = {"size": 4, "workers": 1, "deadline": 5.0, "queued": 0.25, "least": 16} | options
    return Batcher(call, **options)


def test_a_form_of_sixty_four_delays_another_address_by_one_batch() -> None:
    calls: list[list[int]] = []
    go = threading.Event()

    def call(items: Sequence[int]) -> list[int]:
        go.wait(5)
        calls.append(list(items))
        return list(items)

    async def story() -> None:
        one = batcher(call)
        one.start(asyncio.get_running_loop())
        greedy = asyncio.create_task(one.submit(list(range(64)), owner="greedy"))
        await asyncio.sleep(0.05)
        assert one.full("greedy")
        assert not one.full("other")
        with pytest.raises(Problem, match="60 photos are waiting"):
            await one.submit([64], owner="greedy")
        other = asyncio.create_task(one.submit([100, 101], owner="other"))
        await asyncio.sleep(0.01)
        go.set()
        assert await other == [100, 101]
        assert await greedy == list(range(64))
        one.close()

    asyncio.run(story())
    assert 100 in calls[1]
    assert 101 in calls[1] + calls[2]


def test_heavy_items_go_one_at_a_time_beside_the_workers() -> None:
    together, most, go = [0], [0], threading.Event()
    charged: list[int] = []
    lock = threading.Lock()

    def call(items: Sequence[int]) -> list[int]:
        if items[0] >= 100:
            with lock:
                together[0] += len(items)
                most[0] = max(most[0], together[0])
            go.wait(5)
            with lock:
                together[0] -= len(items)
        return list(items)

    class Charge:
        def __init__(self, size: int) -> None:
            charged.append(size)

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    async def story() -> None:
        one = batcher(
            call, workers=2, weigh=lambda item: HEAVY + 1 if item >= 100 else 1, charge=Charge
        )
        one.start(asyncio.get_running_loop())
        heavy = asyncio.create_task(one.submit(list(range(100, 108)), owner="a"))
        await asyncio.sleep(0.05)
        assert await one.submit([1, 2, 3], owner="b") == [1, 2, 3]  # while those are at work
        assert not heavy.done()
        go.set()
        assert await heavy == list(range(100, 108))
        one.close()

    asyncio.run(story())
    assert most == [1]
    assert charged.count(HEAVY + 1) == 8


def test_a_form_of_heavy_photos_does_not_expire_behind_itself() -> None:
    def call(items: Sequence[int]) -> list[int]:
        time.sleep(0.1)
        return list(items)

    async def story() -> None:
        one = batcher(call, deadline=0.2, weigh=lambda _: HEAVY + 1)
        one.start(asyncio.get_running_loop())
        assert await one.submit(list(range(6)), owner="a") == list(range(6))  # 0.6 s
        one.close()

    asyncio.run(story())


def test_a_batch_is_so_many_items_as_are_light_together() -> None:
    sizes: list[int] = []

    def call(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return list(items)

    async def story() -> None:
        one = batcher(call, weigh=lambda _: HEAVY // 2)
        one.start(asyncio.get_running_loop())
        assert await one.submit(list(range(7))) == list(range(7))
        one.close()

    asyncio.run(story())
    assert sizes == [2, 2, 2, 1]


def test_a_slow_models_batches_are_small_so_that_nobody_waits_long_for_one() -> None:
    one = batcher(list, size=8)
    assert one._most() == 8  # nothing is known yet
    for rate, most in ((1_000.0, 8), (60.0, 3), (0.5, 1)):
        one.figures.rate = rate
        assert one._most() == most
    one.floor = 8  # an engine that fills up its batches gains nothing by smaller ones
    assert one._most() == 8


def test_where_several_owners_are_about_batches_are_short_and_less_is_heavy() -> None:
    calls: list[list[int]] = []

    def call(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return list(items)

    async def story() -> None:
        one = batcher(call, size=8, weigh=lambda item: item)
        one.beside = 2
        one.start(asyncio.get_running_loop())
        await one.submit([1] * 8, owner="a")
        await one.submit([HEAVY], owner="a")  # alone, that is not heavy
        assert [len(batch) for batch in calls] == [8, 1]
        assert not one.crowded
        await one.submit([1], owner="b")
        assert one.crowded
        calls.clear()
        await one.submit([1] * 8, owner="a")
        assert [len(batch) for batch in calls] == [2] * 4
        calls.clear()
        await one.submit([BATCH_BESIDE, 1, HEAVY_BESIDE + 1], owner="a")
        assert sorted(calls) == [[1], [BATCH_BESIDE], [HEAVY_BESIDE + 1]]
        one.close()

    asyncio.run(story())


@pytest.mark.parametrize(("fixed", "each", "most"), [(0.0, 0.01, 1), (0.04, 0.0, 8)])
def test_a_batch_beside_others_takes_half_as_long_again_as_one_photo(
    fixed: float, each: float, most: int
) -> None:
    batches: list[int] = []

    def session(pixels_NHWC: Any) -> dict[str, Any]:
        batches.append(len(pixels_NHWC))
        time.sleep(fixed + each * len(pixels_NHWC))
        return {}

    network = SimpleNamespace(session=session, preprocess=SimpleNamespace(size=4))
    assert _beside(cast("Any", SimpleNamespace(network=network, threads=2))) == most
    assert batches[:2] == [BATCH] * 2  # what full batches take is taken before it is ready
    assert sum(batches[2:]) <= 20  # photos; a start waits for them


def test_the_heavy_lane_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    nicer: list[tuple[str, int]] = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(
        "os.nice", lambda by: nicer.append((threading.current_thread().name, by)), raising=False
    )

    async def story() -> None:
        one = batcher(list)
        one.start(asyncio.get_running_loop())
        one.close()

    asyncio.run(story())
    assert nicer == [("fursure-heavy", NICER)]


# The desk, where requests are read and answers written


def test_at_the_desk_one_works_at_a_time_and_owners_take_turns() -> None:
    done: list[str] = []
    at_work = [0]

    def work(name: str) -> str:
        at_work[0] += 1
        assert at_work == [1]
        time.sleep(0.01)
        at_work[0] -= 1
        done.append(name)
        return name

    async def story() -> None:
        desk = Desk()
        names = ["a1", "a2", "a3", "b1"]
        asked = [desk(name[0], partial(work, name)) for name in names]
        assert await asyncio.gather(*asked) == names
        assert await desk("a", partial(work, "last")) == "last"

    asyncio.run(story())
    assert done == ["a1", "a2", "b1", "a3", "last"]


def test_the_desk_goes_on_after_a_failure_and_past_who_gave_up() -> None:
    async def story() -> None:
        desk, go = Desk(), threading.Event()
        first = asyncio.create_task(desk("a", lambda: go.wait(5)))
        await asyncio.sleep(0.01)
        gone = asyncio.create_task(desk("b", lambda: 1))
        fails = asyncio.create_task(desk("c", lambda: 1 // 0))
        last = asyncio.create_task(desk("d", lambda: 4))
        await asyncio.sleep(0.01)
        gone.cancel()
        go.set()
        assert await first
        with pytest.raises(ZeroDivisionError):
            await fails
        assert await last == 4

    asyncio.run(story())


def test_whose_turn_came_as_he_gave_up_hands_it_on() -> None:
    async def story() -> None:
        desk, go = Desk(), threading.Event()
        first = asyncio.create_task(desk("a", lambda: go.wait(5)))
        await asyncio.sleep(0.01)
        gone = asyncio.create_task(desk("b", lambda: 1))
        last = asyncio.create_task(desk("c", lambda: 3))
        await asyncio.sleep(0.01)
        first.add_done_callback(lambda _: gone.cancel())
        go.set()
        assert await last == 3

    asyncio.run(story())


# How fast an address may send


def test_who_sends_much_waits_where_others_are_connected() -> None:
    door = Admission(ServiceLimits(pace=1_000), lambda _: None)
    door.enter("a")
    assert door.pause("a", 10**9, dropped=True) == 0  # nobody else is kept waiting by it
    door.enter("b")
    assert door.pause("a", 1_000, dropped=False) == 0  # a second's worth
    assert door.pause("a", 500, dropped=False) == pytest.approx(0.5, abs=0.1)
    assert door.pause("a", 125, dropped=True) == pytest.approx(1.5, abs=0.1)  # for nothing
    assert door.pause("b", 1_000, dropped=False) == 0
    unpaced = Admission(ServiceLimits(pace=0), lambda _: None)
    unpaced.enter("a"), unpaced.enter("b")
    assert unpaced.pause("a", 10**9, dropped=True) == 0


def test_a_held_connection_is_read_on_after_its_time_whoever_asks_for_more() -> None:
    class Transport:
        said: ClassVar[list[str]] = []

        def pause_reading(self) -> None:
            self.said.append("paused")

        def resume_reading(self) -> None:
            self.said.append("read on")

        def is_closing(self) -> bool:
            return False

    async def story() -> None:
        reading = Reading(cast("Any", Transport()))
        reading.hold(asyncio.get_running_loop(), 0.03)
        reading.resume_reading()
        assert Transport.said == ["paused"]
        await asyncio.sleep(0.06)
        assert Transport.said == ["paused", "read on"]

    asyncio.run(story())


def test_what_decoding_takes_is_told_from_the_header() -> None:
    small = jpeg(draw("cat", seed=1, size=400))
    assert cost(small, min_side=256) == 400 * 400 * 4 + 400 * 400 // 4
    assert cost(grey_jpeg(8_000, 8_000), min_side=256) == 1_000 * 1_000 * 4 + 16_000_000
    assert cost(flat_tiff(4_000, 4_000, 32, 3), min_side=256) == 64_000_000
    assert cost(flat_tiff(8_000, 8_000, 8, 1), min_side=256) == 256_000_000
    assert cost(b"\0\0\0\x18ftypheic\0\0\0\0heic", min_side=256) == HEIF.unread
    for data in (b"", b"text", small[:20], b"II*\0"):
        assert cost(data, min_side=256) == 0
