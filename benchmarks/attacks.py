"""A good client beside an attack from another address: its times, the loop's stalls, the memory.

    .venv/bin/python -m benchmarks.attacks [ROW…] [--model pets] [--engine auto] [--seconds 10]

The service has one core and its clients the other. The good client is a process of its own, which
asks for one drawn photo and then rests for 20 ms, first alone, then beside the attackers, who never
pause. `serve NOTE …` runs the service with a watch on its event loop, for this and for the tests.
"""

import argparse
import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER, CLIENT = "0", "1"  # cores
TICK = 0.005  # seconds between two looks at the loop
GOOD, EVIL = "127.0.0.2", "127.0.0.3"
INFER = "/v2/models/pets/infer"
NEVER = 3600.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is sent again and again."""

    data: Callable[[], bytes]  # a whole request, or what is dripped
    links: int = 1  # connections at once
    addresses: int = 1
    hold: float = 0.0  # seconds it is held open unread, in place of reading the answer


def post(
    body: bytes, path: str = "/v1/predict", kind: str = "image/jpeg", extra: str = ""
) -> bytes:
    """Return a whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def form(photos: Sequence[bytes], path: str = "/v1/predict") -> bytes:
    """Return a form with photos."""
    head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    body = b"".join(head + photo + b"\r\n" for photo in photos) + b"--x--\r\n"
    return post(body, path, "multipart/form-data; boundary=x")


def get(path: str) -> bytes:
    """Return a request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def infer(tensor: Mapping[str, Any], **more: Any) -> bytes:
    """Return a request of the inference protocol."""
    return post(json.dumps({"inputs": [tensor], **more}).encode(), INFER, "application/json")


def photos_tensor(photos: Sequence[bytes]) -> dict[str, Any]:
    """Return photos as JSON has them."""
    data = [b64encode(photo).decode() for photo in photos]
    return {"name": "photos", "datatype": "BYTES", "shape": [len(data)], "data": data}


def pixels_tensor(data: Any, shape: Sequence[int]) -> dict[str, Any]:
    """Return pixels as JSON has them."""
    return {"name": "pixels", "datatype": "UINT8", "shape": list(shape), "data": data}


def photo(size: int = 200) -> bytes:
    """Return a drawn photo."""
    from fursure.drawings.draw import draw, jpeg

    return jpeg(draw("cat", 1, size=size))


def flat(mode: str, format_: str, **options: Any) -> bytes:
    """Return an empty picture of 64 megapixels."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, (8_000, 8_000)).save(buffer, format_, **options)
    return buffer.getvalue()


