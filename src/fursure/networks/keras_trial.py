"""Weights of Keras, read once in a child process: ``python -m fursure.networks.keras_trial FILE``.

A crafted file keeps libhdf5 busy for ever, or lets it take all memory, and nothing in the process
that opened it can stop it. What a child has read to its end, this process may open.
"""

import subprocess
import sys
from pathlib import Path

from fursure.errors import BadBackbone
from fursure.system import limit_memory

_SECONDS = 60.0  # and another for each 20 MB; VGG19's 80 MB take half a second
BYTES = 2 * 2**30  # of memory, and four times the file


def check_readable(path: Path, *, seconds: float = _SECONDS) -> None:
    """Read all of a file in a child process.

    A file that the child refuses in words is not refused here: whoever opens it next says why.

    Raises:
        BadBackbone: reading it does not end, or ends the process.
    """
    deadline = seconds + path.stat().st_size / 2e7
    command = [sys.executable, "-m", "fursure.networks.keras_trial", str(path)]
    try:
        code = subprocess.run(
            command, timeout=deadline, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        raise BadBackbone(
            f"{path.name} was not read after {deadline:.0f} seconds, which no file of Keras takes; "
            "load the model in Keras and save it anew."
        ) from None
    if code not in {0, 1}:
        raise BadBackbone(
            f"{path.name} ends the process that reads it (code {code}); load the model in Keras "
            "and save it anew."
        )


def _read(path: Path) -> int:
    limit_memory(BYTES + 4 * path.stat().st_size)
    from fursure.networks.keras_files import layers_of, opened_keras

    try:
        with opened_keras(path) as file:
            for layer in layers_of(file, path.name):
                layer.arrays()
    except BadBackbone:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_read(Path(sys.argv[1])))
