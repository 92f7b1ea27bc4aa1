"""Models → an ASGI application: the API, the page, and their description."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from fursure.connections.limits import ServiceLimits
from fursure.connections.problems import Problem
from fursure.connections.protocol import address_of, gone, holding_memory
from fursure.service import inference_answers, inference_v2, openapi
from fursure.service.metrics import Figures
from fursure.service.models import Model, Models, described, report_of
from fursure.service.predict import (
    Asgi,
    Receive,
    Scope,
    Send,
    body_of,
    json_bytes,
    predicted,
    reply,
)

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PIECE = 2**16  # bytes of a report sent at once
SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
OF_PAGES = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
OF_REPORTS = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
OF_REPORTS += "form-action 'none'; frame-ancestors 'none'; sandbox"
OF_DATA = "default-src 'none'; frame-ancestors 'none'"


def application(
    models: Models, figures: Figures, limits: ServiceLimits, *, publish_reports: bool = False
) -> Asgi:
    """Return the application: predictions are answered at once, all else by the framework.

    ``publish_reports`` lets visitors see the page beside each model, which holds photos and their
    names.
    """
    framework = _framework(models, figures, limits, publish_reports)

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/predict":
            await framework(scope, receive, send)
            return
        began, headers = time.monotonic(), dict(SAFE)
        try:
            if scope["method"] != "POST":
                headers["allow"] = "POST"
                raise Problem(405, "photos are sent by POST.")
            status, body = 200, await predicted(scope, receive, models, limits)
            kind = "application/json"
        except Problem as problem:
            status, body = problem.status, problem.body
            headers |= problem.headers
            kind = headers.pop("content-type")
        except Exception as error:
            _complain(error)
            status, kind = 500, "application/problem+json"
            body = Problem(500, "the model failed on this batch; try again.").body
        figures.done(status, time.monotonic() - began)
        await reply(send, status, body, kind, headers)

    return service


def _framework(
    models: Models, figures: Figures, limits: ServiceLimits, publish_reports: bool
) -> Starlette:
    described = json_bytes(openapi.schema())

    async def description(_request: Request) -> Response:
        return _sent(described, "application/json")

    routes = [
        *_pages(),
        Route("/report/{name}", _report(models, publish_reports)),
        *_facts(models, figures, publish_reports),
        *_protocol_v2(models, limits),
        Route("/openapi.json", description),
    ]
    framework = Starlette(routes=routes, exception_handlers=_handlers())
    framework.router.redirect_slashes = False  # to an address without the prefix of a proxy
    return framework


def _sent(
    body: bytes, kind: str, *, policy: str = OF_DATA, headers: Mapping[str, str] | None = None
) -> Response:
    sent_headers = {**SAFE, "content-security-policy": policy, **(headers or {})}
    return Response(body, media_type=kind, headers=sent_headers)


def _refused(problem: Problem) -> Response:
    return Response(problem.body, problem.status, headers={**SAFE, **problem.headers})


def _handlers() -> dict[Any, Any]:
    def on_problem(_request: Request, error: Problem) -> Response:
        return _refused(error)

    def on_http(_request: Request, error: HTTPException) -> Response:
        detail = "there is nothing at this address." if error.status_code == 404 else error.detail
        answer = _refused(Problem(error.status_code, detail))
        answer.headers.update(error.headers or {})
        return answer

    def on_error(_request: Request, error: Exception) -> Response:
        _complain(error)
        return _refused(Problem(500, "something went wrong here, not with the request."))

    return {Problem: on_problem, HTTPException: on_http, Exception: on_error}


def _complain(error: Exception) -> None:
    logging.getLogger("fursure").error("%s: %s", type(error).__name__, error)


def _pages() -> list[Route]:
    folder = files("fursure.service").joinpath("page")
    pages = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def page(name: str) -> Response:
        if name not in pages:
            raise Problem(404, "there is nothing at this address.")
        kind = _KINDS[name.rpartition(".")[2]]
        return _sent(pages[name], kind, policy=OF_PAGES, headers={"cache-control": "no-cache"})

    async def index(_request: Request) -> Response:
        return page("index.html")

    async def docs(_request: Request) -> Response:
        return page("docs.html")

    async def icon(_request: Request) -> Response:
        return page("icon.svg")

    async def part(request: Request) -> Response:
        return page(request.path_params["name"])

    return [
        Route("/", index),
        Route("/docs", docs),
        Route("/favicon.ico", icon),
        Route("/page/{name}", part),
    ]


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes as they are read at the other end: none waits whole in memory."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _report(models: Models, published: bool) -> Callable[[Request], Awaitable[Response]]:
    async def report(request: Request) -> Response:
        path = report_of(models[request.path_params["name"]])
        if not published:
            raise Problem(404, "this service publishes no reports (--publish-reports).")
        if path is None:
            raise Problem(404, "no report lies beside this model.")
        holding_memory(request.scope, 2 * _PIECE)
        sent_headers = {**SAFE, "content-security-policy": OF_REPORTS}
        return StreamingResponse(_pieces(path), media_type=_KINDS["html"], headers=sent_headers)

    return report


def _facts(models: Models, figures: Figures, publish_reports: bool) -> list[Route]:
    def told(model: Model) -> dict[str, Any]:
        has_report = publish_reports and report_of(model) is not None
        return described(model) | {"report": has_report}

    async def every(_request: Request) -> Response:
        listed = [told(model) for model in models.by_name.values()]
        return _sent(json_bytes({"models": listed}), "application/json")

    async def one(request: Request) -> Response:
        return _sent(
            json_bytes(told(models[request.query_params.get("model")])), "application/json"
        )

    async def metrics(_request: Request) -> Response:
        return _sent(figures.text(), "text/plain; version=0.0.4; charset=utf-8")

    return [Route("/v1/models", every), Route("/v1/model", one), Route("/metrics", metrics)]


def _protocol_v2(models: Models, limits: ServiceLimits) -> list[Route]:
    def chosen(request: Request) -> Model:
        return models[request.path_params["name"]]

    async def server(_request: Request) -> Response:
        value = {
            "name": "fursure",
            "version": version("fursure"),
            "extensions": ["binary_tensor_data"],
        }
        return _sent(json_bytes(value), "application/json")

    async def live(_request: Request) -> Response:
        return _sent(b'{"live":true}', "application/json")

    async def ready(_request: Request) -> Response:
        if not models.ready:
            raise Problem(503, "not ready.", retry_after=1)
        return _sent(b'{"ready":true}', "application/json")

    async def model(request: Request) -> Response:
        return _sent(json_bytes(inference_v2.metadata(chosen(request))), "application/json")

    async def model_ready(request: Request) -> Response:
        model = chosen(request)
        if not model.batcher.healthy:
            raise Problem(503, "not ready.", retry_after=1)
        return _sent(json_bytes({"name": model.name, "ready": True}), "application/json")

    async def infer(request: Request) -> Response:
        model = chosen(request)
        size = model.bundle.meta.preprocess.size
        length = request.headers.get("inference-header-content-length")
        scope, received = request.scope, await body_of(request.receive)
        owner = address_of(scope)
        taken = await models.desk(owner, partial(inference_v2.taken_by, received, length))
        holding_memory(scope, taken)
        reading = partial(inference_v2.work_in, received, length, limits, size)
        work, asked = await models.desk(owner, reading)
        answers = await model.batcher.submit(work, gone(scope), owner=owner)
        holding_memory(scope, inference_answers.most(answers))
        writing = partial(inference_answers.response, model, answers, asked)
        body, headers = await models.desk(owner, writing)
        kind = headers.pop("content-type")
        return _sent(body, kind, headers=headers)

    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route("/healthz", ready),  # what probes ask for where nobody told them otherwise
        Route("/v2/models/{name}", model),
        Route("/v2/models/{name}/ready", model_ready),
        Route("/v2/models/{name}/infer", infer, methods=["POST"]),
    ]
