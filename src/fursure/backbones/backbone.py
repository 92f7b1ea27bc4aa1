"""An encoder and where it is from; and what is asked of one, by name.

`fursure.backbones.kinds` finds it.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from fursure.photos.preprocess import Preprocess

StoredPrecision = Literal["fp32", "fp16"]
Resize = Literal["crop", "squash", "pad"]


@dataclass(frozen=True, kw_only=True)  # without slots, for what is computed once and kept
class Backbone:
    """An encoder: what `fursure.graphs.graph` calls an encoder graph, and where it is from."""

    name: str
    onnx: bytes  # pixels (uint8 N,H,W,3) -> features (N,D) and, where there is one, map
    preprocess: Preprocess
    licence: str  # of the weights
    seen: frozenset[int] = frozenset()  # short digests of the photos its weights were trained on
    parts: tuple["Backbone", ...] = ()  # whose features, side by side, are its own; () is one alone
    familiar_from: int = 0  # of the features, those from here on tell strangers

    @cached_property
    def digest(self) -> str:
        """The sha256 of the graph, weights and normalisation included."""
        return hashlib.sha256(self.onnx).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A backbone as it is asked for."""

    source: str  # its name, as `BACKBONE_KINDS` says
    precision: StoredPrecision = "fp32"  # of a converted one's weights
    image_size: int | None = None  # pixels; None is what the weights were trained with
    features: str | None = None  # the tensor to take from an ``.onnx`` file

    @property
    def path(self) -> Path:
        """The name as that of a file or a folder."""
        return Path(self.source).expanduser()


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """A backbone that can be used as it is: without a network connection, without torch."""

    name: str
    size: int  # pixels of a photo's side
    licence: str  # of the weights
    megabytes: float  # of the file the weights are in
