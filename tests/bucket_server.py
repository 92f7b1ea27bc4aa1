"""An S3 server and web servers on loopback, and a proxy that fails now and then."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "FURSURE_OFFLINE": "0",
}


class Bucket:
    """One bucket of a server, filled and emptied past all that fails."""

    def __init__(self, endpoint: str, name: str) -> None:
        import boto3

        self.endpoint, self.name = endpoint, name
        knobs = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.client: Any = boto3.client("s3", **knobs, **keys)
        self.client.create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def fill(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


@contextmanager
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def use(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let fursure find that server, as the provider's own tools find theirs."""
    from fursure.remote.store import opened_store

    opened_store.cache_clear()
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}).items():
        patch.setenv(name, value)


@contextmanager
def listening(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Proxy:
    """Passes requests on; every ``nth`` one fails: 500, 503, a reset, in turn."""

    def __init__(self, upstream: str, *, nth: int = 0, delay: float = 0.0) -> None:
        self.upstream, self.nth, self.delay = upstream.removeprefix("http://"), nth, delay
        self.failed = self.asked = 0
        self.answer: tuple[int, str] | None = None  # instead of the server's, to all
        self.ranges: list[str] = []
        self.signed = 0  # requests whose sender gave a name
        self.read: list[str] = []  # objects, of which bytes were asked for
        self.sent = 0  # bytes of objects
        self.lock = threading.Lock()

    def fault(self) -> int | None:
        with self.lock:
            self.asked += 1
            if self.nth and self.asked % self.nth == 0:
                self.failed += 1
                return (500, 503, 0)[self.failed % 3]
        return None


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: Proxy, *arguments: Any) -> None:
        self.proxy = proxy
        super().__init__(*arguments)

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.proxy.delay)
        self.proxy.ranges.append(self.headers.get("Range", ""))
        self.proxy.signed += "Authorization" in self.headers
        if (status := self.proxy.fault()) is not None:
            self._fail(status)
            return
        if self.proxy.answer is not None:
            status, code = self.proxy.answer
            self._answer(status, [], f"<Error><Code>{code}</Code></Error>".encode())
            return
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers))
        response = upstream.getresponse()
        answer = response.read()
        if self.command == "GET" and "list-type" not in self.path:
            self.proxy.read.append(self.path)
            self.proxy.sent += len(answer)
        self._answer(response.status, response.getheaders(), answer)
        upstream.close()

    def _fail(self, status: int) -> None:
        if status:
            self._answer(status, [], b"<Error><Code>InternalError</Code></Error>")
            return
        linger = struct.pack("ii", 1, 0)  # a reset instead of an end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        ours = {"connection", "transfer-encoding", "date", "server"}
        kept = [(name, value) for name, value in headers if name.lower() not in ours]
        if not any(name.lower() == "content-length" for name, _ in kept):
            kept.append(("Content-Length", str(len(body))))
        for name, value in kept:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def passing(proxy: Proxy) -> Iterator[str]:
    with listening(partial(_Passing, proxy)) as url:
        yield url


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@dataclass
class WebFile:
    """One file of a web server, and how much the server knows of HTTP."""

    data: bytes
    etag: str = ""
    modified: str = ""
    knows: str = "ranges"  # or: "wholes", which ignores ranges; "refusals", which answers 416
    conditions: bool = True  # whether it looks at If-Match
    cut_at: int | None = None  # bytes after which every answer ends
    ranges: list[tuple[int, int]] = field(default_factory=list)
    sent: int = 0  # bytes


class _OneFile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, file: WebFile, *arguments: Any) -> None:
        self.file = file
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self._answer(200, [], self.file.data)

    def do_GET(self) -> None:
        data, asked = self.file.data, self.headers.get("Range", "")
        if self.file.conditions and self.headers.get("If-Match", "*") not in {"*", self.file.etag}:
            self._answer(412, [], b"")
        elif not asked or self.file.knows == "wholes":
            self._answer(200, [], data)
        else:
            start, end = map(int, asked.removeprefix("bytes=").split("-"))
            self.file.ranges.append((start, end + 1))
            if self.file.knows == "refusals" or start >= len(data):
                self._answer(416, [("Content-Range", f"bytes */{len(data)}")], b"")
                return
            end = min(end, len(data) - 1)
            part = ("Content-Range", f"bytes {start}-{end}/{len(data)}")
            self._answer(206, [part], data[start : end + 1])

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        told = [("ETag", self.file.etag), ("Last-Modified", self.file.modified)]
        for name, value in [*headers, *told, ("Content-Length", str(len(body)))]:
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.file.cut_at is not None:
            self.close_connection, body = True, body[: self.file.cut_at]
        with suppress(OSError):  # who asked may have hung up
            self.wfile.write(body)
            self.file.sent += len(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def serving(file: WebFile) -> Iterator[str]:
    """Serve one file, under any name."""
    with listening(partial(_OneFile, file)) as url:
        yield url


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve a folder: with listings, without ranges, which Python's own server ignores."""
    with listening(partial(_Quiet, directory=str(folder))) as url:
        yield url
