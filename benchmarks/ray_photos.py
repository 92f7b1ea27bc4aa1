"""What does it cost to let a cluster of Ray do the work?

    python -m benchmarks.ray_photos [COUNT] [--turns 1]

The real photos are linked (hard links) until there are COUNT of them; `predict --csv` answers them
on this machine, and with `--on ray` on two nodes of `ray.cluster_utils.Cluster`, two logical cores
each, which share this machine's. Photos/s are what the command says at its end, from the first row
it waits for to the last one, the start of the workers included; seconds are the whole command's.
The nodes are there before the command begins. Rows are compared byte by byte.
"""

import argparse
import os
import re
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.machine import described, run
from benchmarks.main_job import FURSURE, PHOTOS
from benchmarks.ray_nodes import Nodes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=1)
    asked = parser.parse_args()
    if not PHOTOS.is_file():
        sys.exit(f"no photos at {PHOTOS}; set FURSURE_DATA")
    print(f"{described()}\n\n| where | photos | seconds | photos/s | peak MB of the command |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FURSURE_SCRATCH")) as name:
        root = Path(name)
        folder = _linked(root, asked.count)
        for _ in range(asked.turns):
            here = _timed("this machine", folder, root, asked.count, {})
            with Nodes() as nodes:
                env = {"RAY_ADDRESS": nodes.address}
                there = _timed("two nodes", folder, root, asked.count, env, "--on", "ray")
            same = (root / "here.csv").read_bytes() == (root / "there.csv").read_bytes()
            print(f"\n{there / here:.1%} of the photos/s, {'the same' if same else 'OTHER'} rows\n")


def _linked(root: Path, count: int) -> Path:
    """Return a folder of ``count`` photos."""
    with zipfile.ZipFile(PHOTOS) as archive:
        archive.extractall(root / "real")
    real = sorted((root / "real").rglob("*.jpg"))
    for number in range(count):
        part = root / "photos" / f"{number // 10_000:04}"
        part.mkdir(parents=True, exist_ok=True)
        os.link(real[number % len(real)], part / f"{number:08}.jpg")
    return root / "photos"


def _timed(
    where: str, folder: Path, root: Path, count: int, env: dict[str, str], *more: str
) -> float:
    """Run one command, print its row, and return its photos a second."""
    log = root / "log"
    table = root / ("there.csv" if more else "here.csv")
    command = [*FURSURE, "predict", folder, "--csv", table, "--overwrite", *more]
    done = run(command, env=env, log=log)
    said = re.findall(r"predicting: \d+ in ([\d.]+) s", log.read_text())
    if done.code or not said:
        sys.exit(f"the command ended with {done.code}:\n{log.read_text()}")
    rate = count / float(said[-1])
    print(f"| {where} | {count:,} | {done.wall:.1f} | {rate:.0f} | {done.peak:.0f} |", flush=True)
    return rate


if __name__ == "__main__":
    main()
