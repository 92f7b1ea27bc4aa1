"""A backbone's name → an encoder graph and its preprocessing, converted once and kept.

`BACKBONE_KINDS` lists the kinds of names; each is loaded by the module of this room that it names.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import cast

from fursure.backbones.backbone import AtHand, Backbone, BackboneSpec, Resize, StoredPrecision
from fursure.backbones.kept import converted
from fursure.backbones.package import installed
from fursure.errors import UnknownBackbone
from fursure.recipe import BACKBONE_KINDS

Loader = Callable[[BackboneSpec], Backbone | None]  # None: the name is of another kind


def load_backbone(
    source: str,
    *,
    precision: StoredPrecision = "fp32",
    image_size: int | None = None,
    resize: Resize | None = None,
    features: str | None = None,
) -> Backbone:
    """Return the encoder that ``source`` names, as `BACKBONE_KINDS` lists them.

    ``image_size`` (pixels) and ``resize`` replace what the weights were trained with;
    ``features`` names the tensor to take from an ``.onnx`` file.

    Raises:
        UnknownBackbone: nothing answers to that name.
        BadBackbone: something does, but its weights or its configuration do not fit together.
        MissingExtra: it needs torch to be converted, and torch is not installed.
    """
    spec = BackboneSpec(
        source=source, precision=precision, image_size=image_size, features=features
    )
    for kind in BACKBONE_KINDS:
        if (backbone := _loader(kind)(spec)) is not None:
            mode = resize or backbone.preprocess.mode
            return replace(backbone, preprocess=replace(backbone.preprocess, mode=mode))
    near = _nearest(source) or "`fursure backbones` lists those at hand."
    raise UnknownBackbone(source, f"Write {', '.join(BACKBONE_KINDS.values())}. {near}")


def _loader(kind: str) -> Loader:
    """Return the function that loads backbones of this kind, from the module of the same name."""
    return cast(Loader, getattr(import_module(f"{__package__}.{kind}"), f"load_{kind}"))


def at_hand() -> Iterator[AtHand]:
    """Yield every backbone at hand: those of installed packages, then those converted earlier."""
    yield from installed()
    yield from converted()


def _nearest(source: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(source, [backbone.name for backbone in at_hand()], n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else ""
