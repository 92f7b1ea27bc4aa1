"""A large photo, decoded in a child process: ``python -P -m fursure.photos.apart``.

Pillow holds Python's lock while a decoder copies its pixels; with those of a large photo everything
else in the process stands meanwhile. In a child, that lock, the memory and a crash are the child's.
It takes the photo on its standard input, which stays open until the answer was read: a child whose
parent is gone ends.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread, Timer
from typing import IO, Any, cast

from PIL import Image

from fursure.errors import BadImage
from fursure.photos.decode import Decoded, decode
from fursure.pixels.deep import BAND

# -P: a numpy.py among the photos of the current folder is not what the child should import
DECODING_COMMAND = [sys.executable, "-P", "-m", "fursure.photos.apart"]
# Bytes that decoding takes, by `cost`, from which on a photo is large: copying those of a smaller
# one holds the lock for 24 ms at most (WebP); a child takes 0.17 s to start.
LARGE_PHOTO = 32 * 2**20
COMPUTING_SECONDS = 60  # of the processor's time; 64 megapixels take 4 at most
DECODING_SECONDS = 600.0  # by the clock: a busy machine may leave the child a tenth of a core
_BYTES = 2 * 2**30  # of memory; a WebP of 64 megapixels takes 0.8, what the process maps included
_A_CORE = 16 * 2**20  # bytes more for each core: some decoders start a thread for each
_SURROUNDINGS = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # no memory for many threads
_TIME_IS_UP = -getattr(signal, "SIGXCPU", 1_000)  # code of a child that computed for too long


class ChildDecoder:
    """Decodes photos as `decode` does, each in a child process; safe between threads."""

    def __init__(self, *, seconds: float = DECODING_SECONDS) -> None:
        self._seconds = seconds
        self._children: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._lock = Lock()

    def __call__(self, data: bytes, *, name: str = "photo", min_side: int = 256) -> Decoded:
        """Return what ``decode`` returns.

        Raises:
            BadImage: as there; also where the child ends early, or does not end in time.
        """
        began = time.monotonic()
        with self._child(name) as child:
            try:
                pipes = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
                return _asked(*pipes, data, name, min_side)
            except (OSError, ValueError):  # the pipe broke off, and where it did
                code = child.wait()
        if code == _TIME_IS_UP or time.monotonic() - began >= self._seconds:
            reason = "decoding it takes too long"
        else:
            reason = f"decoding it ends the process that does it (code {code})"
        raise BadImage(name, f"{reason}; save it anew, or smaller")

    def close(self) -> None:
        """End every child; none is started from now on."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()

    @contextmanager
    def _child(self, name: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a child, and end it after the block or when its time is over."""
        child = self._started(name)
        clock = Timer(self._seconds, child.kill)
        clock.daemon = True
        try:
            clock.start()
            yield child
        finally:
            clock.cancel()
            with self._lock:
                self._children.discard(child)
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(OSError):  # what was not sent cannot be
                    pipe.close()  # type: ignore[union-attr]

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._closed:
                raise BadImage(name, "not decoded: the service is shutting down")
            try:
                child = subprocess.Popen(
                    DECODING_COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | _SURROUNDINGS,
                    start_new_session=True,  # Ctrl-C is for its parent, which finishes its work
                )
            except OSError as error:
                raise BadImage(
                    name, f"no process can be started to decode it ({error.strerror})"
                ) from error
            self._children.add(child)
            return child


def _asked(
    to_child: IO[bytes], from_child: IO[bytes], data: bytes, name: str, min_side: int
) -> Decoded:
    """Return a child's answer.

    Raises:
        BadImage: the child says so.
        OSError, ValueError: it broke off.
    """
    request = {"name": name, "min_side": min_side, "bytes": len(data)}
    to_child.write(json.dumps(request).encode() + b"\n")
    to_child.write(data)
    to_child.flush()
    facts = json.loads(from_child.readline())
    if "reason" in facts:
        raise BadImage(name, facts["reason"])
    size = facts.pop("size")
    return Decoded(image=_received(from_child, size), **facts)


def _received(pipe: IO[bytes], size: tuple[int, int]) -> Image.Image:
    """Return the RGB pixels that come through a pipe: in bands, as each copy holds the lock."""
    width, height = size
    image = Image.new("RGB", (width, height), None)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        band = (width, min(rows, height - top))
        data = pipe.read(3 * band[0] * band[1])
        image.paste(Image.frombytes("RGB", band, data), (0, top))
    return image


# The child


def _limit(memory: int, seconds: int) -> None:
    """Bound what this process may take; where the machine's memory ends, it is the first to go."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    with suppress(ImportError, ValueError, OSError):  # Windows, or less is allowed already
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing more is sent: it returns when the other side is closed
    os._exit(1)


def _answer(source: IO[bytes], sink: IO[bytes]) -> None:
    """Read a photo and write its pixels, or why there are none."""
    request: dict[str, Any] = json.loads(source.readline())
    data = source.read(request["bytes"])
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        photo = decode(data, name=request["name"], min_side=request["min_side"])
    except BadImage as error:
        sink.write(json.dumps({"reason": error.reason}).encode() + b"\n")
    else:
        facts = {"width": photo.width, "height": photo.height, "format": photo.format}
        facts |= {"frames": photo.frames, "size": photo.image.size}
        sink.write(json.dumps(facts).encode() + b"\n")
        sink.write(photo.image.tobytes())
    sink.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent's to hear: it ends us
    _limit(_BYTES + _A_CORE * (os.cpu_count() or 1), COMPUTING_SECONDS)
    _answer(sys.stdin.buffer, sys.stdout.buffer)
