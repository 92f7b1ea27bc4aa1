"""What a graphics processor brings: `pets` by each engine on drawn photos, and where it differs.

    python -m benchmarks.gpu_photos [--photos N] [ENGINE…]

Engines that cannot be used here are named with the reason. Photos are drawings of 400 x 400 pixels,
repeated under other names. One line each, as JSON:

- trial: what the self-test found, and its seconds
- network: photos a second without photos, by the size of a batch
- predict: photos a second, files to answers, all threads; opening in seconds
- agree: the largest difference of a probability from ONNX Runtime's on the main processor, and in
  how many photos the answer is another; whether a second run gives the same bits
- short: with so many megabytes on the card, the batch that was settled on, or what took over
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fursure.bundle.named import shipped
from fursure.drawings.draw import Kind, draw, jpeg
from fursure.engine import gpu, selftest
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import OnnxRuntime
from fursure.errors import EngineFailed
from fursure.run import available_threads
from fursure.system import gpu_devices

DRAWN = 600  # different ones
SIDE = 400  # pixels
ENGINES = ("onnxruntime", "openvino", "cuda", "openvino-gpu")
BATCHES = (8, 32, 64, 128)
SHORT = (2048, 512, 256, 128, 64, 16)  # MB


def main() -> None:
    """Measure each engine that can be used here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=12_000)
    parser.add_argument("engines", nargs="*", default=ENGINES)
    asked = parser.parse_args()
    told(threads=available_threads(), devices=gpu_devices())
    with tempfile.TemporaryDirectory() as folder:
        paths = list(_drawn(Path(folder)))
        reference = Predictor.open(shipped("pets"), engine="onnxruntime", photos=len(paths))
        expected_NK = reference.predict_proba(paths)
        for engine in asked.engines:
            _measure(engine, paths, expected_NK, asked.photos)


def told(**facts: Any) -> None:
    """Print a line."""
    print(json.dumps(facts), flush=True)


def _drawn(folder: Path) -> Iterator[Path]:
    with ThreadPoolExecutor(available_threads()) as pool:
        kinds: tuple[Kind, ...] = ("cat", "dog", "stranger")
        made = pool.map(lambda seed: jpeg(draw(kinds[seed % 3], seed, SIDE)), range(DRAWN))
        for number, data in enumerate(made):
            path = folder / f"{number}.jpg"
            path.write_bytes(data)
            yield path


def _measure(engine: str, paths: list[Path], expected_NK: Any, photos: int) -> None:
    bundle = shipped("pets")
    if engine in gpu.GPU_KINDS:
        began = time.perf_counter()
        verdict = selftest.gpu_verdict(bundle.model, engine, again=True)
        told(trial=engine, seconds=time.perf_counter() - began, **asdict(verdict))
    began = time.perf_counter()
    said: list[str] = []
    try:
        predictor = Predictor.open(
            bundle,
            engine=engine,  # type: ignore[arg-type]
            photos=photos,
            say=said.append,
        )
    except EngineFailed as error:
        told(engine=engine, failed=str(error))
        return
    opening = time.perf_counter() - began
    name = predictor.network.session.engine
    if engine != "cuda":
        told(network=name, photos_a_second=_alone(predictor, 8))
    else:
        for batch in BATCHES:
            session = gpu.Cuda(bundle.model, batch=batch)
            told(network=name, batch=batch, photos_a_second=_calls(session, batch, 1))
    many = [paths[number % len(paths)] for number in range(photos)]
    began = time.perf_counter()
    errors = sum(row.error is not None for row in predictor.predict(many))
    seconds = time.perf_counter() - began
    told(predict=name, photos=photos, photos_a_second=photos / seconds, opening=opening,
         errors=errors, said=said)  # fmt: skip
    found_NK, again_NK = predictor.predict_proba(paths), predictor.predict_proba(paths)
    told(
        agree=name,
        photos=len(paths),
        largest=float(np.abs(found_NK - expected_NK).max()),
        other=int((found_NK.argmax(axis=1) != expected_NK.argmax(axis=1)).sum()),
        same_bits=bool(np.array_equal(found_NK, again_NK)),
    )
    if engine == "cuda":
        _short_of_memory(bundle.model, predictor)


def _alone(predictor: Predictor, batch: int) -> float:
    return _calls(predictor.network.session, batch, available_threads())


def _calls(session: Any, batch: int, threads: int) -> float:
    """Return photos a second of whole batches: the best of three rounds."""
    size = shipped("pets").meta.preprocess.size
    pixels_BHWC = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    calls = max(40, 4 * threads)
    rounds = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(session, [pixels_BHWC] * (2 * threads)))
        for _ in range(3):
            began = time.perf_counter()
            list(pool.map(session, [pixels_BHWC] * calls))
            rounds.append(calls * batch / (time.perf_counter() - began))
    return max(rounds)


def _short_of_memory(model: bytes, predictor: Predictor) -> None:
    size = predictor.network.preprocess.size
    pixels_NHWC = np.zeros((gpu.GPU_BATCH, size, size, 3), np.uint8)
    whole = gpu._ARENA
    for megabytes in SHORT:
        gpu._ARENA = megabytes * 2**20 - 2 * len(model)
        said: list[str] = []
        try:
            on_gpu = gpu.OnGpu(
                lambda batch: gpu.Cuda(model, batch=batch),
                lambda: OnnxRuntime(model, threads=1),
                said.append,
            )
            rows = len(on_gpu(pixels_NHWC)["probs"])
            told(short=megabytes, rows=rows, batch=on_gpu._session.batch, said=said)
        except Exception as error:  # whatever it is, it is what is wanted here
            told(short=megabytes, did_not_start=gpu.first_words(error))
    gpu._ARENA = whole


if __name__ == "__main__":
    main()
