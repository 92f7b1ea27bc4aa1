"""Decode odd images: what is answered, refused by name, wrong; how slow, how much memory.

python -m benchmarks.odd_images FOLDER… [--mutations N]

A picture whose truth is known has it beside it: NAME.npy, levels in [0, 1] (height, width, 3).
Mutations are files of the folders, changed as the fuzzer does (`fuzzing.mutate`).
"""

import random
import resource
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fursure.errors import BadImage
from fursure.photos.decode import decode
from fuzzing.mutate import Mutator

CLOSE = 0.012  # mean difference; 0.05 for lossy formats
LOSSY = ("jpeg", "webp", "avif")


def main() -> None:
    """Print the counts of every folder together, and of the mutations."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--mutations", type=int, default=0)
    options = parser.parse_args()
    paths = [path for folder in options.folders for path in sorted(folder.iterdir())]
    paths = [path for path in paths if path.suffix != ".npy"]
    _report("as they are", ((path, path.read_bytes()) for path in paths))
    if options.mutations:
        _report("mutated", _mutated(paths, options.mutations))


def _report(title: str, files: Iterator[tuple[Path | None, bytes]]) -> None:
    counts: Counter[str] = Counter()
    slowest = 0.0
    for path, data in files:
        start = time.process_time()
        verdict = _verdict(path, data)
        slowest = max(slowest, time.process_time() - start)
        counts[verdict] += 1
        if verdict == "wrong":
            print("wrong:", path)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{title}: {counts.total():,} files, {dict(counts)}, "
        f"slowest {slowest:.2f} s of the processor, {most:.0f} MiB"
    )


def _verdict(path: Path | None, data: bytes) -> str:
    try:
        photo = decode(data, min_side=4096)
    except BadImage as error:
        return "damaged" if "damaged" in error.reason else "refused by name"
    truth = None if path is None else path.with_name(path.name + ".npy")
    if truth is None or not truth.exists():
        return "answered"
    levels_HWC = np.load(truth)
    pixels_HWC = np.asarray(photo.image) / 255
    close = 0.05 if any(word in truth.name for word in LOSSY) else CLOSE
    same = pixels_HWC.shape == levels_HWC.shape
    return "right" if same and np.abs(pixels_HWC - levels_HWC).mean() <= close else "wrong"


def _mutated(paths: list[Path], number: int) -> Iterator[tuple[Path | None, bytes]]:
    rng = random.Random(0)  # noqa: S311  # nothing secret
    files = [path.read_bytes() for path in rng.sample(paths, min(len(paths), 1500))]
    change = Mutator(others=files, longest=2**24)
    for _ in range(number):
        yield None, change(rng.choice(files), rng)


if __name__ == "__main__":
    main()
