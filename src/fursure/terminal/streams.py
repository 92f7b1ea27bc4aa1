"""The standard streams as a shell, a pipe or a service left them → streams that never raise."""

import io
import os
import sys
from contextlib import suppress


class Closed(io.TextIOWrapper):
    """Standard output that nobody opened for us: it takes everything, and knows that it did."""

    lost = False  # whether anything was printed

    def write(self, text: str, /) -> int:
        """Throw ``text`` away."""
        self.lost = self.lost or bool(text)
        return super().write(text)


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
    sys.stdout = sys.stdout or Closed(open(os.devnull, "wb"), encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def results_were_lost() -> bool:
    """Return whether something was printed to a standard output that was closed."""
    return isinstance(sys.stdout, Closed) and sys.stdout.lost


def leave_pipe() -> None:
    """Give up standard output, whose reader is gone, so that the interpreter ends in silence."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
