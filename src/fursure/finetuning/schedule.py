"""The share of a stage that is done → the share of its learning rate."""

import math
from collections.abc import Callable

from fursure.finetuning.state import Place
from fursure.recipe import FineTune

Schedule = Callable[[float], float]

_FLOOR = 0.01  # share of the rate at which a stage ends


def warm_cosine(warmup: float) -> Schedule:
    """Return a linear rise over the first ``warmup`` of a stage, then half a cosine down.

    (Loshchilov & Hutter, SGDR, ICLR 2017; the rise as Goyal et al., 2017, have it.)
    """

    def share(done: float) -> float:
        if done < warmup:
            return done / warmup
        cosine = (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup)))) / 2
        return _FLOOR + (1 - _FLOOR) * cosine

    return share


def rising(lowest: float) -> Schedule:
    """Return a rise from ``lowest`` to the whole rate, by the same factor at each step."""
    return lambda done: float(lowest ** (1 - min(1.0, done)))


def stage_done(place: Place, settings: FineTune, steps: int) -> float:
    """Return the share of the present stage that is done: of its steps, or of its time.

    ``steps`` are those of a pass.
    """
    stage = settings.stages[place.stage]
    by_steps = (place.epoch * steps + place.step) / (stage.epochs * steps)
    if settings.minutes is None:
        return by_steps
    left = settings.minutes * 60 - place.began
    share = stage.epochs / sum(stage.epochs for stage in settings.stages[place.stage :])
    return max(by_steps, (place.seconds - place.began) / (left * share) if left > 0 else 1.0)


def training_done(place: Place, settings: FineTune, steps: int) -> float:
    """Return the share of the whole training that is done."""
    epochs = [stage.epochs for stage in settings.stages]
    here = epochs[place.stage] * min(1.0, stage_done(place, settings, steps))
    return (sum(epochs[: place.stage]) + here) / sum(epochs)
