"""The service under load: one core for it, one for its clients, each row a ratio in one run.

    .venv/bin/python -m benchmarks.load ROW… --model NET.fursure [--photos PHOTOS.zip]

Rows: throughput idle overload memory soak slow start peer. The load is open: requests leave by a
fixed schedule, whether or not earlier ones came back, and each one's time counts from when it
should have left. `peer` wants --peer-python, a Python that has Flask, Keras and TensorFlow.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load_client import Pool, Sample, closed_loop, open_loop, request_of, slow_clients

ROWS = ("throughput", "idle", "overload", "memory", "soak", "slow", "start", "peer")
SERVER, CLIENT = "0", "1"  # cores
PEAK = """
import sys, time
import numpy as np
from pathlib import Path
from fursure.bundle.bundle import Bundle
from fursure.engine.predictor import Predictor
bundle = Bundle.read(Path(sys.argv[1]))
bulk = Predictor.open(bundle, photos=1000, threads=1)
predictor = Predictor.open(bundle, photos=1000, threads=1, batch=2)  # as the service has it
photos = [Path(one).read_bytes() for one in sys.argv[2:]]
size = predictor.network.preprocess.size
pixels = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
named = [("", one) for one in photos]
def rate(work, count, seconds=4.0):
    work(); began = time.perf_counter(); rounds = 0
    while time.perf_counter() - began < seconds:
        work(); rounds += 1
    return rounds * count / (time.perf_counter() - began)
network = max(rate(lambda: each.network.session(pixels), 8) for each in (bulk, predictor))
single = 1e3 / rate(lambda: predictor.network.session(pixels[:1]), 1)
whole = rate(lambda: predictor.batch(named[:8]), 8)
alone = 1e3 / rate(lambda: predictor.batch(named[:1]), 1)
print(network, single, whole, alone)
"""


def main() -> None:
    """Measure the rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="+", choices=ROWS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="a zip of JPEGs; drawings where there is none")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each level of load")
    parser.add_argument("--requests", type=int, default=100_000, help="of the memory row")
    parser.add_argument("--slow-clients", type=int, default=1000)
    parser.add_argument("--peer-python", type=Path)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {int(CLIENT)})
    photos = _photos(asked.photos)
    for row in asked.rows:
        globals()[f"measure_{row}"](asked, photos)


def _photos(path: Path | None) -> list[bytes]:
    if path is None:
        from fursure.drawings.draw import draw, jpeg

        return [jpeg(draw("cat", seed, size=200)) for seed in range(200)]
    with zipfile.ZipFile(path) as archive:
        names = [one for one in archive.namelist() if one.endswith(".jpg")]
        return [archive.read(one) for one in random.Random(0).sample(names, 200)]  # noqa: S311


