"""A small disk for one script: a file system of its own, in a namespace that ends with it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MOUNTED = 'mount -t tmpfs -o size=2m none "$1" && exec "$0" -c "$2" "$1" "$3"'


def on_a_small_disk(code: str, folder: Path, argument: object) -> list[str]:
    """Run ``code`` with the path of a disk of 2 MB and an argument; return the lines it prints."""
    disk = folder / "disk"
    disk.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a disk with")
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a disk")
    run = subprocess.run(
        [*alone, "sh", "-c", MOUNTED, sys.executable, str(disk), code, str(argument)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
