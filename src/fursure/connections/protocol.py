"""Bytes of a connection → requests worth passing on: what is refused is refused here.

Uvicorn's protocol has no deadline for receiving a request and no bound on its size, and a
framework behind it has spent its time before it can refuse. Here a request is judged by its
headers: what is too much gets its answer without a task, a parser or a route.
"""

from asyncio import Transport
from collections.abc import Callable, Mapping
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fursure.connections import access
from fursure.connections.memory import Account
from fursure.connections.pacing import Reading, Sending
from fursure.connections.problems import Problem
from fursure.connections.screening import Judge, RequestHead

LINGER = 1.0  # seconds a refused connection is read on, so that its answer arrives
PIPELINED = 16  # requests that may wait for the answers to those before them


class Guard(HttpToolsProtocol):
    """A connection that is counted, timed and measured."""

    def __init__(
        self,
        *args: Any,
        judge: Judge,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.judge, self.admission = judge, judge.admission
        self.address = ""
        self.account = Account(self.admission.memory, "")
        self.inside = False
        self.refusal: Problem | None = None  # of the request that is being received
        self.draining = False  # the last answer is sent, what still comes is thrown away
        self.receiving: Any = None  # the timer of the request that is being received
        self.sending: Sending | None = None
        self.head_bytes = self.body_bytes = self.raw_bytes = 0
        self.in_head = True
        self.url = self.method = b""  # of the request that is being received

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Let the connection in, or close it."""
        super().connection_made(transport)
        self.flow = Reading(transport)
        self.address = self.account.address = self.client[0] if self.client else ""
        self.inside = self.admission.enter(self.address)
        if not self.inside:
            self.admission.squeeze_in(transport.abort)
        self.sending = Sending(self.loop, transport, self.admission.limits.send, self._unread)
        self._begin_to_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        self._stop_waiting()
        if self.sending is not None:
            self.sending.end()
        if self.inside:
            self.admission.leave(self.address)
            self.inside = False
        else:
            self.admission.squeeze_out(self.transport.abort)
        self.account.clear()
        super().connection_lost(exc)

    def _begin_to_wait(self) -> None:
        """Start the clock of one request: it runs on, however slowly bytes drip in."""
        if self.receiving is None:
            self.receiving = self.loop.call_later(self.admission.limits.receive, self._too_slow)

    def _stop_waiting(self) -> None:
        if self.receiving is not None:
            self.receiving.cancel()
            self.receiving = None

    def _too_slow(self) -> None:
        self.receiving = None
        self.admission.refused("too slow")
        limit = self.admission.limits.receive
        self._reject(Problem(408, f"the request did not arrive within {limit:g} s."), linger=0)

    def pause_writing(self) -> None:
        """Start the clock of an answer that is not read."""
        super().pause_writing()
        if self.sending is not None:
            self.sending.begin()

    def resume_writing(self) -> None:
        """Stop it: all was read."""
        super().resume_writing()
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self.in_head and not self.pipeline:
            self.account.clear()
        if self.sending is not None:
            self.sending.end()

    def _unread(self) -> None:
        self.admission.refused("unread")

    def shutdown(self) -> None:
        """End soon: what was received is answered, what still arrives or is not read is cut off."""
        super().shutdown()
        if self.sending is not None:
            self.sending.hurry(self.admission.limits.farewell)
        if self.receiving is not None and not self.transport.is_closing():
            self.loop.call_later(self.admission.limits.farewell, self._cut_off)

    def _cut_off(self) -> None:
        if self.receiving is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, as long as the request stays within bounds."""
        if self.transport.is_closing():
            return
        refused = self.draining or self.refusal is not None
        if not self.draining:
            self._begin_to_wait()
            self._feed(data)
        refused |= self.draining or self.refusal is not None
        seconds = self.admission.pause(self.address, len(data), dropped=refused)
        if seconds > 0 and not self.transport.is_closing():
            cast("Reading", self.flow).hold(self.loop, seconds)

    def _feed(self, data: bytes) -> None:
        if self.in_head:
            self.head_bytes += len(data)
        else:
            self.raw_bytes += len(data)
        super().data_received(data)
        most = self.admission.limits.headers
        if self.in_head and self.head_bytes > most:
            self._reject(self.judge.long_headers())
        elif self.raw_bytes > 2 * self.body_bytes + most:
            self.admission.refused("wrapping")
            self._reject(Problem(400, "the body comes in more wrapping than there is body."))
        elif len(self.pipeline) > PIPELINED:
            self.admission.refused("pipelined")
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what follows a body as if it were one is thrown away."""
        if self.in_head:
            super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self.admission.refused("malformed")
        self._reject(Problem(400, msg))

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self.refusal, self.body_bytes, self.in_head, self.method = None, 0, True, b""
        self.scope["state"]["connection"] = self

    def on_headers_complete(self) -> None:
        """Judge the request by its headers; one that is refused never becomes a task.

        Neither does what came behind it in the same piece: nobody would tell that task of its end.
        """
        if self.draining:
            return
        self.in_head, self.head_bytes, self.raw_bytes = False, 0, 0
        self.method = self.parser.get_method()
        waits = self.cycle is not None and not self.cycle.response_complete
        try:
            path = httptools.parse_url(self.url).path.decode("ascii", "replace")
        except httptools.HttpParserInvalidURLError:
            self._reject(Problem(400, "the address of the request cannot be read."))
            return
        head = RequestHead(
            method=self.method,
            url=self.url,
            path=path,
            headers=self.headers,
            address=self.address,
            inside=self.inside,
        )
        problem = self.judge.refusal(head)
        if problem is None:
            super().on_headers_complete()
            self.cycle.keep_alive &= self.inside
            return
        if problem.status in {400, 413, 415, 421, 431} or waits or not self.inside:
            self._reject(problem)  # its body is not worth reading
            return
        self.refusal = problem

    def on_body(self, body: bytes) -> None:
        """Count the body; of a refused request it is thrown away."""
        self.body_bytes += len(body)
        if self.draining:
            return
        if self.body_bytes > self.admission.limits.body:
            self.admission.refused("body")
            limit = self.admission.limits.body // 2**20
            self._reject(Problem(413, f"the body is larger than {limit} MiB."))
            return
        if self.refusal is not None or self.cycle.response_complete:
            return
        try:
            self.account.take(len(body))
        except Problem as problem:
            self.admission.refused("memory")
            self._reject(problem)
            return
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Let go of what the answered requests held, but for what is not yet read."""
        if not self.pipeline and not self.flow.write_paused:
            self.account.clear()
        super().on_response_complete()

    def on_message_complete(self) -> None:
        """Pass the request on, or answer the refusal now that it can be heard."""
        self._stop_waiting()
        self.in_head, self.head_bytes, self.raw_bytes = True, 0, 0
        if self.draining:
            return
        if self.refusal is None:
            super().on_message_complete()
            return
        self._send(self.refusal, close=not self.parser.should_keep_alive())
        self.refusal = None
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _reject(self, problem: Problem, *, linger: float = LINGER) -> None:
        """Answer, and close once the answer had time to arrive."""
        if self.draining or self.transport is None or self.transport.is_closing():
            return
        self._stop_waiting()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # a half-received request is of no use to its task
            self.cycle.message_event.set()
        self.draining = True
        self._send(problem, close=True)
        self.loop.call_later(linger, self.transport.close)

    def _send(self, problem: Problem, *, close: bool) -> None:
        if self.access_log:
            access.refused(self.client, self.method, self.url, problem.status)
        body = problem.body
        lines = [STATUS_LINE[problem.status]]
        lines += [f"{key}: {value}\r\n".encode() for key, value in problem.headers.items()]
        lines += [
            f"content-length: {len(body)}\r\n".encode(),
            b"x-content-type-options: nosniff\r\n",
        ]
        if problem.status == 401:
            lines.append(b"www-authenticate: Bearer\r\n")
        if close:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([*lines, b"\r\n", body]))


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the address that a request came from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def holding_memory(scope: Mapping[str, Any], size: int) -> None:
    """Charge what a request is about to take to its address, until it is answered.

    Raises:
        Problem: that would be too much.
    """
    connection = scope.get("state", {}).get("connection")
    if connection is not None:
        cast("Guard", connection).account.take(size)


def gone(scope: Mapping[str, Any]) -> Callable[[], bool]:
    """Return what tells whether the client of a request is gone."""
    connection = scope.get("state", {}).get("connection")
    if connection is None:
        return lambda: False
    guard = cast("Guard", connection)
    return lambda: guard.transport is None or guard.transport.is_closing()
