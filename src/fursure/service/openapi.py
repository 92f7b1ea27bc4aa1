"""What the framework does not see of the API, described for `/openapi.json`."""

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
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys(STATUSES, PROBLEM)

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


def described_predict() -> dict[str, Any]:
    """Return the description of `/v1/predict`, which is answered outside of the framework."""
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
    answers = {"schema": {"oneOf": [PREDICTION, several]}}
    return {
        "post": {
            "operationId": "predict",
            "summary": "Predict",
            "description": "Say what is on a photo, sent as it is, or on several, sent as a form. "
            "Of several, one that cannot be used is a row with its error.",
            "parameters": [
                {
                    "name": "model",
                    "in": "query",
                    "required": False,
                    "schema": {"type": "string"},
                    "description": "which of several models answers",
                },
                {
                    "name": "heat",
                    "in": "query",
                    "required": False,
                    "schema": {"type": "integer", "enum": [0, 1]},
                    "description": "1: also where the network found what spoke for its answer",
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/octet-stream": binary,
                    "image/jpeg": binary,
                    "image/png": binary,
                    "multipart/form-data": {"schema": form},
                },
            },
            "responses": {
                "200": {"description": "The answer.", "content": {"application/json": answers}},
                **{str(status): problem for status, problem in PROBLEMS.items()},
            },
        }
    }
