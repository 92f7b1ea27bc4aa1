"""The service: forms, tensors of the Open Inference Protocol, and the framing of HTTP."""

import asyncio
import json
import logging
import re
import weakref
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import uvicorn
from uvicorn.server import ServerState

from fursure.connections.admission import Admission
from fursure.connections.limits import ServiceLimits
from fursure.connections.problems import Problem
from fursure.connections.protocol import Guard
from fursure.connections.screening import Judge
from fursure.prediction import Prediction
from fursure.service.inference_answers import response
from fursure.service.inference_v2 import taken_by, work_in
from fursure.service.models import Answer, Model, Work
from fursure.service.multipart import files_in
from fuzzing.mutate import Change
from fuzzing.shapes import either, headed, json_changed
from fuzzing.targets import Target, kept

SIZE = 4  # pixels that the model takes, a side
LIMITS = ServiceLimits(rate=0, body=2**16)
TURNS = 50  # of the loop; an answer takes three or four
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Problematic(AssertionError):
    """A promise of the service that was broken, other than by an exception."""


# Forms and tensors: the first line of an input is the header that tells how to read the rest


def _read_form(data: bytes) -> object:
    kind, _, body = data.partition(b"\n")
    files = files_in(body, kind.decode("latin-1"), most=LIMITS.photos)
    return [name[:3] for name, _ in files[:3]]


def _infer(data: bytes) -> object:
    line, _, body = data.partition(b"\n")
    length = line.decode("latin-1") or None
    taken_by(body, length)
    work, asked = work_in(body, length, LIMITS, SIZE)
    sent, headers = response(
        cast("Model", SimpleNamespace(name="pets")), [_answered(item) for item in work], asked
    )
    json.loads(sent[: int(headers.get("inference-header-content-length", len(sent)))])
    return len(work), headers["content-type"], len(sent) // 256


def _answered(item: Work) -> Answer:
    if isinstance(item, bytes):
        said = Prediction(path="", answer="cat", label="cat", confidence=0.9, familiarity=0.5)
        return Answer(
            said, {"probs": np.zeros(2, np.float32), "heat": np.zeros((2, 2), np.float32)}
        )
    return Answer(None, {"probs": np.zeros((len(item), 2), np.float32)})


# HTTP


