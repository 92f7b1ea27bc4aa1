"""``python -m fursure.engine.trial PRECISION…``: the child of `fursure.engine.selftest`.

It takes a network on its standard input and tries OpenVINO in one precision after the other, until
one agrees with ONNX Runtime; for each it prints why not, or nothing. It may crash in the middle.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fursure.engine.agreement import compare_features, pictures
from fursure.engine.openvino import OpenVino, Precision, has_bf16
from fursure.engine.runtime import BATCH, OnnxRuntime, Pixels, Session
from fursure.run import available_threads


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


def _features(session: Session, pixels_NHWC: Pixels, threads: int) -> NDArray[np.float32]:
    batches = [pixels_NHWC[row : row + BATCH] for row in range(0, len(pixels_NHWC), BATCH)]
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate([out["features"] for out in pool.map(session, batches)])


if __name__ == "__main__":
    for line in problems(sys.stdin.buffer.read(), sys.argv[1:]):  # type: ignore[arg-type]
        print(json.dumps(line), flush=True)  # noqa: T201 - to its parent
