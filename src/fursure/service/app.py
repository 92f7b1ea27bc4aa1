"""Models → an ASGI application: the API, the page, and their description."""

import time
from collections.abc import Mapping
from importlib.resources import files

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from fursure.service import inference_v2
from fursure.service.answering import Asgi, Receive, Scope, Send, predicted, reply, to_json
from fursure.service.figures import Figures
from fursure.service.limits import Limits
from fursure.service.models import Models, described, report_of
from fursure.service.openapi import PROBLEMS, described_predict
from fursure.service.problems import Problem
from fursure.service.protocol import gone

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
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


def application(models: Models, figures: Figures, limits: Limits) -> Asgi:
    """Return the application: predictions are answered at once, all else by the framework."""
    framework = _framework(models, figures, limits)

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/predict":
            await framework(scope, receive, send)
            return
        began, headers = time.monotonic(), dict(SAFE)
        try:
            if scope["method"] != "POST":
                headers["allow"] = "POST"
                raise Problem(405, "photos are sent by POST.")
            status, value = await predicted(scope, receive, models, limits)
            body, kind = to_json(value), "application/json"
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


def _framework(models: Models, figures: Figures, limits: Limits) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, title="fursure")
    _errors(app)
    _pages(app, models)
    _facts(app, models, figures)
    _protocol_v2(app, models, limits)
    schema = get_openapi(
        title="fursure",
        version="1",
        summary="Photos in, answers out: a class, “unsure” or “stranger”.",
        routes=app.routes,
    )
    schema["paths"]["/v1/predict"] = described_predict()
    described_schema = to_json(schema)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return _sent(described_schema, "application/json")

    return app


def _sent(
    body: bytes, kind: str, *, policy: str = OF_DATA, headers: Mapping[str, str] | None = None
) -> Response:
    told = {**SAFE, "content-security-policy": policy, **(headers or {})}
    return Response(body, media_type=kind, headers=told)


def _refused(problem: Problem) -> Response:
    return Response(problem.body, problem.status, headers={**SAFE, **problem.headers})


def _errors(app: FastAPI) -> None:
    async def on_problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101 - what it is registered for
        return _refused(error)

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        detail = "there is nothing at this address." if error.status_code == 404 else error.detail
        answer = _refused(Problem(error.status_code, str(detail)))
        answer.headers.update(error.headers or {})
        return answer

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
        return _refused(Problem(422, str(error.errors()[0].get("msg", "invalid"))[:300]))

    async def on_error(_request: Request, error: Exception) -> Response:
        _complain(error)
        return _refused(Problem(500, "something went wrong here, not with the request."))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_error)


def _complain(error: Exception) -> None:
    import logging

    logging.getLogger("fursure").error("%s: %s", type(error).__name__, error)


def _pages(app: FastAPI, models: Models) -> None:
    folder = files("fursure.service").joinpath("page")
    pages = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}

    def page(name: str) -> Response:
        if name not in pages:
            raise Problem(404, "there is nothing at this address.")
        kind = KINDS[name.rpartition(".")[2]]
        return _sent(pages[name], kind, policy=OF_PAGES, headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return page("index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return page("docs.html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return page("icon.svg")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        return page(name)

    @app.get("/report/{name}", responses=PROBLEMS)
    async def report(name: str) -> Response:
        """Return the report page that lies beside a model, if one does."""
        path = report_of(models[name])
        if path is None:
            raise Problem(404, "no report lies beside this model.")
        return _sent(path.read_bytes(), KINDS["html"], policy=OF_REPORTS)


def _facts(app: FastAPI, models: Models, figures: Figures) -> None:
    @app.get("/v1/models", responses=PROBLEMS)
    async def every() -> Response:
        """Return the models being served, the first of which answers unless one is named."""
        found = [described(one) for one in models.by_name.values()]
        return _sent(to_json({"models": found}), "application/json")

    @app.get("/v1/model", responses=PROBLEMS)
    async def first(model: str | None = None) -> Response:
        """Return what a model tells apart, how it prepares a photo, and what it promises."""
        return _sent(to_json(described(models[model])), "application/json")

    @app.get("/metrics")
    async def metrics() -> Response:
        """Return figures for Prometheus."""
        return _sent(figures.text(), "text/plain; version=0.0.4; charset=utf-8")


def _protocol_v2(app: FastAPI, models: Models, limits: Limits) -> None:
    @app.get("/v2")
    async def server() -> Response:
        """Return what this server is, in the Open Inference Protocol."""
        from importlib.metadata import version

        value = {
            "name": "fursure",
            "version": version("fursure"),
            "extensions": ["binary_tensor_data"],
        }
        return _sent(to_json(value), "application/json")

    @app.get("/v2/health/live")
    async def live() -> Response:
        """Return 200 while the process answers at all."""
        return _sent(b'{"live":true}', "application/json")

    @app.get("/v2/health/ready", responses=PROBLEMS)
    async def ready() -> Response:
        """Return 200 once every model answers."""
        if not models.ready:
            raise Problem(503, "not ready.", retry_after=1)
        return _sent(b'{"ready":true}', "application/json")

    @app.get("/v2/models/{name}", responses=PROBLEMS)
    async def model(name: str) -> Response:
        """Return a model's tensors."""
        return _sent(to_json(inference_v2.metadata(models[name])), "application/json")

    @app.get("/v2/models/{name}/ready", responses=PROBLEMS)
    async def model_ready(name: str) -> Response:
        """Return 200 where the model answers."""
        if not models[name].batcher.healthy:
            raise Problem(503, "not ready.", retry_after=1)
        return _sent(to_json({"name": name, "ready": True}), "application/json")

    @app.post(
        "/v2/models/{name}/infer",
        responses=PROBLEMS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def infer(name: str, request: Request) -> Response:
        """Return the outputs for photos or pixels, as tensors."""
        chosen = models[name]
        size = chosen.bundle.meta.preprocess.size
        length = request.headers.get("inference-header-content-length")
        work, asked = inference_v2.work_in(await request.body(), length, limits, size)
        answers = await chosen.batcher.submit(work, gone(request.scope))
        body, headers = inference_v2.response(chosen, answers, asked)
        kind = headers.pop("content-type")
        return _sent(body, kind, headers=headers)
