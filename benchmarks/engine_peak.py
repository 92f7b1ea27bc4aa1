"""What the network alone reaches, without photos: the physical limit of everything else.

    python -m benchmarks.engine_peak BACKBONE

A process of its own, since the threads of a converter's torch would stand in the way.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fursure.backbones.kinds import load_backbone
from fursure.engine.runtime import BATCH
from fursure.engine.session import open_session
from fursure.run import available_threads

PHOTOS = 6_000


def main(name: str) -> None:
    """Print the engine and its photos a second: the best of three rounds."""
    backbone = load_backbone(name)
    session = open_session(backbone.onnx, photos=PHOTOS)
    size = backbone.preprocess.size
    rng = np.random.default_rng(0)
    pixels_BHWC = rng.integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
    rounds = []
    with ThreadPoolExecutor(available_threads()) as pool:
        list(pool.map(session, [pixels_BHWC] * 16))
        for _ in range(3):
            began = time.perf_counter()
            list(pool.map(session, [pixels_BHWC] * (PHOTOS // 3 // BATCH)))
            rounds.append(PHOTOS // 3 / (time.perf_counter() - began))
    print(f"{session.engine}|{max(rounds)}")


if __name__ == "__main__":
    main(sys.argv[1])
