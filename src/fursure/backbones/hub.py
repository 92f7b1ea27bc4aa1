"""timm:NAME, hub:ORG/REPO[@REVISION] → an encoder, converted once and kept.

The weights are timm's own or those of any repository of the Hugging Face Hub, which may have an
ONNX export instead: that needs no torch.
"""

from dataclasses import replace

from fursure.backbones.backbone import Backbone, Wanted
from fursure.backbones.kept import conversion_key, keep, kept
from fursure.backbones.onnx import from_onnx
from fursure.backbones.weights import convert


def load_hub(wanted: Wanted) -> Backbone | None:
    """Return the encoder of that repository; None: it is no such name.

    Raises:
        UnknownBackbone: there is no such repository, or it cannot be had from here.
        BadBackbone: it has no weights that are safe to read, or they do not fit together.
        MissingExtra: the extra for it is not installed.
    """
    kind, _, name = wanted.source.partition(":")
    if kind not in {"timm", "hub"} or not name:
        return None
    size, features = str(wanted.image_size), filter(None, [wanted.features])
    key = conversion_key(kind, name, wanted.precision, size, *features)
    return kept(key) or _fetched(wanted, key)


def _fetched(wanted: Wanted, key: str) -> Backbone:
    from fursure.networks.hub import exported, located

    folder = located(wanted.source)
    if (graph := exported(folder)) is None:
        return convert(wanted.source, folder, key, wanted)
    backbone = replace(from_onnx(*graph, wanted), name=wanted.source)
    keep(backbone, key)
    return backbone
