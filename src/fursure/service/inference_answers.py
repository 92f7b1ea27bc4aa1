"""Answers → tensors of the Open Inference Protocol, as JSON or as bytes behind it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.connections.problems import Problem
from fursure.service.models import Answer, Model

_TYPES = {"float32": "FP32", "uint8": "UINT8"}
WORDS = ("answer", "label")
SHARES = ("confidence", "familiarity")
_NUMBER = 64  # bytes of a number as Python's, and of its text, twice
_ROW = 2**10  # bytes of a photo's words
_AT_ONCE = 2**12  # numbers written as JSON without a break


def most(answers: Sequence[Answer]) -> int:
    """Return about how many bytes the answer takes at most: every number, as JSON and before."""
    numbers = sum(values.size for answer in answers for values in answer.outputs.values())
    return _NUMBER * numbers + _ROW * len(answers)


def response(
    model: Model, answers: Sequence[Answer], request: Mapping[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers that answer a request.

    Raises:
        Problem: a photo cannot be used, or an output is asked for that there is not.
    """
    tensors = _tensors(answers)
    wanted = _wanted(request, list(tensors))
    outputs, blobs = [], []
    for name, binary in wanted:
        kind, shape, plain, packed = tensors[name]
        output: dict[str, Any] = {"name": name, "datatype": kind, "shape": shape}
        if binary:
            blob = packed()
            output["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        outputs.append(json.dumps(output) if binary else _with_data(output, plain()))
    described = {"model_name": model.name}
    if isinstance(request.get("id"), str):
        described["id"] = request["id"][:200]
    head = f'{json.dumps(described)[:-1]}, "outputs": [{", ".join(outputs)}]}}'.encode()
    if not blobs:
        return head, {"content-type": "application/json"}
    return b"".join([head, *blobs]), {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }


def _with_data(output: Mapping[str, Any], values: Sequence[Any]) -> str:
    """Return an output as JSON with its data, written piece by piece."""
    starts = range(0, len(values), _AT_ONCE)
    pieces = [json.dumps(values[at : at + _AT_ONCE])[1:-1] for at in starts]
    return f'{json.dumps(output)[:-1]}, "data": [{", ".join(pieces)}]}}'


Tensor = tuple[str, list[int], Callable[[], list[Any]], Callable[[], bytes]]


def _tensors(answers: Sequence[Answer]) -> dict[str, Tensor]:
    """Return every output by name: type, shape, and its data as a list or as bytes."""
    predictions = [answer.prediction for answer in answers if answer.prediction is not None]
    for row, prediction in enumerate(predictions):
        if prediction.error is not None:
            raise Problem(400, f"photo {row} cannot be used: {prediction.error}.")
    joined = np.stack if predictions else np.concatenate
    names = list(answers[0].outputs)
    tensors = {name: _array(joined([answer.outputs[name] for answer in answers])) for name in names}
    if predictions:
        for word in WORDS:
            tensors[word] = _words([getattr(prediction, word) for prediction in predictions])
        for share in SHARES:
            values = [getattr(prediction, share) for prediction in predictions]
            tensors[share] = _array(np.array(values, np.float32))
    return tensors


def _array(values: NDArray[Any]) -> Tensor:
    return (
        _TYPES[values.dtype.name],
        list(values.shape),
        lambda: values.ravel().tolist(),
        lambda: np.ascontiguousarray(values).tobytes(),
    )


def _words(words: Sequence[str]) -> Tensor:
    coded = [word.encode() for word in words]
    return (
        "BYTES",
        [len(words)],
        lambda: list(words),
        lambda: b"".join(len(text).to_bytes(4, "little") + text for text in coded),
    )


def _wanted(request: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, bool]]:
    """Return which outputs are asked for, and which of them as bytes."""
    parameters = request.get("parameters")
    every = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    asked = request.get("outputs")
    if asked is None:
        return [(name, every) for name in names]
    wanted = []
    for output in asked:
        if output.get("name") not in names:
            raise Problem(400, f"there is no such output; there are {', '.join(names)}.")
        own = output.get("parameters")
        binary = own.get("binary_data", every) if isinstance(own, dict) else every
        wanted.append((str(output["name"]), binary is True))
    return wanted
