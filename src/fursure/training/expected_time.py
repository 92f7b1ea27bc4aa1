"""A few of the photos, and the encoder on none of them → how long reading them all will take.

Nothing is encoded and nothing kept. What OpenVINO would save is not known without a trial of it,
so that the time is one of ONNX Runtime: rather too long than too short.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fursure.backbones.backbone import Backbone
from fursure.dataset.listing import Source
from fursure.engine.runtime import BATCH
from fursure.engine.session import open_session
from fursure.errors import BadImage
from fursure.features.reader import cached_features, features_path
from fursure.photos.decode import LIMITS, decode
from fursure.rows.photo import Photo
from fursure.run import Run

LOOKED_AT = 24  # photos, from all over the data, that tell how long one takes
_CALLS = 3  # of the network, after one to warm it up
_ENGINES = (  # as caches tell them apart
    "onnxruntime - fp32",
    "openvino - bf16",
    "openvino - fp32",
    "cuda - fp32",
    "openvino-gpu - fp16",
    "openvino-gpu - fp32",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTime:
    """How long the photos will take to be read, by what a few of them showed."""

    seconds: float  # wall time of all photos, those in the cache counted as nothing
    looked_at: int  # photos
    cached: int  # of those, whose features are kept from an earlier run


def reading_time(
    source: Source, photos: Sequence[Photo], encoder: Backbone, run: Run
) -> ReadingTime:
    """Return how long ``photos`` will take, on this machine and as busy as it is now."""
    apart = max(1, len(photos) // LOOKED_AT)
    sample = [photo.path for photo in photos[::apart][:LOOKED_AT]]
    digests: list[str] = []
    began = time.perf_counter()
    for name in sample:
        try:
            content = source.read(name, LIMITS.bytes)
            digests.append(hashlib.sha256(content).hexdigest())
            decode(content, name=name, min_side=encoder.preprocess.min_side)
        except BadImage:
            continue
    decoding = (time.perf_counter() - began) / max(1, len(sample)) / run.cores
    cached = _cached(encoder, digests)
    held = sum(digest in cached for digest in digests)
    share = 1 - held / max(1, len(digests))
    seconds = len(photos) * share * (decoding + _network_seconds(encoder, run))
    return ReadingTime(seconds=seconds, looked_at=len(digests), cached=held)


def _network_seconds(encoder: Backbone, run: Run) -> float:
    """Return the seconds a photo takes in the network, on all cores that may be used."""
    total = 0.0
    for part in encoder.parts or (encoder,):
        session = open_session(part.onnx, engine="onnxruntime", threads=run.cores)
        blank = np.zeros((BATCH, part.preprocess.size, part.preprocess.size, 3), np.uint8)
        session(blank)
        began = time.perf_counter()
        for _ in range(_CALLS):
            session(blank)
        total += (time.perf_counter() - began) / _CALLS / BATCH
    return total


def _cached(encoder: Backbone, digests: Sequence[str]) -> set[str]:
    """Return the photos whose features some engine has computed earlier."""
    held: set[str] = set()
    for engine in _ENGINES:
        names = [
            features_path(part.digest, part.preprocess, engine)
            for part in encoder.parts or (encoder,)
        ]
        held |= cached_features(names, digests).keys()
    return held
