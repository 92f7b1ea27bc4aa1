"""One model and many who use it: threads, an event loop, processes of every kind."""

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

import fursure
from fursure.drawings.draw import draw, jpeg
from fursure.engine import openvino
from fursure.engine.predictor import Predictor
from fursure.errors import EngineFailed

PHOTOS = [jpeg(draw(kind, seed, size=96)) for kind in ("cat", "dog") for seed in range(4)]


@pytest.fixture(scope="module")
def model() -> Predictor:
    return fursure.load("pets", engine="onnxruntime", threads=2)


@pytest.fixture(scope="module")
def expected(model: Predictor) -> list[float]:
    return confidences(model, PHOTOS)


def confidences(model: Predictor, photos: list[bytes]) -> list[float]:
    return [row.confidence for row in model.predict(photos)]


def test_threads_share_a_model(model: Predictor, expected: list[float]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: confidences(model, PHOTOS), range(8)))
    assert found == [expected] * 8


def test_an_event_loop_goes_on_while_a_model_answers(
    model: Predictor, expected: list[float]
) -> None:
    async def ticking() -> tuple[list[list[float]], int]:
        work = asyncio.gather(*(asyncio.to_thread(confidences, model, PHOTOS) for _ in range(2)))
        ticks = 0
        while not work.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return list(await work), ticks

    found, ticks = asyncio.run(ticking())
    assert found == [expected] * 2
    assert ticks > 5


@pytest.mark.long
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_model_goes_to_processes_of_other_kinds(
    method: str, model: Predictor, expected: list[float]
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        assert pool.submit(confidences, model, PHOTOS).result(timeout=120) == expected


def test_openvino_refuses_a_forked_process_instead_of_waiting_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino, "_cores", {os.getpid() + 1: object()})  # another process's
    for use in (openvino.core, openvino.check_not_forked):
        with pytest.raises(EngineFailed, match="forked from one that uses it: start processes by"):
            use()
    network = openvino.OpenVino(b"", threads=1)
    network._local.slot = object()  # it has answered already, over there
    with pytest.raises(EngineFailed, match="engine='onnxruntime'"):
        network([[0]])  # type: ignore[arg-type]
