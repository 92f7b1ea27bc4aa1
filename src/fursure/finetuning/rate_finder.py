"""A network and photos → its loss at ever higher learning rates (Smith, WACV 2017).

Dimension key: N photos, H W height and width (pixels), C colours.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fursure.errors import TrainingDiverged
from fursure.finetuning.batch_norm import folded
from fursure.finetuning.batches import TrainingPhotos
from fursure.finetuning.classifier import Classifier, random_head
from fursure.finetuning.schedule import rising
from fursure.finetuning.state import State
from fursure.finetuning.trainer import Step, Trainer
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune, Stage

HIGHEST, LOWEST = 0.1, 1e-6  # rates
_STEPS = 60
_SMOOTHING = 0.9  # decay a step of the averaged loss: single batches jump
HOPELESS = 4.0  # times the lowest loss; beyond it nothing is learned any more


def rates(
    net: Any,
    squares_NHWC: NDArray[np.uint8],
    labels_N: NDArray[np.int64],
    preprocess: Preprocess,
    settings: FineTune,
    *,
    classes: int,
    seed: int,
) -> Iterator[tuple[float, float]]:
    """Yield (rate, smoothed loss in nats per photo) as the rate rises from step to step.

    The head starts untrained: one that fits already has nothing to show at a low rate. The last
    of the settings' stages says what trains.
    """
    net = folded(net, preprocess.size) if settings.batch_norm == "frozen" else net
    model = Classifier(net, random_head((net.num_features, classes), seed), settings.dropout)
    model.to(memory_format=torch.channels_last)
    passes = -(-_STEPS // max(1, len(labels_N) // settings.batch))
    stage = Stage(part=settings.stages[-1].part, epochs=passes, rate=HIGHEST)
    size = preprocess.size
    photos = TrainingPhotos(
        squares_NHWC=squares_NHWC,
        labels_N=labels_N,
        inputs_VHWC=np.zeros((1, size, size, 3), np.uint8),  # nothing is chosen, so nothing
        labels_V=np.zeros(1, np.int64),  # has to be validated
        preprocess=preprocess,
    )
    alone = replace(settings, stages=(stage,), minutes=None, patience=passes + 1)
    trainer = Trainer(photos, alone, State.of(model), seed=seed, schedule=rising(LOWEST / HIGHEST))
    mean, weight, lowest = 0.0, 0.0, np.inf
    try:
        for event in trainer:
            if not isinstance(event, Step):
                continue
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * float(event.loss)
            weight = _SMOOTHING * weight + (1 - _SMOOTHING)
            yield event.rate, mean / weight
            lowest = min(lowest, mean / weight)
            if mean / weight > HOPELESS * lowest:
                return
    except TrainingDiverged:
        return
