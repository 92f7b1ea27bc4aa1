"""``python -m fursure.engine.trial [KIND PROCESSOR] PRECISION…``: the child of a self-test.

It takes a network on its standard input and tries OpenVINO in one precision after the other, until
one agrees with ONNX Runtime; for each it prints why not, or nothing. It may crash in the middle.
With a KIND it tries a graphics processor, and prints also from how many photos on that is quicker
than the main one, on which OpenVINO runs in the precision PROCESSOR, or "none".
"""

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fursure.engine.agreement import compare_features, pictures
from fursure.engine.gpu import GPU_KINDS, GpuKind, first_words, gpu_session, lists_gpu
from fursure.engine.openvino import OpenVino, Precision, has_bf16
from fursure.engine.runtime import BULK, OnnxRuntime, Pixels, Session
from fursure.run import available_threads

_OVERLAID = (
    "onnxruntime was installed over it; pip uninstall -y onnxruntime onnxruntime-gpu, then "
    "pip install onnxruntime-gpu"
)
_CALLS = 8  # of a whole batch, by which a device is timed; and two for each thread

GpuFinding = tuple[str, str, int | None]  # precision ("": none began), problem, photos that pay


def problems(model: bytes, precisions: Sequence[Precision]) -> Iterator[tuple[Precision, str]]:
    """Yield why each precision will not do; an empty reason is the last."""
    threads = available_threads()
    reference = OnnxRuntime(model, threads=1, bulk=True)
    pixels_NHWC, kind_N = pictures(reference.side)
    expected_ND = _features(reference, pixels_NHWC, threads)
    for precision in precisions:
        if precision == "bf16" and not has_bf16():
            yield precision, "this processor does not have it"
            continue
        session = OpenVino(model, threads=threads, precision=precision)
        agreement = compare_features(expected_ND, _features(session, pixels_NHWC, threads), kind_N)
        problem = agreement.problem(precision) or ""
        yield precision, problem
        if not problem:
            return


def gpu_findings(
    model: bytes, kind: GpuKind, processor: Precision | None, precisions: Sequence[Precision]
) -> Iterator[GpuFinding]:
    """Yield why each precision will not do, and when it pays; an empty reason is the last."""
    if not lists_gpu(kind):
        yield "", "" if kind == "openvino-gpu" else _OVERLAID, None
        return
    threads = available_threads()
    reference = OnnxRuntime(model, threads=1, bulk=True)
    pixels_NHWC, kind_N = pictures(reference.side)
    expected_ND = _features(reference, pixels_NHWC, threads)
    main = OpenVino(model, threads=threads, precision=processor) if processor else reference
    rate = photos_a_second(main, pixels_NHWC, threads)
    for precision in precisions:
        began = time.perf_counter()
        try:
            session = gpu_session(kind, model, precision)
            found_ND = _features(session, pixels_NHWC, 1)
        except Exception as error:  # each library has its own types
            yield "", first_words(error), None
            return
        start = time.perf_counter() - began
        problem = compare_features(expected_ND, found_ND, kind_N).problem(precision) or ""
        pays = None
        if not problem:
            pays = pays_from(start, photos_a_second(session, pixels_NHWC, 1), rate)
        yield precision, problem, pays
        if not problem:
            return


def pays_from(start: float, gpu: float, processor: float) -> int | None:
    """Return from how many photos on a device that takes ``start`` seconds to begin is quicker.

    The others are photos a second; None: it never is. The main processor also decodes, so a
    device that is no faster may still help; it is not taken on that hope.
    """
    if gpu <= processor:
        return None
    return max(BULK, math.ceil(start / (1 / processor - 1 / gpu)))


def photos_a_second(session: Session, pixels_NHWC: Pixels, threads: int) -> float:
    """Return how many photos a warm session answers, the better of two turns."""
    calls = max(_CALLS, 2 * threads)
    batch_NHWC = np.resize(pixels_NHWC, (session.batch, *pixels_NHWC.shape[1:]))
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(2):
            began = time.perf_counter()
            list(pool.map(session, [batch_NHWC] * calls))
            seconds.append(time.perf_counter() - began)
    return calls * session.batch / min(seconds)


def _features(session: Session, pixels_NHWC: Pixels, threads: int) -> NDArray[np.float32]:
    rows = session.batch
    batches = [pixels_NHWC[row : row + rows] for row in range(0, len(pixels_NHWC), rows)]
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate([out["features"] for out in pool.map(session, batches)])


def _main(model: bytes, asked: list[str]) -> Iterator[tuple[object, ...]]:
    if asked[0] in GPU_KINDS:
        kind, processor, *precisions = asked
        main = None if processor == "none" else processor
        yield from gpu_findings(model, kind, main, precisions)  # type: ignore[arg-type]
    else:
        yield from problems(model, asked)  # type: ignore[arg-type]


if __name__ == "__main__":
    for line in _main(sys.stdin.buffer.read(), sys.argv[1:]):
        print(json.dumps(line), flush=True)  # noqa: T201 - to its parent
