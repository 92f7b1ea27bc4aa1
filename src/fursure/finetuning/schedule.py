"""The share of a stage that is done → the share of its learning rate."""

import math
from collections.abc import Callable

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
