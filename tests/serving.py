"""A service running in a process of its own, and the plainest of clients."""

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask once, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def raw(self, data: bytes, *, wait: float = 5.0, leave: bool = False) -> bytes:
        """Send bytes as they are, and return whatever comes back until the end.

        ``leave`` ends our side at once, which the service takes for a client that is gone.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as link:
            link.sendall(data)
            if leave:
                link.shutdown(socket.SHUT_WR)
            return b"".join(received(link))

    def state(self) -> tuple[int, int, int]:
        """Return the process's threads, open files and resident bytes."""
        folder = Path(f"/proc/{self.process.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        return (
            len(list((folder / "task").iterdir())),
            len(list((folder / "fd").iterdir())),
            pages * os.sysconf("SC_PAGE_SIZE"),
        )


def received(link: socket.socket) -> Iterator[bytes]:
    """Yield what arrives until the other side closes or falls silent."""
    try:
        while piece := link.recv(65536):
            yield piece
    except (TimeoutError, ConnectionError):
        return


@contextmanager
def serving(
    log: Path,
    *args: str | Path,
    cwd: Path | None = None,
    python: Sequence[str | Path] = ("-m", "fursure"),
    env: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Run ``fursure serve`` on a free port until the end of the block.

    ``python`` is what the interpreter runs instead of ``-m fursure``.
    """
    command = [sys.executable, *map(str, python), "serve", *map(str, args), "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=cwd, env=env
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, log.read_text()
        yield Service(process, int(url.rstrip("/").rpartition(":")[2]), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        process.stdout.close()
        process.wait(timeout=30)


@contextmanager
def behind_a_prefix(port: int, prefix: str) -> Iterator[str]:
    """Run a proxy that has the service under ``prefix`` alone; yield the address of the page.

    As nginx does with ``location /pets/ { proxy_pass http://127.0.0.1:8000/; }``.
    """

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            kept = {key: value for key, value in self.headers.items() if key != "Connection"}
            link.request(self.command, "/" + self.path.removeprefix(prefix), body, kept)
            answer = link.getresponse()
            data = answer.read()
            link.close()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}{prefix}"
        finally:
            proxy.shutdown()
            thread.join()


def form(files: Mapping[str, bytes], boundary: str = "fursure-boundary") -> tuple[bytes, str]:
    """Return a form with files, and its content type."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        f"Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files.items()
    ]
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={boundary}"


def until(condition: Any, *, seconds: float = 10.0) -> bool:
    """Return whether ``condition`` came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
