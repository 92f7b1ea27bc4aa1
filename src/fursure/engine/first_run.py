"""A stranger's network, run once in a child process: ``python -m fursure.engine.first_run``.

A graph of a few hundred bytes may ask for terabytes, or for years, and an engine that has begun
cannot be stopped from the process it runs in. So a network that this installation has not run yet
is loaded and run by a child, with a limit of memory and a deadline, and kept in mind by its digest.
"""

import hashlib
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from fursure.engine.runtime import OnnxRuntime
from fursure.errors import EngineFailed
from fursure.files import replacing
from fursure.home import folder_for
from fursure.run import available_threads

# -P: a numpy.py among the photos of the current folder is not what the child should import
FIRST_RUN_COMMAND = [
    sys.executable,
    "-P",
    "-m",
    "fursure.engine.first_run",
]  # takes the network on its stdin
SECONDS = 60.0  # and another for each 10 MB of weights; EfficientNet-Lite0 takes half of one
_BYTES = 4 * 2**30  # of memory, what the process itself maps included, and eight times the weights
_REMEMBERED = 10_000  # networks
_PHOTOS = 2
TOO_MUCH = 3  # the child's exit code where the memory was not enough


def check_first_run(model: bytes) -> None:
    """Run a network once in a child process, unless one did so before.

    What the child refuses in words is not refused here: whoever opens it next says why.

    Raises:
        EngineFailed: it asks for too much memory or time, or ends the process that runs it.
    """
    digest = hashlib.sha256(model).hexdigest()
    if digest in _known():
        return
    seconds = SECONDS + len(model) / 1e7
    try:
        code = subprocess.run(
            FIRST_RUN_COMMAND, input=model, timeout=seconds, capture_output=True, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        raise EngineFailed(
            f"the network in it was not done with {_PHOTOS} photos after {seconds:.0f} seconds; "
            "use a smaller one."
        ) from None
    if code == TOO_MUCH:
        most = (_BYTES + 8 * len(model)) / 2**30
        raise EngineFailed(
            f"the network in it asks for more than {most:.1f} GiB of memory for {_PHOTOS} photos; "
            "use a smaller one."
        )
    if code not in {0, 1}:
        raise EngineFailed(
            f"the network in it ends the process that runs it (code {code}); export it anew."
        )
    if code == 0:
        _remember(digest)


def mark_as_run(model: bytes) -> None:
    """Keep in mind that a network was run: it was made here."""
    _remember(hashlib.sha256(model).hexdigest())


def _path() -> Path:
    return folder_for("engines") / "networks-run.txt"


def _known() -> list[str]:
    """Return the digests of the networks that were run, the latest last."""
    with suppress(OSError, UnicodeDecodeError):
        return _path().read_text("ascii").split()
    return []


def _remember(digest: str) -> None:
    """Keep a digest; a folder that cannot be written only means another run next time."""
    with suppress(OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        kept = [known for known in _known() if known != digest][1 - _REMEMBERED :]
        with replacing(_path()) as file:
            file.write("\n".join([*kept, digest, ""]).encode())


def _limit_memory(most: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows, or less is allowed already
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _run(model: bytes) -> int:
    """Run a network; return the exit code that says how it went."""
    _limit_memory(_BYTES + 8 * len(model))
    try:
        session = OnnxRuntime(model, threads=available_threads())
        shape = (_PHOTOS, session.side, session.side, 3)
        session(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    except MemoryError:
        return TOO_MUCH
    except Exception as error:  # the engine raises its own types, and for memory no type of its own
        return TOO_MUCH if "alloc" in str(error) else 1
    return 0


if __name__ == "__main__":
    sys.exit(_run(sys.stdin.buffer.read()))