class Wire:
    """A connection that takes whatever is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """Keep what is sent; nothing may follow the end."""
        self.sent.append(data)

    def close(self) -> None:
        """Note the end."""
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        """Return whether it has ended."""
        return self.closed

    def get_extra_info(self, name: str) -> object:
        """Return the two addresses."""
        return {"peername": ("10.0.0.1", 4000), "sockname": ("127.0.0.1", 8000)}.get(name)

    def get_write_buffer_size(self) -> int:
        """Return that all was read."""
        return 0

    def set_write_buffer_limits(self, high: int) -> None:
        """Never ask to wait."""

    def pause_reading(self) -> None:
        """Do nothing: what is received comes from us."""

    resume_reading = pause_reading


class Connections:
    """The service's own protocol on connections that are made of bytes alone."""

    def __init__(self) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # as `serve` does
        self.loop = asyncio.new_event_loop()
        weakref.finalize(self, self.loop.close)
        self.failed: list[BaseException] = []
        self.loop.set_exception_handler(
            lambda _, context: self.failed.append(context.get("exception", RuntimeError(context)))
        )
        self.admission = Admission(LIMITS, lambda _: None)
        self.judge = Judge(admission=self.admission, hosts=frozenset({"localhost"}), token=None)
        self.config = uvicorn.Config(
            cast("Any", _echo), lifespan="off", ws="none", log_config=None, access_log=False
        )
        self.state = ServerState()

    def __call__(self, data: bytes) -> object:
        """Send ``data`` in pieces, leave, and check that nothing is left behind."""
        wire = Wire()
        guard = Guard(
            config=self.config,
            server_state=self.state,
            app_state={},
            judge=self.judge,
            _loop=self.loop,
        )
        guard.access_log = False
        guard.connection_made(cast("Any", wire))
        for piece in _pieces(data):
            guard.data_received(piece)
            self._turn()
        guard.connection_lost(None)
        self._end()
        return self._checked(b"".join(wire.sent))

    def _turn(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    def _end(self) -> None:
        """Let what was begun come to its end: that is a matter of a few turns."""
        for _ in range(TURNS):
            self._turn()
            if not self.state.tasks:
                return
        left = list(self.state.tasks)
        for task in left:
            task.cancel()
        self._turn()
        self.state.tasks.clear()
        raise Problematic(f"{len(left)} tasks go on for a connection that is gone: {left}")

    def _checked(self, sent: bytes) -> object:
        if self.failed:
            raise self.failed.pop()
        statuses = [int(status) for status in STATUS.findall(sent)]
        if any(status // 100 == 5 and status != 503 for status in statuses):
            raise Problematic(f"it answers {statuses}")
        if self.admission.inside or self.admission.memory.used:
            left = self.admission.memory.used, self.admission.inside
            raise Problematic(f"it keeps {left} of a connection that is gone")
        return statuses[:4]


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """Read a request to its end, and say how long it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    headers = [(b"content-type", b"text/plain"), (b"x-path", scope["raw_path"][:100])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d" % size})


def _pieces(data: bytes) -> Iterator[bytes]:
    """Yield ``data`` in pieces, always the same ones."""
    dice = zlib.crc32(data)
    size = len(data) if dice % 3 == 0 else 1 + dice % 97
    for at in range(0, len(data), max(size, 1 + len(data) // 12)):
        yield data[at : at + max(size, 1 + len(data) // 12)]


# Seeds

FORM = (
    b'multipart/form-data; boundary=x\n--x\r\nContent-Disposition: form-data; name="files"; '
    b'filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\nbytes\r\n--x\r\n'
    b"Content-Disposition: form-data; name=files; filename*=utf-8''K%C3%A4tzchen.png\r\n\r\nmore"
    b'\r\n--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n\r\n--x--\r\n',
    b'multipart/form-data; boundary="a b"\n--a b\r\ncontent-disposition: form-data; '
    b"filename*0=long; filename*1*=iso-8859-1''%E9; name=f\r\n\r\n\r\n--a b--",
)
FORM_WORDS = (
    *(b"--x", b"\r\n--x\r\n", b"\r\n--x--\r\n", b"\r\n\r\n", b"\r\n", b"filename*=", b"filename="),
    *(b"''", b"%", b"boundary=", b"Content-Disposition: form-data; ", b'"', b"\\", b";", b"idna''"),
    *(b"=?utf-8?b?", b"utf-7''", b"filename*0*=", b"name=", b"\0", b"\xff", b"punycode''"),
)


def _tensors() -> Iterator[bytes]:
    photos = {"name": "photos", "datatype": "BYTES", "shape": [2], "data": ["AAAA", "/9g="]}
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3]}
    numbers = np.arange(SIZE * SIZE * 3).reshape(1, SIZE, SIZE, 3).tolist()
    outputs = [{"name": "probs", "parameters": {"binary_data": True}}, {"name": "label"}]
    yield b"\n" + json.dumps({"id": "7", "inputs": [photos], "outputs": outputs}).encode()
    yield b"\n" + json.dumps({"inputs": [pixels | {"data": numbers}]}).encode()
    for tensor, rest in (
        (pixels, bytes(SIZE * SIZE * 3)),
        (photos | {"shape": [1], "data": None}, b"\4\0\0\0\xff\xd8\xff\xd9"),
    ):
        binary = tensor | {"parameters": {"binary_data_size": len(rest)}}
        request = {"inputs": [binary], "parameters": {"binary_data_output": True}}
        head = json.dumps(request).encode()
        yield b"%d\n" % len(head) + head + rest


TENSOR_WORDS = (
    *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b"true", b"\\ud800", b"NaN", b"Infinity"),
    *(
        b'"photos"',
        b'"pixels"',
        b'"BYTES"',
        b'"UINT8"',
        b'"shape":',
        b'"data":',
        b"\xff\xff\xff\xff",
    ),
    *(
        b'"parameters":',
        b'"binary_data_size":',
        b'"outputs":',
        b'"heat"',
        b"=",
        b"====",
        b"\xef\xbb\xbf",
    ),
)
LINE = b"\r\n"
HTTP = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /v1/predict?heat=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhelloGET "
    b"/metrics HTTP/1.1\r\nhost: localhost:80\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: "
    b"100-continue\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n",
    b"GET /a%2F..%2fb HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n" * 3,
    b"GET http://localhost/x HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: "
    b"websocket\r\nSec-WebSocket-Key: a\r\n\r\n",
    b"HEAD * HTTP/1.1\r\nHost: [::1]\r\n\r\nPUT /x HTTP/1.1\r\nHost: a\r\n\r\n",
)
HTTP_WORDS = (
    *(
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        LINE * 2,
        LINE,
    ),
    *(
        b"Content-Encoding: gzip\r\n",
        b"Expect: 100-continue\r\n",
        b"Host: localhost\r\n",
        b" HTTP/1.1",
    ),
    *(
        b"GET ",
        b"POST ",
        b"CONNECT ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"0\r\n\r\n",
        b"ffffffff\r\n",
    ),
    *(
        b"Upgrade: h2c\r\n",
        b"\0",
        b"\t",
        b" ",
        b":",
        b"//",
        b"?",
        b"#",
        b"%",
        b"@",
        b"http://",
        b"\xff",
    ),
    *(b"Authorization: Bearer x\r\n", b"HTTP/9.9", b"HTTP/0.9", b"Content-Length: 65537\r\n"),
)


def target(name: str) -> Target:
    """Return the door of a form, a request for inference, or a connection."""
    call: Callable[[bytes], object]
    words: tuple[bytes, ...]
    change: Callable[[Change], Change] | None = None
    match name:
        case "multipart":
            call = _read_form
            seeds, words = list(FORM), FORM_WORDS
        case "infer":
            call, seeds, words = _infer, list(_tensors()), TENSOR_WORDS
            change = lambda plain: either(plain, headed(json_changed), headed(plain))  # noqa: E731
        case _:
            call, seeds, words = Connections(), list(HTTP), HTTP_WORDS
    promised = () if name == "http" else (Problem,)
    return Target(
        call=call, promised=promised, seeds=[*seeds, *kept(name)], words=words, change=change
    )
