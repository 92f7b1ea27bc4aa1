"""The Open Inference Protocol, version 2: tensors in, tensors out, as KServe and Triton speak it.

A model takes `photos` (BYTES, encoded images, which it decodes and prepares itself) or `pixels`
(UINT8 N,H,W,3, prepared already) and gives `probs`, `logits`, `features`, where it has one
`heat`, and for photos `answer`, `label`, `confidence` and `familiarity`.

Binary tensors lie behind the JSON, in the order of their declaration, as the protocol's extension
has it; a string is its length in four bytes, little-endian, and then its bytes.

Whatever is read here is counted first: a reader of JSON, NumPy and base64 hold Python's lock until
they are done, and nothing else is answered meanwhile.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.service.limits import Limits
from fursure.service.models import Answer, Model, Work
from fursure.service.problems import Problem

TYPES = {"float32": "FP32", "uint8": "UINT8"}
WORDS = ("answer", "label")
SHARES = ("confidence", "familiarity")
VALUES = 2**19  # in a request's JSON: three pictures of 224 pixels a side; 50 ms to read
VALUE = 128  # bytes of one, read
DIMENSIONS = 4  # of a tensor
OUTPUTS = 16  # asked for in one request
AT_ONCE = 2**12  # numbers written as JSON without a break
DECODED = 2**20  # characters of base64 decoded without a break


def metadata(model: Model) -> dict[str, Any]:
    """Return what the model takes and gives."""
    meta, size = model.bundle.meta, model.bundle.meta.preprocess.size
    classes = len(meta.labels)
    return {
        "name": model.name,
        "versions": [],
        "platform": "fursure_onnx",
        "inputs": [
            {"name": "photos", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, size, size, 3]},
        ],
        "outputs": [
            {"name": "probs", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "features", "datatype": "FP32", "shape": [-1, meta.features]},
            *({"name": name, "datatype": "BYTES", "shape": [-1]} for name in WORDS),
            *({"name": name, "datatype": "FP32", "shape": [-1]} for name in SHARES),
        ],
    }


def taken_by(body: bytes, header_length: str | None) -> int:
    """Return about how many bytes reading a request takes: its texts, photos and values."""
    head, rest = _cut(body, header_length)
    return 2 * len(head) + len(rest) + VALUE * min(_values(head), VALUES)


def work_in(
    body: bytes, header_length: str | None, limits: Limits, size: int
) -> tuple[list[Work], dict[str, Any]]:
    """Return the items to answer, and the request they came with.

    Raises:
        Problem: it is no request of the protocol, or its tensor does not fit.
    """
    head, rest = _cut(body, header_length)
    request = _parsed(head)
    _check_outputs(request.get("outputs"))
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Problem(400, "inputs has to be a list of one tensor, photos or pixels.")
    tensor = inputs[0]
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) > DIMENSIONS
        or not all(type(side) is int and side >= 0 for side in shape)
    ):
        raise Problem(400, f"the tensor's shape has to be a list of at most {DIMENSIONS} numbers.")
    match tensor.get("name"), tensor.get("datatype"):
        case "photos", "BYTES":
            photos = _photos(tensor, rest, shape, limits.photos)
            return list(photos), request
        case "pixels", "UINT8":
            return [_pixels(tensor, rest, shape, limits.photos, size)], request
    raise Problem(400, "the tensor has to be photos (BYTES) or pixels (UINT8).")


def _cut(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isdecimal() or int(header_length[:12]) > len(body):
        raise Problem(400, "Inference-Header-Content-Length does not fit the body.")
    return body[: int(header_length)], body[int(header_length) :]


def _values(head: bytes) -> int:
    """Return how many values a JSON text has at most."""
    return sum(head.count(mark) for mark in (b",", b"[", b"{"))


def _parsed(head: bytes) -> dict[str, Any]:
    if _values(head) > VALUES:
        raise Problem(
            413, f"the JSON holds more than {VALUES:,} values; send tensors as binary data."
        )
    try:
        request = json.loads(head)
    except (ValueError, RecursionError):
        raise Problem(400, "the request is no JSON.") from None
    if not isinstance(request, dict):
        raise Problem(400, "the request has to be a JSON object.")
    return request


def _binary(tensor: Mapping[str, Any], rest: bytes) -> bytes | None:
    """Return the tensor's binary part, None where its data are in the JSON."""
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return None
    if type(size) is not int or size != len(rest):
        raise Problem(400, "binary_data_size is not the size of what follows the JSON.")
    return rest


def _check_outputs(asked: Any) -> None:
    """Refuse a list of outputs that is none, or asks for one twice."""
    if asked is None:
        return
    if not isinstance(asked, list) or not all(isinstance(output, dict) for output in asked):
        raise Problem(400, "outputs has to be a list of tensors.")
    names = {str(output.get("name"))[:100] for output in asked[: OUTPUTS + 1]}
    if len(asked) > OUTPUTS or len(names) < len(asked):
        raise Problem(400, f"outputs has to name at most {OUTPUTS} tensors, each once.")


