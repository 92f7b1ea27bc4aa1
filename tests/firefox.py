"""The system's Firefox, driven by Marionette, its own protocol: playwright opens no such one."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENT = 60.0  # seconds: how long a busy machine may take
_CALLED = """const [argument, done] = arguments;
  (FUNCTION)(argument).then((value) => done({ value }), (error) => done({ error: `${error}` }));"""


class Firefox:
    """A window of Firefox."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), timeout=_PATIENT)
        self._answers = self._line.makefile("rb")
        self._told()  # who it is
        self._number = 0
        facts = self("WebDriver:NewSession", {})["capabilities"]
        self.version = f"{facts['browserName']} {facts['browserVersion']}"

    def __call__(self, name: str, facts: dict[str, Any]) -> Any:
        """Give a command; return its result."""
        self._number += 1
        data = json.dumps([0, self._number, name, facts]).encode()
        self._line.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self._told()
        assert error is None, error
        return result

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """Return what an asynchronous function of JavaScript makes of ``argument``."""
        script = _CALLED.replace("FUNCTION", function)
        facts = {"script": script, "args": [argument], "scriptTimeout": int(1000 * _PATIENT)}
        result = self("WebDriver:ExecuteAsyncScript", facts)["value"]
        assert "error" not in result, result["error"]
        return result["value"]

    def close(self) -> None:
        """Leave the window to its process."""
        self._answers.close()
        self._line.close()

    def _told(self) -> Any:
        size = b""
        while (byte := self._answers.read(1)) != b":":
            assert byte, "Firefox has hung up"
            size += byte
        return json.loads(self._answers.read(int(size)))


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """Open the system's Firefox with a new profile in ``folder``, or skip."""
    where = shutil.which("firefox-esr") or shutil.which("firefox")
    if where is None:
        pytest.skip("no firefox on this machine to open the page with")
    (folder / "user.js").write_text('user_pref("marionette.port", 0);')  # any free one
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    arguments = ["--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    with subprocess.Popen([where, *arguments], **quiet) as process:
        try:
            window = Firefox(_port(folder / "MarionetteActivePort"))
            yield window
            window.close()
        finally:
            process.terminate()


def _port(file: Path) -> int:
    """Return the port that Firefox writes down once it listens."""
    until = time.monotonic() + _PATIENT
    while time.monotonic() < until:
        if file.exists() and (text := file.read_text()):
            return int(text)
        time.sleep(0.05)
    pytest.fail("Firefox did not begin to listen")
