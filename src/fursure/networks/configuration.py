"""A `config.json` in the Hugging Face / timm layout → what it says of a network's weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fursure.errors import BadBackbone
from fursure.photos.preprocess import Preprocess

KERAS = {".h5", ".hdf5", ".keras"}
WITH_PHOTO_TOKEN = {  # transformers' names of networks whose first token is the photo's
    "beit",
    "clip",
    "clip_vision_model",
    "data2vec-vision",
    "deit",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
    "vit",
    "vit_mae",
    "vit_msn",
}
REFUSED = {".pth", ".pt", ".bin", ".ckpt", ".pkl"}  # pickles run code when they are read


def read_config(folder: Path) -> dict[str, Any]:
    """Return the `config.json` of the Hugging Face / timm layout.

    Raises:
        BadBackbone: there is none, or it is not one.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BadBackbone(
            f"{folder} has no config.json; it needs one in the timm layout (architecture, "
            "pretrained_cfg) beside the weights, as the hub's repositories have it."
        ) from None
    except (OSError, ValueError) as error:
        raise BadBackbone(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("pretrained_cfg"), dict):
        raise BadBackbone(f"{path} has no pretrained_cfg, which says how to prepare a photo.")
    return config


def json_object(path: Path) -> dict[str, Any]:
    """Return the table in a file of JSON.

    Raises:
        BadBackbone: it holds none.
    """
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadBackbone(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise BadBackbone(f"{path} holds no object; it needs one with the network's configuration.")
    return config


def preprocess_of(config: Mapping[str, Any], image_size: int | None) -> Preprocess:
    """Return the preprocessing that a timm configuration describes.

    Raises:
        BadBackbone: it describes one we do not have.
    """
    cfg = config["pretrained_cfg"]
    modes = {"center": "crop", "squash": "squash", "border": "pad"}
    try:
        return Preprocess(
            size=image_size or int(cfg["input_size"][-1]),
            mode=modes[cfg.get("crop_mode", "center")],  # type: ignore[arg-type]
            crop=float(cfg.get("crop_pct", 0.875)),
            interpolation=cfg.get("interpolation", "bicubic"),
            mean=tuple(cfg["mean"]),
            std=tuple(cfg["std"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise BadBackbone(
            f"its pretrained_cfg does not say how to prepare a photo: {error}"
        ) from None


def licence_of(config: Mapping[str, Any]) -> str:
    """Return the licence that the configuration names."""
    return str(config["pretrained_cfg"].get("license", "unknown"))[:100]


def photo_token(config: Mapping[str, Any]) -> bool:
    """Return whether the first token of a transformer of transformers stands for the photo."""
    return config.get("model_type") in WITH_PHOTO_TOKEN
