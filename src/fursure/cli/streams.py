"""The standard streams as a shell, a pipe or a service left them → streams that never raise."""

import io
import os
import sys
from contextlib import suppress


def prepare() -> None:
    """Make the standard streams safe to use.

    What their encoding cannot hold comes out escaped: a name is no reason to lose the rows after
    it. A stream that was closed becomes one that leads nowhere, and its number is taken, so that
    no file of ours gets it and is written to by a library that prints.
    """
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
