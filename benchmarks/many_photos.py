"""Does time grow with the number of photos, and memory not?

    python -m benchmarks.many_photos [COUNT ...] [--command train|check|predict]

The real photos are linked again and again (hard links, a copy's name says which), in folders of
10,000, until there are COUNT of them. Features come from a cache that a first run has filled, so
what is measured is listing, reading, digests, caches, grouping, dividing and fitting; `predict`
has no cache and is measured whole. The exponent is the slope of log seconds over log photos.
"""

import argparse
import os
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import Timed, described, run
from benchmarks.main_job import FURSURE, PHOTOS

IN_FOLDER = 10_000  # files


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[25_000, 50_000, 100_000, 200_000])
    parser.add_argument("--command", choices=["train", "check", "predict"], default="train")
    asked = parser.parse_args()
    if not PHOTOS.is_file():
        sys.exit(f"no photos at {PHOTOS}; set FURSURE_DATA")
    print(f"{described()}\n\n| photos | seconds | photos/s | peak MB |", flush=True)
    print("|---|---|---|---|", flush=True)
    seconds = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("FURSURE_SCRATCH")) as name:
        root = Path(name)
        env = {"FURSURE_HOME": str(root / "home")}
        with zipfile.ZipFile(PHOTOS) as archive:
            archive.extractall(root / "real")
        real = sorted((root / "real").rglob("*.jpg"))
        _timed(asked.command, root / "real", root, env)  # fills the caches
        for count in asked.counts:
            folder = root / f"{count}"
            _linked(real, folder, count)
            done = _timed(asked.command, folder, root, env)
            seconds.append(done.wall)
            row = f"{count:,} | {done.wall:.1f} | {count / done.wall:,.0f} | {done.peak:.0f}"
            print(f"| {row} |", flush=True)
    if len(seconds) > 1:
        print(f"\n{_exponent(asked.counts, seconds)}")


def _linked(real: Sequence[Path], folder: Path, count: int) -> None:
    for number in range(count):
        photo = real[number % len(real)]
        label, row = photo.name.split(".")[:2]
        part = folder / label / f"{number // IN_FOLDER}"
        part.mkdir(parents=True, exist_ok=True)
        os.link(photo, part / f"{row}-{number // len(real)}.jpg")


def _timed(command: str, folder: Path, root: Path, env: dict[str, str]) -> Timed:
    options = {
        "train": ["-o", root / "model.fursure", "--overwrite"],
        "check": [],
        "predict": ["--csv", root / "answers.csv", "--overwrite"],
    }[command]
    done = run([*FURSURE, command, "-q", folder, *options], env=env)
    if done.code:
        sys.exit(f"{command} of {folder} ended with {done.code}")
    return done


def _exponent(counts: Sequence[int], seconds: Sequence[float]) -> str:
    """Return the slope of log seconds over log photos, with its 95 % interval."""
    x_N, y_N = np.log(counts), np.log(seconds)
    design_N2 = np.column_stack([x_N, np.ones(len(x_N))])
    (slope, _), residuals, *_ = np.linalg.lstsq(design_N2, y_N, rcond=None)
    freedom = len(counts) - 2
    if freedom < 1:
        return f"exponent {slope:.2f}"
    spread = np.sqrt(residuals[0] / freedom / ((x_N - x_N.mean()) ** 2).sum())
    student = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57}.get(freedom, 2.0)
    return f"exponent {slope:.2f} [{slope - student * spread:.2f}, {slope + student * spread:.2f}]"


if __name__ == "__main__":
    main()