def tiles() -> bytes:
    """Return a TIFF of 64 x 64 pixels whose tiles are 32 x 22 million."""
    from struct import pack

    tags = {
        256: 64,
        257: 64,
        258: 8,
        259: 1,
        262: 1,
        277: 1,
        322: 32,
        323: 22_000_000,
        324: 8,
        325: 9,
    }
    table = b"".join(pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + pack("<IH", 8, len(tags)) + table + bytes(4)


def chunked_trailers() -> bytes:
    """Return a request with trailers of 8 MB."""
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"1\r\na\r\n0\r\n" + b"x: 1234567890\r\n" * 600_000


def endless(head: bytes, piece: bytes, count: int, tail: bytes) -> bytes:
    """Return a request whose JSON repeats a piece."""
    return post(head + piece * count + tail, INFER, "application/json")


DATA = b'{"inputs":[{"name":"pixels","datatype":"UINT8","shape":[3,224,224,3],"data":['
WORDS = ["a" * 40_000] + ["b"] * 5_000
FEATURES = {"name": "features"}
PARTS = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
FORM = "multipart/form-data; boundary=x"
FIELDS = "application/x-www-form-urlencoded"
PACKED = {"compression": "tiff_adobe_deflate"}
ATTACKS: dict[str, Attack] = {
    "shape": Attack(data=lambda: infer(photos_tensor([b""]) | {"shape": [9] * 160_000})),
    "words": Attack(data=lambda: infer(pixels_tensor(WORDS, [1, 9, 9, 3]))),
    "lists": Attack(data=lambda: endless(b'{"inputs":[[', b"[],", 6_600_000, b"[]]]}")),
    "nothings": Attack(data=lambda: endless(b'{"inputs":[', b"{},", 170_000, b"{}]}")),
    "values": Attack(data=lambda: endless(DATA, b"255,", 451_583, b"255]}]}")),
    "escapes": Attack(data=lambda: endless(b'{"inputs":["', rb"\u00e4", 262_000, b'"]}')),
    "digits": Attack(data=lambda: endless(b'{"inputs":[', b"9" * 4_299 + b",", 4_800, b"1]}")),
    "fraction": Attack(data=lambda: endless(b'{"inputs":[0.', b"9", 20_000_000, b"]}")),
    "umlauts": Attack(data=lambda: endless(b'{"inputs":["', "ä".encode(), 10_000_000, b'"]}')),
    "base64": Attack(data=lambda: infer(photos_tensor([bytes(14_000_000)]))),
    "outputs": Attack(data=lambda: infer(photos_tensor([photo()]), outputs=[FEATURES] * 3_000)),
    "answers": Attack(data=lambda: infer(photos_tensor([photo()] * 64))),
    "trailers": Attack(data=chunked_trailers),
    "parts": Attack(data=lambda: post(PARTS * 390_000, kind=FORM)),
    "boundary": Attack(data=lambda: form([b"\r\n--xy" * 3_000_000])),
    "fields": Attack(data=lambda: post(b"a" * 20_000_000, kind=FIELDS)),
    "tiles": Attack(data=lambda: post(tiles())),
    "floating": Attack(data=lambda: post(flat("F", "TIFF", **PACKED)), links=4),
    "webp": Attack(data=lambda: post(flat("RGB", "WEBP")), links=4),
    "held": Attack(data=lambda: post(bytes(20_000_000))[:-9], links=32, hold=3.0),
    "reports": Attack(data=lambda: get("/report/pets") * 12, links=32, addresses=8, hold=NEVER),
    "forms": Attack(data=lambda: form([photo()] * 64), links=3),
    "heat": Attack(data=lambda: form([photo()] * 64, "/v1/predict?heat=1"), links=3),
    "large": Attack(data=lambda: form([flat("RGB", "PNG")] * 4), links=2),
    "phone": Attack(data=lambda: form([photo(1_900)] * 16), links=3),
    "facts": Attack(data=lambda: get("/v1/models"), links=16),
    "idle": Attack(data=lambda: b"", links=93, hold=NEVER),
}


def main() -> None:
    """Measure the rows that were asked for."""
    if sys.argv[1:2] == ["serve"]:
        watched(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[*ATTACKS, []])
    parser.add_argument("--model", default="pets")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    match asked.client:
        case None:
            for row in asked.rows or ATTACKS:
                measure(row, asked)
        case "good":
            print(json.dumps(good_client(asked.port, asked.seconds)))
        case row:
            attack(ATTACKS[row], asked.port, asked.seconds)


# The service


def watched(note: Path, arguments: Sequence[str]) -> None:
    """Run the service, and keep the longest stalls of its loop in a file."""
    from fursure.cli import main as fursure
    from fursure.connections import watchdog

    live = watchdog.live

    async def watching(healthy: Callable[[], bool]) -> None:
        task = asyncio.ensure_future(_watch(note))
        await live(healthy)
        await task

    watchdog.live = watching
    fursure(["serve", *arguments])


async def _watch(note: Path) -> None:
    """Watch how late the loop comes back; SIGUSR1 begins anew, SIGUSR2 writes the longest down."""
    loop, worst = asyncio.get_running_loop(), [0.0]
    loop.add_signal_handler(signal.SIGUSR1, worst.clear)
    loop.add_signal_handler(signal.SIGUSR2, lambda: _put(note, json.dumps(worst[::-1])))
    while True:
        began = time.monotonic()
        await asyncio.sleep(TICK)
        worst[:] = sorted([*worst, time.monotonic() - began - TICK])[-10:]


def _put(note: Path, text: str) -> None:
    """Write the note at once: whoever sees it can read it."""
    part = note.with_suffix(".part")
    part.write_text(text)
    part.replace(note)


@contextmanager
def served(note: Path, *arguments: str) -> Iterator[tuple[int, int]]:
    """Run the watched service on its core; yield its port and process."""
    command = ["taskset", "-c", SERVER, sys.executable, "-m", "benchmarks.attacks", "serve"]
    process = subprocess.Popen(
        [*command, str(note), *arguments, "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def megabytes(pid: int, name: str) -> float:
    """Return a figure of a process's memory: VmRSS, or VmHWM, its peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(name)


def measure(row: str, asked: argparse.Namespace) -> None:
    """Print what an attack does to the good client, to the loop and to the memory."""
    note = Path(f"/tmp/fursure-loop-{os.getpid()}")  # noqa: S108
    options = ["--engine", asked.engine, "--threads", asked.threads]
    with served(note, asked.model, *options, "--publish-reports") as (port, pid):
        good = _client("good", port, 1.0)
        good.communicate()
        quiet = _good(_client("good", port, asked.seconds / 2))
        idle = megabytes(pid, "VmRSS")
        os.kill(pid, signal.SIGUSR1)
        evil = _client(row, port, asked.seconds + 1)
        time.sleep(1.0)
        beside = _good(_client("good", port, asked.seconds))
        sent = evil.communicate()[0].strip()
        os.kill(pid, signal.SIGUSR2)
        time.sleep(2.0)
        peak, after = megabytes(pid, "VmHWM"), megabytes(pid, "VmRSS")
    seen = json.loads(note.read_text())
    note.unlink()
    base, there = (quantile(one["seconds"], 0.99) for one in (quiet, beside))
    print(
        f"{row}: good p50 {_ms(quiet['seconds'], 0.5)}, p99 {1e3 * base:.0f} ms quiet (n = "
        f"{len(quiet['seconds'])}); p50 {_ms(beside['seconds'], 0.5)}, p99 {1e3 * there:.0f} ms "
        f"beside (n = {len(beside['seconds'])}): {there / base:.1f} x; not answered "
        f"{beside['refused']}; loop {', '.join(f'{1e3 * lag:.0f}' for lag in seen[:4])} ms; memory "
        f"{idle:.0f} idle, {peak:.0f} peak, {after:.0f} after ({after / idle - 1:+.0%}); {sent}",
        flush=True,
    )


def _client(kind: str, port: int, seconds: float) -> "subprocess.Popen[str]":
    polite = [] if kind == "good" else ["nice", "-n", "10"]  # attackers have machines of their own
    command = ["taskset", "-c", CLIENT, *polite, sys.executable, "-m", "benchmarks.attacks"]
    return subprocess.Popen(
        [*command, "--client", kind, "--port", str(port), "--seconds", str(seconds)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _good(client: "subprocess.Popen[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.communicate()[0])
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else NEVER


def _ms(values: Sequence[float], share: float) -> str:
    return f"{1e3 * quantile(values, share):.0f} ms"


# Clients


def connected(port: int, address: str) -> socket.socket:
    """Return a connection from an address."""
    return socket.create_connection(("127.0.0.1", port), 20, source_address=(address, 0))


def answer(link: socket.socket) -> int:
    """Return the status of an answer, read to its end; 0 where none came."""
    data = b""
    with suppress(OSError):
        while piece := link.recv(1 << 18):
            data += piece
            head, found, body = data.partition(b"\r\n\r\n")
            if found and len(body) >= int(
                head.lower().partition(b"content-length: ")[2].split(b"\r")[0]
            ):
                return int(head[9:12])
    return int(data[9:12] or 0)


def good_client(port: int, seconds: float) -> dict[str, Any]:
    """Ask for one photo after another; return the seconds of each answer, and the refusals."""
    request, end = post(photo()), time.monotonic() + seconds
    took: list[float] = []
    refused: list[int] = []
    link = connected(port, GOOD)
    while time.monotonic() < end:
        began = time.monotonic()
        link.sendall(request)
        status = answer(link)
        took.append(time.monotonic() - began)
        if status != 200:
            refused.append(status)
            link.close()
            link = connected(port, GOOD)
        time.sleep(0.02)
    return {"seconds": took, "refused": refused}


def attack(plan: Attack, port: int, seconds: float) -> None:
    """Send it from every connection until the time is over; print how it was answered."""
    data, end = plan.data(), time.monotonic() + seconds
    statuses: dict[int, int] = {}

    def sender(number: int) -> None:
        address = EVIL if plan.addresses == 1 else f"127.0.1.{number % plan.addresses + 1}"
        while time.monotonic() < end:
            with suppress(OSError), connected(port, address) as link:
                status = 200
                while time.monotonic() < end and status == 200:
                    with suppress(OSError):
                        link.sendall(data)
                    if plan.hold:
                        time.sleep(min(plan.hold, max(0.0, end - time.monotonic())))
                        break
                    status = answer(link)
                    statuses[status] = statuses.get(status, 0) + 1

    count = plan.links * plan.addresses
    senders = [threading.Thread(target=sender, args=(number,)) for number in range(count)]
    for thread in senders:
        thread.start()
    for thread in senders:
        thread.join()
    print(f"{len(data):,} bytes, answered {statuses}")


if __name__ == "__main__":
    main()