@contextmanager
def served(model: Path, *options: str) -> Any:
    """Run the service on its core; yields its port and process."""
    command = ["taskset", "-c", SERVER, sys.executable, "-m", "fursure", "serve", str(model)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--threads", "1", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def _engine(asked: argparse.Namespace, photos: Sequence[bytes]) -> tuple[float, ...]:
    """Return the network's rate, its time for one, and both again with decoding, on one core."""
    folder = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108
    paths = []
    for number, one in enumerate(photos[:8]):
        path = folder / f"fursure-load-{os.getpid()}-{number}.jpg"
        path.write_bytes(one)
        paths.append(path)
    command = ["taskset", "-c", SERVER, sys.executable, "-c", PEAK, str(asked.model)]
    told = subprocess.run(
        [*command, *map(str, paths)], capture_output=True, text=True, check=True
    ).stdout
    for path in paths:
        path.unlink()
    return tuple(map(float, told.split()))


def measure_throughput(asked: argparse.Namespace, photos: Sequence[bytes]) -> float:
    """Saturate the service by clients that wait for their answers."""
    network, _, whole, _ = _engine(asked, photos)
    with served(asked.model, "--lift-address-limits") as (port, _):
        rate = _capacity(port, photos, min(asked.seconds, 15))
    print(
        f"throughput: {rate:.0f} photos/s; {rate / network:.0%} of the network alone "
        f"({network:.0f}), {rate / whole:.0%} of decoding and network without HTTP ({whole:.0f}); "
        f"80 % asked: {'met' if rate >= 0.8 * network else 'MISSED against the network alone'}"
    )
    return rate


def _capacity(port: int, photos: Sequence[bytes], seconds: float) -> float:
    asyncio.run(closed_loop(port, photos, clients=14, seconds=2))
    samples = asyncio.run(closed_loop(port, photos, clients=14, seconds=seconds))
    return sum(one.status == 200 for one in samples) / seconds


def measure_idle(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Ask one photo after another, with a pause, and compare with the call of the engine."""
    _, single, _, alone = _engine(asked, photos)
    with served(asked.model, "--lift-address-limits") as (port, _):
        samples = asyncio.run(closed_loop(port, photos, clients=1, seconds=8, pause=0.01))
    median = 1e3 * statistics.median(one.seconds for one in samples)
    print(
        f"idle: {median:.1f} ms at the median, n = {len(samples)}; the engine's call {single:.1f} "
        f"ms, with decoding and preparing {alone:.1f} ms; added: {median - alone:.1f} ms beyond "
        f"those, {median - single:.1f} ms beyond the bare call (2 ms asked: "
        f"{'met' if median - single <= 2 else 'MISSED'})"
    )


def measure_overload(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Send 1, 2, 5, 10 and 20 times what it can do, by the clock."""
    with served(asked.model, "--lift-address-limits") as (port, _):
        peak = _capacity(port, photos, 10)
        for factor in (1, 2, 5, 10, 20):
            samples, sent = asyncio.run(open_loop(port, photos, factor * peak, asked.seconds))
            time.sleep(2)
            after = asyncio.run(closed_loop(port, photos, clients=1, seconds=2, pause=0.02))
            _tell_overload(factor, peak, samples, sent, after, asked.seconds)


def _tell_overload(
    factor: int,
    peak: float,
    samples: Sequence[Sample],
    sent: int,
    after: Sequence[Sample],
    seconds: float,
) -> None:
    good = [one.seconds for one in samples if one.status == 200]
    refused = [one.answered for one in samples if one.status == 503]
    other = len(samples) - len(good) - len(refused)
    goodput = len(good) / seconds
    well = sum(one.status == 200 for one in after) / max(1, len(after))
    print(
        f"overload {factor}x: {sent / seconds:.0f} requests/s sent, goodput {goodput:.0f}/s, "
        f"{goodput / peak:.0%} of the peak ({peak:.0f}); accepted p50 {_ms(good, 0.5)}, p99 "
        f"{_ms(good, 0.99)}; refused {len(refused)}, p50 {_ms(refused, 0.5)}, p99 "
        f"{_ms(refused, 0.99)}; other {other}; 2 s later {well:.0%} answered, p99 "
        f"{_ms([one.seconds for one in after], 0.99)}"
    )


def _ms(values: Sequence[float], share: float) -> str:
    if not values:
        return "–"
    return f"{1e3 * sorted(values)[min(len(values) - 1, int(share * len(values)))]:.0f} ms"


def measure_memory(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Send mixed requests, a tenth of them bad, one in twenty given up, and watch the process."""
    with served(asked.model, "--lift-address-limits") as (port, process):
        first = asked.requests // 10
        asyncio.run(_mixed(port, photos, first))
        before = _state(process.pid)
        began = time.monotonic()
        asyncio.run(_mixed(port, photos, asked.requests - first))
        seconds = time.monotonic() - began
        time.sleep(2)
        after = _state(process.pid)
    growth = after["rss"] / before["rss"] - 1
    print(
        f"memory: {before['rss'] / 1e6:.0f} MB after {first} requests, {after['rss'] / 1e6:.0f} MB "
        f"after {asked.requests} ({growth:+.1%}, 5 % allowed: "
        f"{'met' if growth <= 0.05 else 'MISSED'}); threads {before['threads']} and "
        f"{after['threads']}, files {before['files']} and {after['files']}; "
        f"{(asked.requests - first) / seconds:.0f} requests/s"
    )


def measure_soak(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Send seven tenths of what it can do, and compare the end with the beginning."""
    with served(asked.model, "--lift-address-limits") as (port, process):
        peak = _capacity(port, photos, 10)
        before = _state(process.pid)
        samples, sent = asyncio.run(open_loop(port, photos, 0.7 * peak, asked.seconds))
        time.sleep(2)
        after = _state(process.pid)
    tenth = len(samples) // 10
    first, last = (
        _quantile([one.seconds for one in part], 0.99)
        for part in (samples[tenth : 2 * tenth], samples[-tenth:])
    )
    wrong = sum(one.status != 200 for one in samples)
    print(
        f"soak: {sent} requests in {asked.seconds:.0f} s, {wrong} not answered; p99 "
        f"{1e3 * first:.0f} ms in the second tenth, {1e3 * last:.0f} ms in the last "
        f"({last / first - 1:+.0%}, 10 % allowed); {before['rss'] / 1e6:.0f} MB before, "
        f"{after['rss'] / 1e6:.0f} MB after; files {before['files']} and {after['files']}"
    )


async def _mixed(port: int, photos: Sequence[bytes], count: int) -> None:
    chance = random.Random(count)  # noqa: S311
    bad = [b"text", b"", photos[0][:300], b"\xff\xd8\xff" + bytes(500)]
    bodies = [
        chance.choice(bad) if chance.random() < 0.1 else chance.choice(photos) for _ in range(2_000)
    ]
    pool = Pool(port, size=20)
    limit = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        try:
            data = request_of(bodies[number % len(bodies)])
            if number % 20 == 0:
                await pool.give_up(data)
            else:
                await pool.ask(data, time.monotonic())
        finally:
            limit.release()

    tasks = set()
    for number in range(count):
        await limit.acquire()
        task = asyncio.ensure_future(one(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks, return_exceptions=True)
    pool.close()


def _state(pid: int) -> dict[str, int]:
    folder = Path(f"/proc/{pid}")
    return {
        "rss": int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        "threads": len(list((folder / "task").iterdir())),
        "files": len(list((folder / "fd").iterdir())),
    }


def measure_slow(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Let many clients drip a byte every five seconds while a good one asks."""
    seconds = min(asked.seconds * 2, 120)
    with served(asked.model, "--lift-address-limits") as (port, process):
        calm = asyncio.run(closed_loop(port, photos, clients=1, seconds=10, pause=0.1))

        async def story() -> tuple[list[Sample], list[float]]:
            drips = asyncio.ensure_future(slow_clients(port, asked.slow_clients, seconds))
            found = await closed_loop(port, photos, clients=1, seconds=seconds, pause=0.1)
            return found, await drips

        busy, lived = asyncio.run(story())
        files = _state(process.pid)["files"]
    base = _quantile([one.seconds for one in calm], 0.99)
    there = _quantile([one.seconds for one in busy], 0.99)
    ok = sum(one.status == 200 for one in busy)
    print(
        f"slow: {len(lived)} dripping connections lived {min(lived):.1f} to {max(lived):.1f} s "
        f"(10 allowed); a good client's p99 {1e3 * base:.0f} ms before, {1e3 * there:.0f} ms then "
        f"({there / base:.2f} x, 2 allowed), {ok} of {len(busy)} answered; {files} files open after"
    )


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure_start(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Time from the command to the first answer, both cores free to use."""
    os.sched_setaffinity(0, {int(SERVER), int(CLIENT)})
    times = []
    for _ in range(5):
        began = time.monotonic()
        command = [sys.executable, "-m", "fursure", "serve", str(asked.model), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        asyncio.run(closed_loop(port, photos, clients=1, seconds=0.01))
        times.append(time.monotonic() - began)
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()
    os.sched_setaffinity(0, {int(CLIENT)})
    middle = statistics.median(times)
    print(
        f"start: first answer after {middle:.2f} s ({min(times):.2f} to {max(times):.2f}, n = 5); "
        f"1.5 s asked: {'met' if middle <= 1.5 else 'MISSED'}"
    )


def measure_peer(asked: argparse.Namespace, photos: Sequence[bytes]) -> None:
    """Compare with Flask's own server and one Keras prediction a request, in the same run."""
    if asked.peer_python is None:
        print("peer: needs --peer-python")
        return
    script = Path(__file__).with_name("peer_flask_keras.py")
    process = subprocess.Popen(
        ["taskset", "-c", SERVER, str(asked.peer_python), str(script)],  # noqa: S607
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        asyncio.run(closed_loop(port, photos, clients=4, seconds=3, path="/predict"))
        samples = asyncio.run(closed_loop(port, photos, clients=14, seconds=15, path="/predict"))
        theirs = sum(one.status == 200 for one in samples) / 15
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with served(asked.model, "--lift-address-limits") as (port, _):
        ours = _capacity(port, photos, 15)
    print(
        f"peer: Flask and Keras {theirs:.1f} photos/s, ours {ours:.0f}: {ours / theirs:.1f} x "
        f"(5 asked: {'met' if ours >= 5 * theirs else 'MISSED'})"
    )


if __name__ == "__main__":
    main()
