"""Several networks and their heads → one network that answers with the mean of their logits.

Networks that began alike and met other chances make other mistakes, and their mean makes fewer
(Lakshminarayanan et al., NeurIPS 2017). The features stand side by side, and the heads become one
head on all of them, so nothing that predicts or serves knows of it.

Dimension key: D features, K outputs of a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fursure.backbones.backbone import Backbone
from fursure.backbones.combine import side_by_side
from fursure.errors import BadBackbone
from fursure.graphs.layers import Dense, Layers, Matrix


@dataclass(frozen=True, slots=True)
class Member:
    """One network and a head on its features."""

    backbone: Backbone
    head: Layers


def together(members: Sequence[Member], beside: Member | None = None) -> Member:
    """Return one network that answers with the mean of all members and what stands ``beside``.

    Strangers are then known by the features of ``beside`` alone. Members that are the same network
    count once: trainings that left it as it was.

    Raises:
        BadBackbone: the networks or their heads do not fit together.
    """
    different = {member.backbone.digest: member for member in members}
    if beside is not None:
        different.pop(beside.backbone.digest, None)
        different |= {beside.backbone.digest: beside}
    chosen = list(different.values())
    backbone = side_by_side([member.backbone for member in chosen])
    if beside is not None:
        own = sum(member.head.dense[0].weight_DK.shape[0] for member in chosen[:-1])
        backbone = replace(backbone, familiar_from=own)
    return Member(backbone, averaged([member.head for member in chosen]))


def averaged(heads: Sequence[Layers]) -> Layers:
    """Return the head on the features of all, one after the other, whose logits are their mean.

    Raises:
        BadBackbone: they have not as many layers each.
    """
    if len(heads) == 1:
        return heads[0]
    if len({len(head.dense) for head in heads}) > 1:
        raise BadBackbone("heads of different depth have no mean; give all networks one kind.")
    *hidden, last = zip(*(head.dense for head in heads), strict=True)
    below = [
        Dense(
            _blocks([layer.weight_DK for layer in layers]),
            np.concatenate([layer.bias_K for layer in layers]),
        )
        for layers in hidden
    ]
    weight_DK = np.concatenate([layer.weight_DK for layer in last]) / len(heads)
    bias_K = np.mean([layer.bias_K for layer in last], axis=0)
    mean = Dense(weight_DK.astype(np.float32), np.asarray(bias_K, np.float32))
    return Layers((*below, mean))


def _blocks(weights_DK: Sequence[Matrix]) -> Matrix:
    """Return one matrix with the others along its diagonal, and nothing beside them."""
    height, width = np.sum([weight_DK.shape for weight_DK in weights_DK], axis=0)
    whole_DK = np.zeros((height, width), np.float32)
    row = column = 0
    for weight_DK in weights_DK:
        ends = row + weight_DK.shape[0], column + weight_DK.shape[1]
        whole_DK[row : ends[0], column : ends[1]] = weight_DK
        row, column = ends
    return whole_DK
