"""The command line, typed in this process: the start of an interpreter costs more than most runs.

Tests of the process itself (its streams, signals, limits, imports) start one.
"""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from fursure.cli import main

Run = subprocess.CompletedProcess[str]


def fursure(
    *args: object,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run one command, and return its exit code and what it printed.

    The environment is put back afterwards, whatever the command did to it.
    """
    words = [str(word) for word in args]
    shown, said = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        mock.patch.dict(os.environ, env or {}),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        chdir(cwd or Path.cwd()),
        redirect_stdout(shown),
        redirect_stderr(said),
    ):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, _text(shown), _text(said))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode()