def _photos(tensor: Mapping[str, Any], rest: bytes, shape: Sequence[int], most: int) -> list[bytes]:
    count = math.prod(min(side, most + 1) for side in shape) if shape else 0
    if not 1 <= count <= most:
        raise Problem(400, f"photos has to hold 1 to {most} of them.")
    binary = _binary(tensor, rest)
    photos = _from_base64(tensor.get("data"), count) if binary is None else _strings(binary, count)
    if len(photos) != count:
        raise Problem(400, f"photos holds {len(photos)} and its shape says {count}.")
    return photos


def _from_base64(data: Any, count: int) -> list[bytes]:
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise Problem(400, "the data of photos have to be strings in base64.")
    if len(data) != count:
        raise Problem(400, f"photos holds {len(data)} and its shape says {count}.")
    try:
        return [_decoded(text) for text in data]
    except (binascii.Error, ValueError):
        raise Problem(400, "the data of photos have to be in base64.") from None


def _decoded(text: str) -> bytes:
    """Return what a text in base64 holds, decoded piece by piece."""
    starts = range(0, len(text), DECODED)
    pieces = [base64.b64decode(text[at : at + DECODED], validate=True) for at in starts]
    if any(len(piece) < DECODED // 4 * 3 for piece in pieces[:-1]):  # padded in the middle
        raise ValueError
    return b"".join(pieces)


def _strings(data: bytes, most: int) -> list[bytes]:
    found: list[bytes] = []
    place = 0
    while place < len(data):
        if len(found) == most:
            raise Problem(400, f"photos holds more than the {most} its shape says.")
        size = int.from_bytes(data[place : place + 4], "little")
        if place + 4 + size > len(data):
            raise Problem(400, "a string in the binary data runs over its end.")
        found.append(data[place + 4 : place + 4 + size])
        place += 4 + size
    return found


def _pixels(
    tensor: Mapping[str, Any], rest: bytes, shape: Sequence[int], most: int, size: int
) -> NDArray[np.uint8]:
    if len(shape) != 4 or not 1 <= shape[0] <= most or list(shape[1:]) != [size, size, 3]:
        raise Problem(400, f"pixels has to have the shape [1 to {most}, {size}, {size}, 3].")
    binary = _binary(tensor, rest)
    if binary is not None:
        if len(binary) != math.prod(shape):
            raise Problem(400, "the binary data of pixels do not fill its shape.")
        return np.frombuffer(binary, np.uint8).reshape(shape)
    try:
        numbers = bytes(_flat(tensor.get("data")))  # refuses what is no number, or over 255
        return np.frombuffer(numbers, np.uint8).reshape(shape)
    except (ValueError, TypeError):
        raise Problem(400, "the data of pixels have to be numbers from 0 to 255.") from None


def _flat(data: Any) -> list[Any]:
    """Return the numbers of a tensor's data, which may be nested by its dimensions or not."""
    for _ in range(DIMENSIONS):
        if not isinstance(data, list):
            raise TypeError
        if not data or not isinstance(data[0], list):
            break
        data = list(chain.from_iterable(data))
    return list(data)


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
    told = {"model_name": model.name}
    if isinstance(request.get("id"), str):
        told["id"] = request["id"][:200]
    head = f'{json.dumps(told)[:-1]}, "outputs": [{", ".join(outputs)}]}}'.encode()
    if not blobs:
        return head, {"content-type": "application/json"}
    return b"".join([head, *blobs]), {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }


def _with_data(output: Mapping[str, Any], values: Sequence[Any]) -> str:
    """Return an output as JSON with its data, written piece by piece."""
    starts = range(0, len(values), AT_ONCE)
    pieces = [json.dumps(values[at : at + AT_ONCE])[1:-1] for at in starts]
    return f'{json.dumps(output)[:-1]}, "data": [{", ".join(pieces)}]}}'


Tensor = tuple[str, list[int], Callable[[], list[Any]], Callable[[], bytes]]


def _tensors(answers: Sequence[Answer]) -> dict[str, Tensor]:
    """Return every output by name: type, shape, and its data as a list or as bytes."""
    predictions = [one.prediction for one in answers if one.prediction is not None]
    for row, one in enumerate(predictions):
        if one.error is not None:
            raise Problem(400, f"photo {row} cannot be used: {one.error}.")
    joined = np.stack if predictions else np.concatenate
    names = list(answers[0].outputs)
    found = {name: _array(joined([one.outputs[name] for one in answers])) for name in names}
    if predictions:
        for word in WORDS:
            found[word] = _words([getattr(one, word) for one in predictions])
        for share in SHARES:
            values = [getattr(one, share) for one in predictions]
            found[share] = _array(np.array(values, np.float32))
    return found


def _array(values: NDArray[Any]) -> Tensor:
    return (
        TYPES[values.dtype.name],
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
        lambda: b"".join(len(one).to_bytes(4, "little") + one for one in coded),
    )


def _wanted(request: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, bool]]:
    """Return which outputs are asked for, and which of them as bytes."""
    parameters = request.get("parameters")
    every = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    asked = request.get("outputs")
    if asked is None:
        return [(name, every) for name in names]
    found = []
    for one in asked:
        if one.get("name") not in names:
            raise Problem(400, f"there is no such output; there are {', '.join(names)}.")
        own = one.get("parameters")
        binary = own.get("binary_data", every) if isinstance(own, dict) else every
        found.append((str(one["name"]), binary is True))
    return found
