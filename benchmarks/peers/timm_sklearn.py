"""timm and scikit-learn, the plain way: eager in fp32, a DataLoader, a logistic regression.

    python -m benchmarks.peers.timm_sklearn train|answer|bulk SUBJECT MODEL WEIGHTS [compiled]

With `compiled` the fast way: bf16, channels last, and full batches through torch.compile.
"""

from typing import Any

import timm
import torch

from benchmarks.peers import job
from benchmarks.peers.frozen_torch import BATCH, Encode, Network, main


def network() -> Network:
    """Return timm's network of the folder WEIGHTS, with the transform it was trained with."""
    weights, *way = job.OPTIONS
    net = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=0).eval()
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_model_data_config(net))
    return (_compiled(net) if way == ["compiled"] else net), transform


def _compiled(net: Any) -> Encode:
    net = net.to(memory_format=torch.channels_last)
    fast: Any = torch.compile(net)

    def encode(images: torch.Tensor) -> torch.Tensor:
        images = images.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            # Another size would be compiled once more, for one batch of it.
            features: torch.Tensor = (fast if len(images) == BATCH else net)(images)
        return features.float()

    return encode


if __name__ == "__main__":
    main(network)
