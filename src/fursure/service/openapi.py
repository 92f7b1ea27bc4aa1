"""The API described, for `/openapi.json` and the page made of it."""

from typing import Any

PROBLEM: dict[str, Any] = {
    "description": "A problem document (RFC 9457).",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}
STATUSES = (400, 401, 404, 405, 408, 413, 415, 421, 422, 429, 431, 503)

PREDICTION: dict[str, Any] = {
    "type": "object",
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "description": "the file's name as it was sent"},
        "answer": {"type": "string", "description": "a class, unsure or stranger"},
        "label": {"type": "string", "description": "the likeliest class, whatever the answer"},
        "confidence": {"type": "number", "description": "calibrated, of the likeliest class"},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        "familiarity": {"type": "number", "description": "share of known photos less familiar"},
        "engine": {"type": "string"},
        "heat": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}},
            "description": "what spoke for the likeliest class, cell by cell, with heat=1",
        },
        "error": {"type": "string", "description": "why a photo of several has no answer"},
    },
}


_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
MODEL = {
    "name": "model",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "which of several models; the first where none is named",
}
HEAT = {
    "name": "heat",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "enum": [0, 1]},
    "description": "1: also where the network found what spoke for its answer",
}
LOOKS: tuple[tuple[str, str, str, list[dict[str, Any]]], ...] = (  # path, name, what for, knobs
    ("/v1/models", "models", "The models being served; the first answers unless named.", []),
    ("/v1/model", "model", "What a model tells apart, how it looks, what it promises.", [MODEL]),
    (
        "/report/{name}",
        "report",
        "The report page beside a model, where reports are published.",
        [_NAME],
    ),
    ("/metrics", "metrics", "Figures for Prometheus.", []),
    ("/v2", "server", "What this server is, in the Open Inference Protocol.", []),
    ("/v2/health/live", "live", "200 while the process answers at all.", []),
    ("/v2/health/ready", "ready", "200 once every model answers.", []),
    ("/healthz", "health", "As /v2/health/ready: 200 once every model answers.", []),
    ("/v2/models/{name}", "tensors", "A model's tensors.", [_NAME]),
    ("/v2/models/{name}/ready", "modelReady", "200 where the model answers.", [_NAME]),
)


def schema() -> dict[str, Any]:
    """Return the whole description, in OpenAPI 3.1."""
    paths = {
        path: {"get": _operation(name, told, parameters)} for path, name, told, parameters in LOOKS
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fursure",
            "version": "1",
            "summary": "Photos in, answers out: a class, “unsure” or “stranger”.",
        },
        "servers": [{"url": "."}],  # beside this description, whatever prefix a proxy adds
        "paths": {
            "/v1/predict": {"post": _predict()},
            **paths,
            "/v2/models/{name}/infer": {"post": _infer()},
        },
    }


def _operation(
    name: str, told: str, parameters: list[dict[str, Any]], good: dict[str, Any] | None = None
) -> dict[str, Any]:
    answers = {"200": good or {"description": "The answer."}}
    return {
        "operationId": name,
        "description": told,
        "parameters": parameters,
        "responses": answers | {str(status): PROBLEM for status in STATUSES},
    }


def _predict() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "required": ["files"],
        "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    }
    several = {
        "type": "object",
        "required": ["model", "predictions"],
        "properties": {
            "model": {"type": "string"},
            "predictions": {"type": "array", "items": PREDICTION},
        },
    }
    content = {"application/json": {"schema": {"oneOf": [PREDICTION, several]}}}
    about = (
        "Say what is on a photo, sent as it is, or on several, sent as a form. Of several, one "
        "that cannot be used is a row with its error."
    )
    operation = _operation(
        "predict", about, [MODEL, HEAT], {"description": "The answer.", "content": content}
    )
    kinds = dict.fromkeys(("application/octet-stream", "image/jpeg", "image/png"), binary)
    body = {"required": True, "content": kinds | {"multipart/form-data": {"schema": form}}}
    return operation | {"requestBody": body}


def _infer() -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string", "enum": ["photos", "pixels"]},
            "datatype": {"type": "string", "enum": ["BYTES", "UINT8"]},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array"},
        },
    }
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {"inputs": {"type": "array", "items": tensor}},
    }
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    about = "Outputs for photos or pixels, as tensors, of the Open Inference Protocol."
    return _operation("infer", about, [_NAME]) | {"requestBody": body}
