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
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.connections.limits import ServiceLimits
from fursure.connections.problems import Problem
from fursure.service.inference_answers import SHARES, WORDS
from fursure.service.models import Model, Work

VALUES = 2**19  # in a request's JSON: three pictures of 224 pixels a side
_LONGEST_NUMBER = 40  # characters; one of 4,000 digits takes as long as a thousand others
_PIECE = 2**20  # bytes counted without a break
VALUE = 128  # bytes of one, read
DIMENSIONS = 4  # of a tensor
OUTPUTS = 16  # asked for in one request
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
    body: bytes, header_length: str | None, limits: ServiceLimits, size: int
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
    """Return how many values a JSON text has at most, or more than `VALUES`.

    Lists, objects and escapes count twice. They are read in C without a break, numbers are not.
    """
    count = 0
    for at in range(0, len(head), _PIECE):
        count += head.count(b",", at, at + _PIECE)
        count += 2 * sum(head.count(mark, at, at + _PIECE) for mark in (b"[", b"{", b"\\"))
        if count > VALUES:
            break
    return count


def _short(digits: str) -> str:
    if len(digits) > _LONGEST_NUMBER:
        raise Problem(400, f"the JSON holds a number of over {_LONGEST_NUMBER} characters.")
    return digits


def _parsed(head: bytes) -> dict[str, Any]:
    if _values(head) > VALUES:
        raise Problem(
            413, f"the JSON holds more than {VALUES:,} values; send tensors as binary data."
        )
    try:
        request = json.loads(
            head,
            parse_int=lambda digits: int(_short(digits)),
            parse_float=lambda digits: float(_short(digits)),
        )
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
    strings: list[bytes] = []
    place = 0
    while place < len(data):
        if len(strings) == most:
            raise Problem(400, f"photos holds more than the {most} its shape says.")
        size = int.from_bytes(data[place : place + 4], "little")
        if place + 4 + size > len(data):
            raise Problem(400, "a string in the binary data runs over its end.")
        strings.append(data[place + 4 : place + 4 + size])
        place += 4 + size
    return strings


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
