"""A network of timm and a dense head → a classifier that torch can train.

Dimension key: N photos, K classes, D features, H W height and width (pixels), h w map cells.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fursure.errors import BadBackbone
from fursure.graphs.layers import Dense, Layers
from fursure.networks.build import pooled
from fursure.recipe import Stage


class Classifier(nn.Module):
    """Features of ``net``, then dropout and dense layers with a ReLU between them."""

    def __init__(self, net: nn.Module, head: Layers, dropout: float) -> None:
        super().__init__()
        self.net, self.head = net, _dense(head, dropout)
        self.live = False  # whether BatchNorm follows the photos

    def place_in_batch(self, photos: int, rows: slice) -> None:
        """Say which ``rows`` of a batch of so many ``photos`` come next, for dropout's chances."""
        for module in self.head:
            if isinstance(module, BatchDropout):
                module.photos, module.rows = photos, rows

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return logits (N, K); the head computes in fp32, where its sums are safe."""
        features_ND = pooled(self.net, x_NCHW)[0].float()
        with torch.autocast(x_NCHW.device.type, enabled=False):
            logits_NK: Tensor = self.head(features_ND)
        return logits_NK

    def train(self, mode: bool = True) -> "Classifier":
        """Switch to training; frozen BatchNorm and parts without trained weights stay as they are.

        A BatchNorm in training mode would move its statistics even where no weight of it trains.
        """
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                own = list(module.parameters(recurse=False))
                # one without a scale of its own goes with the network as a whole
                learns = all(parameter.requires_grad for parameter in own or self.net.parameters())
                module.train(mode and self.live and learns)
        return self

    def layers(self) -> Layers:
        """Return the head as plain arrays."""
        return Layers(
            tuple(
                Dense(
                    layer.weight.detach().float().cpu().numpy().T.copy(),
                    layer.bias.detach().float().cpu().numpy().copy(),
                )
                for layer in self.head
                if isinstance(layer, nn.Linear)
            )
        )


class BatchDropout(nn.Module):
    """Dropout drawn for a whole batch, whichever part of it is at hand: here or elsewhere."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share  # of the features that are switched off
        self.photos, self.rows = 0, slice(0)  # of the batch, and what of it comes next

    def forward(self, x_PD: Tensor) -> Tensor:
        """Return the features, some of them off and the others as much larger."""
        if not (self.training and self.share):
            return x_PD
        kept = x_PD.new_empty((self.photos, x_PD.shape[1])).bernoulli_(1 - self.share)
        return x_PD * kept.div_(1 - self.share)[self.rows]


def _dense(head: Layers, dropout: float) -> nn.Sequential:
    modules: list[nn.Module] = []
    for number, layer in enumerate(head.dense):
        linear = nn.Linear(*layer.weight_DK.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(layer.weight_DK.T.copy()))
            linear.bias.copy_(torch.from_numpy(layer.bias_K))
        modules += [nn.ReLU()] * (number > 0) + [BatchDropout(dropout), linear]
    return nn.Sequential(*modules)


def random_head(sizes: Sequence[int], seed: int) -> Layers:
    """Return dense layers from ``sizes[0]`` features to ``sizes[-1]`` classes, untrained.

    Hidden layers begin as He et al. (ICCV 2015) have it, the last one at zero: every class is as
    likely as the next until a photo has been seen.
    """
    generator = np.random.default_rng(seed)
    layers = [
        Dense(
            generator.normal(0, np.sqrt(2 / wide), (wide, narrow)).astype(np.float32),
            np.zeros(narrow, np.float32),
        )
        for wide, narrow in pairwise(sizes)
    ]
    last = layers[-1]
    layers[-1] = Dense(np.zeros_like(last.weight_DK), last.bias_K)
    return Layers(tuple(layers))


def unfreeze(model: Classifier, part: str) -> None:
    """Let only ``part`` of the network train: the head, the last block too, or all of it.

    The last block is everything behind the last but one resolution of the network (of VGG16
    convolutions 5-1 to 5-3). BatchNorm trains only where its statistics live, and not at all
    where they are frozen.
    """
    frozen = _below_last_block(model.net) if part == "last-block" else set()
    for name, parameter in model.net.named_parameters():
        parameter.requires_grad = part == "all" or (part == "last-block" and name not in frozen)
    if not model.live:
        for module in model.net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for parameter in module.parameters():
                    parameter.requires_grad = False


def _below_last_block(net: Any) -> set[str]:
    """Return the names of the parameters in front of the last block, in order of registration.

    Raises:
        BadBackbone: the network does not say where its blocks end.
    """
    order = [name for name, _ in net.named_modules()]
    names = [name for name, _ in net.named_parameters()]
    levels = [
        order.index(level["module"]) for level in net.feature_info if level["module"] in order
    ]
    if not levels:
        raise BadBackbone(
            f"{type(net).__name__} does not say where its blocks end, and training the last one "
            'needs that; let "all" of it train, or the "head".'
        )
    place = {name: order.index(name.rpartition(".")[0]) for name in names}
    ends = [_end(order, level) for level in levels]  # modules up to here belong to the level
    for border in reversed(ends[:-1]):
        # a level may end in a pooling alone, as VGG's last does: then look one level below
        if any(border < at <= ends[-1] for at in place.values()):
            return {name for name in names if place[name] <= border}
    return set()


def _end(order: Sequence[str], level: int) -> int:
    """Return the place of the last module inside the one at ``level``."""
    inside = f"{order[level]}."
    return max([level, *(at for at, name in enumerate(order) if name.startswith(inside))])


def groups(
    model: Classifier, stage: Stage, *, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return what trains in ``stage`` as AdamW's groups: lower layers at lower rates.

    Biases and scales are not decayed: a penalty on them costs accuracy and prevents nothing.
    """
    from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]

    parameters: list[dict[str, Any]] = []
    if any(parameter.requires_grad for parameter in model.net.parameters()):
        for group in param_groups_layer_decay(
            model.net, weight_decay=weight_decay, layer_decay=layer_decay
        ):
            rate = stage.rate * layer_decay * group.pop("lr_scale")
            parameters.append({**group, "lr": rate})
    heads = list(model.head.parameters())
    for kind, decay in ((2, weight_decay), (1, 0.0)):
        chosen = [parameter for parameter in heads if parameter.ndim == kind]
        parameters.append({"params": chosen, "weight_decay": decay, "lr": stage.rate})
    return parameters


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that convolutions multiply in."""
    if precision == "auto":
        quick = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
        return torch.bfloat16 if quick else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32
