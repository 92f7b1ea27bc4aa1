"""A name → a network of random weights, for training from nothing.

`cnn` is the small network that tutorials begin with, `resnet` a modern one of the same cost; any
name that timm knows gives that architecture.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn

from fursure.errors import BadBackbone, UnknownBackbone

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos, RGB in [0, 1]
WIDTHS = (32, 64, 128, 128)  # channels of the small network's convolutions
SIZES = {"cnn": 150, "resnet": 128}  # pixels
SMALLEST = 46  # pixels, from which the last pooling of the small network leaves one


class SmallCnn(nn.Module):
    """Four convolutions, each followed by a pooling, and a dense layer: tutorials' first network.

    It has what networks of timm have, as far as training and export ask for it.
    """

    num_features = 512  # of the dense layer

    def __init__(self, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
            size = (size - 2) // 2
        self.features = nn.Sequential(*layers)
        self.dense = nn.Linear(WIDTHS[-1] * size * size, self.num_features)
        self.feature_info = [{"module": f"features.{3 * n + 2}"} for n in range(len(WIDTHS))]

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        """Return the last feature map, flattened (N, width * h * w): more than its mean counts."""
        return self.features(x_NCHW).flatten(1)  # type: ignore[no-any-return]

    def forward_head(self, flat: Tensor, pre_logits: bool = True) -> Tensor:  # noqa: ARG002
        """Return the features (N, 512)."""
        return torch.relu(self.dense(flat))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """Return which parameters form a layer, as timm's networks say it."""
        return {
            "stem": r"^features\.0",
            "blocks": [(r"^features\.(\d+)", None), (r"^dense", (99,))],
        }


def scratch_network(name: str, *, size: int | None, seed: int) -> tuple[dict[str, Any], Any]:
    """Return the configuration and the network, its weights drawn from ``seed``.

    Raises:
        UnknownBackbone: no such architecture.
        BadBackbone: photos of that size are too small for it.
    """
    known = "resnet10t" if name == "resnet" else name
    if name != "cnn" and not timm.is_model(known):
        near = ", ".join(timm.list_models(f"*{name.split('_', maxsplit=1)[0]}*")[:3])
        raise UnknownBackbone(f"scratch:{name}", f"There are cnn, resnet{near and f', {near}'}.")
    side = size or SIZES.get(name)
    if name == "cnn" and side and side < SMALLEST:
        raise BadBackbone(
            f"scratch:cnn halves a photo four times, so it needs photos of {SMALLEST} px or more, "
            f"and {side} px were asked for; choose another --image-size, or leave it out."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: Any = SmallCnn(side or 150) if name == "cnn" else timm.create_model(known)
    cfg = dict(getattr(net, "pretrained_cfg", {}))
    side = side or int(cfg["input_size"][-1])
    mine = {"input_size": [3, side, side], "mean": MEAN, "std": STD, "license": "none: own weights"}
    shape = {"crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic"}
    return {"architecture": known, "pretrained_cfg": {**mine, **shape}}, net
