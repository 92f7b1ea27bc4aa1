"""A request with photos → its answers: the path that has to be quick.

`/v1/predict` is answered here and not by a framework's route, which would cost as much as decoding
the photo does; the framework describes it, in `/openapi.json`, all the same.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from fursure.connections.limits import ServiceLimits
from fursure.connections.problems import Problem
from fursure.connections.protocol import address_of, gone, holding_memory
from fursure.service.models import Answer, Model, Models
from fursure.service.multipart import files_in

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_ROW = 2**10  # bytes of a row of an answer, beside its numbers
_NUMBER = 32  # bytes of a number and its name's marks
ASKED = frozenset({"model", "heat"})
JSON = re.compile(rb"[{\[]\s*[\"{]")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40}[A-Za-z0-9+/_=\s-]*")


async def body_of(receive: Receive) -> bytes:
    """Return the whole body; its size was bounded where it came in.

    Raises:
        Problem: the client went away.
    """
    whole = BytesIO()  # joining pieces at the end would hold all of it twice
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the request broke off.")
        whole.write(message.get("body", b""))
        if not message.get("more_body", False):
            return whole.getvalue()


async def predicted(scope: Scope, receive: Receive, models: Models, limits: ServiceLimits) -> bytes:
    """Return the JSON that answers a request to `/v1/predict`.

    A single photo that cannot be used is a problem; one of several is a row with its error.

    Raises:
        Problem: the request cannot be answered.
    """
    asked = _asked(scope["query_string"])
    model = models[asked.get("model")]
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    kind = headers.get(b"content-type", b"").decode("latin-1")
    body = await body_of(receive)
    owner = address_of(scope)
    several = kind.partition(";")[0].strip().lower() == "multipart/form-data"
    if several:
        holding_memory(scope, len(body))  # once more, in pieces
        files = await models.desk(owner, partial(files_in, body, kind, most=limits.photos))
    else:
        files = [("", body)]
    answers = await model.batcher.submit([data for _, data in files], gone(scope), owner=owner)
    with_heat = asked.get("heat", "0") not in {"0", "false", ""}
    names = [name for name, _ in files]
    holding_memory(scope, len(answers) * _most(model, answers[0] if with_heat else None))
    if several:
        return await models.desk(owner, partial(_rows, model.name, names, answers, heat=with_heat))
    row = _row("", answers[0], heat=with_heat)
    if "error" in row:
        raise _unusable(kind, body, row["error"])
    return json_bytes(row)


def _most(model: Model, shown: Answer | None) -> int:
    """Return about how many bytes a row may take, with its heat where that is ``shown``."""
    labels = sum(len(label) + _NUMBER for label in model.bundle.meta.labels)
    heat = shown.outputs.get("heat") if shown is not None else None
    return _ROW + labels + _NUMBER * (0 if heat is None else heat.size)


def _rows(model: str, names: Sequence[str], answers: Sequence[Answer], *, heat: bool) -> bytes:
    """Return the answer to several photos, written one by one: none holds Python's lock long."""
    rows = [json_bytes(_row(*pair, heat=heat)) for pair in zip(names, answers, strict=True)]
    return b'{"model": %b, "predictions": [%b]}' % (json_bytes(model), b", ".join(rows))


def _unusable(kind: str, body: bytes, error: str) -> Problem:
    """Return why there is no answer, or how to send the photo where it came as something else."""
    if not body:
        return Problem(400, f"the photo cannot be used: {error}.")
    if wrong := _packaging(kind.partition(";")[0].strip().lower(), body):
        return Problem(
            415,
            f"the body is {wrong}, not a photo; send the file as it is to the same address: "
            "curl --data-binary @photo.jpg ADDRESS, or curl -F file=@photo.jpg ADDRESS.",
        )
    return Problem(415, f"the photo cannot be used: {error}.")


def _packaging(kind: str, body: bytes) -> str | None:
    """Return what a photo was put into that has to come as it is, None where it was not."""
    start = body[:256].lstrip()
    if kind.endswith("json") or JSON.match(start):
        return "JSON"
    if start.startswith(b"data:"):
        return "a data: address"
    if BASE64.fullmatch(start):
        return "base64"
    # curl calls a file so by itself; only -d takes the line ends and the zero bytes out of it
    kept = any(mark in body for mark in (b"\r", b"\n", b"\0"))
    if kind == "application/x-www-form-urlencoded" and not kept:
        return "a form's fields, or what `curl -d` leaves of a file"
    return None


def _asked(query: bytes) -> dict[str, str]:
    """Return the parameters of a query, each once.

    Raises:
        Problem: one is unknown, as an address of a photo would be.
    """
    if not query:
        return {}
    try:
        query_values = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=10)
    except (UnicodeDecodeError, ValueError):
        raise Problem(400, "the query cannot be read.") from None
    if unknown := sorted(query_values.keys() - ASKED):
        raise Problem(400, f"unknown parameter {unknown[0][:60]!r}; there are heat and model.")
    return {key: values[-1] for key, values in query_values.items()}


def _row(name: str, answer: Answer, *, heat: bool) -> dict[str, Any]:
    prediction = answer.prediction
    assert prediction is not None  # noqa: S101 - bytes are always predicted
    row = prediction.to_json() | {"path": name}
    if heat and "heat" in answer.outputs:
        row["heat"] = [[round(float(cell), 4) for cell in line] for line in answer.outputs["heat"]]
    return row


async def reply(
    send: Send, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None
) -> None:
    """Send a whole response."""
    pairs = {"content-type": kind, "content-length": str(len(body)), **(headers or {})}
    encoded = [(key.encode(), value.encode()) for key, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON; floats as Python writes them, as the command line does."""
    return json.dumps(value, allow_nan=False).encode()
