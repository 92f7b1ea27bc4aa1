"""timm:NAME, hub:ORG/REPO[@REVISION] → an encoder, converted once and kept.

The weights are timm's own or those of any repository of the Hugging Face Hub, which may have an
ONNX export instead: that needs no torch.
"""

from dataclasses import replace

from fursure.backbones.backbone import Backbone, BackboneSpec
from fursure.backbones.kept import conversion_key, keep_backbone, kept
from fursure.backbones.onnx import from_onnx
from fursure.backbones.weights import convert


def load_hub(spec: BackboneSpec) -> Backbone | None:
    """Return the encoder of that repository; None: it is no such name.

    Raises:
        UnknownBackbone: there is no such repository, or it cannot be had from here.
        BadBackbone: it has no weights that are safe to read, or they do not fit together.
        MissingExtra: the extra for it is not installed.
    """
    kind, _, name = spec.source.partition(":")
    if kind not in {"timm", "hub"} or not name:
        return None
    size, features = str(spec.image_size), filter(None, [spec.features])
    key = conversion_key(kind, name, spec.precision, size, *features)
    return kept(key) or _fetched(spec, key)


def _fetched(spec: BackboneSpec, key: str) -> Backbone:
    from fursure.networks.hub import exported, located

    folder = located(spec.source)
    if (graph := exported(folder)) is None:
        return convert(spec.source, folder, key, spec)
    backbone = replace(from_onnx(*graph, spec), name=spec.source)
    keep_backbone(backbone, key)
    return backbone
