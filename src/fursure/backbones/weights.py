"""A folder of weights, or what Keras saved → an encoder, converted with torch once and kept.

FOLDER                  `config.json` + `model.safetensors`, the Hugging Face / timm layout
NET.h5, NET.keras       VGG16, VGG19, ResNet50, InceptionV3, Xception or MobileNetV2 of Keras
"""

import hashlib
from pathlib import Path

from fursure.backbones.backbone import Backbone, BackboneSpec
from fursure.backbones.kept import conversion_key, keep_backbone, kept, kept_under
from fursure.errors import BadBackbone
from fursure.networks.configuration import KERAS, REFUSED, licence_of, preprocess_of, read_config


def load_weights(spec: BackboneSpec) -> Backbone | None:
    """Return the encoder with the weights at that path, or converted earlier; None: there is none.

    Raises:
        BadBackbone: they may be a pickle, or do not fit together.
        MissingExtra: they have to be converted, and torch is not installed.
    """
    path = spec.path
    if path.suffix.lower() in REFUSED:
        raise BadBackbone(
            f"{path.name} may hold a pickle, which runs code when it is read, so fursure never "
            'opens one. Where you trust it: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{path.name}', weights_only=True), 'model.safetensors')\""
        )
    if not (path.is_dir() or (path.is_file() and path.suffix.lower() in KERAS)):
        return kept_under(spec.source, spec.image_size)
    layout = "folder" if path.is_dir() else "keras"
    key = conversion_key(layout, _digest(path), spec.precision, str(spec.image_size))
    return kept(key) or convert(path.name, path, key, spec)


def convert(name: str, path: Path, key: str, spec: BackboneSpec) -> Backbone:
    """Convert weights with torch, verify the result against torch, and keep it."""
    from fursure.graphs.graph import half_precision
    from fursure.networks.build import network
    from fursure.networks.export import export_network

    config, net = network(name, path, image_size=spec.image_size)
    preprocess = preprocess_of(config, spec.image_size)
    graph = export_network(net, preprocess, name)
    backbone = Backbone(
        name=name,
        onnx=half_precision(graph) if spec.precision == "fp16" else graph,
        preprocess=preprocess,
        licence=licence_of(config),
    )
    keep_backbone(backbone, key)
    return backbone


def _digest(path: Path) -> str:
    """Return what identifies weights: the digest of a file, or of both files of a folder."""
    return _digest_of_file(path) if path.is_file() else _digest_of_folder(path)


def _digest_of_folder(folder: Path) -> str:
    weights = folder / "model.safetensors"
    read_config(folder)
    if not weights.is_file():
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in REFUSED)
        what = f"only {pickles[0]}, which may hold a pickle" if pickles else "no model.safetensors"
        raise BadBackbone(f"{folder} has {what}; it needs the weights as model.safetensors.")
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    digest.update(bytes.fromhex(_digest_of_file(weights)))
    return digest.hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
