"""Photos of 12 megapixels → photos a second, against what decoding them alone allows.

    python -m benchmarks.phone_photos [--photos 40] [--times 10] [--heic]

Real photos are enlarged to 4,000 × 3,000 with noise like a sensor's and saved at quality 90, about
4 MB each; HEIC where pillow-heif is installed. Each is linked several times, so that the start of
the process weighs little. The limit is the decoder's own reduced decoding of the same bytes from
memory, on all cores, or the network alone, whichever is slower; and what both leave when they share
the cores, for they do.
"""

import argparse
import io
import os
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import described, run
from benchmarks.main_job import FURSURE, PHOTOS
from fursure.formats.jpeg import reduction
from fursure.formats.table import sniff
from fursure.photos.preprocess import COMMON_SIDE
from fursure.run import available_threads

SIZE = (4000, 3000)
NOISE = 6.0  # grey levels, standard deviation: a small sensor indoors
QUALITY = 90


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--heic", action="store_true")
    asked = parser.parse_args()
    if not PHOTOS.is_file():
        sys.exit(f"no photos at {PHOTOS}; set FURSURE_DATA")
    print(f"{described()}\n\n| what | photos/s | share of the limit |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        env = {"FURSURE_HOME": f"{name}/home"}
        folder = Path(name) / "photos"
        _write(folder, asked.photos, "HEIF" if asked.heic else "JPEG")
        decoding = _decoding_alone(folder)
        network = _network_alone(env)
        _links(folder, asked.times)
        count, limit = asked.photos * asked.times, min(decoding, network)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / count / 2**20
        print(f"| decoding alone, {megabytes:.1f} MB a photo | {decoding:.0f} | |")
        print(f"| the network alone | {network:.0f} | |", flush=True)
        both = 1 / (1 / decoding + 1 / network)
        print(f"| decoding and the network, in turn on the same cores | {both:.0f} | |", flush=True)
        start = run([*FURSURE, "predict", "-q", next(folder.iterdir())], env=env).wall
        table = [folder, "--csv", Path(name) / "answers.csv", "--overwrite"]
        run([*FURSURE, "predict", "-q", *table], env=env)  # the network's self-test, once
        whole = run([*FURSURE, "predict", "-q", *table], env=env)
        for what, seconds in [
            (f"predict {count:,} of them, the start included", whole.wall),
            ("the same without a start", whole.wall - start),
        ]:
            rate = count / seconds
            print(
                f"| {what} | {rate:.0f}; {whole.cpu / whole.wall:.2f} cores | {rate / limit:.0%}; "
                f"{rate / both:.0%} of both in turn |"
            )


def _write(folder: Path, count: int, format_: str) -> None:
    if format_ == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    folder.mkdir()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(PHOTOS) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        for number, name in enumerate(names[:: len(names) // count][:count]):
            photo = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
            large = np.asarray(photo.resize(SIZE, Image.Resampling.BICUBIC), np.float32)
            noisy = large + rng.normal(0, NOISE, large.shape).astype(np.float32)
            path = folder / f"{number}.{'heic' if format_ == 'HEIF' else 'jpg'}"
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(
                path, format_, quality=QUALITY
            )


def _links(folder: Path, times: int) -> None:
    for path in sorted(folder.iterdir()):
        for number in range(1, times):
            os.link(path, path.with_name(f"{path.stem}-{number}{path.suffix}"))


def _decoding_alone(folder: Path) -> float:
    """Return photos a second of the decoder, bytes in memory, on all cores."""
    data = [path.read_bytes() for path in folder.iterdir()]

    def decode(photo: bytes) -> None:
        scale = reduction(SIZE, COMMON_SIDE)
        sniff(photo, "photo").read(photo).open(scale).load()

    with ThreadPoolExecutor(available_threads()) as pool:
        list(pool.map(decode, data))
        began = time.perf_counter()
        list(pool.map(decode, data * 3))
        return 3 * len(data) / (time.perf_counter() - began)


def _network_alone(env: dict[str, str]) -> float:
    command = [sys.executable, "-m", "benchmarks.engine_peak", "lite0"]
    run(command, env=env)
    return float(run(command, env=env).stdout.strip().split("|")[1])


if __name__ == "__main__":
    main()
