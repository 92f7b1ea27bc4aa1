"""torchvision's MobileNetV2 and scikit-learn. The weights are random, always the same ones."""

import torch
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from benchmarks.peers.frozen_torch import Network, main


def network() -> Network:
    """Return the network without its head, and the transform of its published weights."""
    torch.manual_seed(0)
    net = mobilenet_v2(weights=None).eval()
    net.classifier = torch.nn.Identity()
    return net, MobileNet_V2_Weights.IMAGENET1K_V2.transforms()


if __name__ == "__main__":
    main(network)
