"""A smooth convex function → its minimum, by limited-memory BFGS.

Forty lines in place of SciPy: its solver spent as long on its own bookkeeping as the head's
passes over the features took, and SciPy would be the largest part of the `train` extra.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_Vector = NDArray[np.float32]  # (P,) parameters
Objective = Callable[[_Vector], tuple[float, _Vector]]  # parameters -> value and slope

MEMORY = 10  # steps whose curvature is remembered
_ENOUGH = 1e-4  # share of the promised decrease a step must give (Armijo, 1966)
HALVINGS = 25  # of a step before the search gives up: float32 sees no smaller one


def minimise(
    objective: Objective, start: _Vector, *, decrease: float, slope: float, steps: int = 200
) -> _Vector:
    """Return where ``objective`` is least (Nocedal & Wright, Numerical Optimization, alg. 7.5).

    Ends when a step lowers the value by less than the share ``decrease`` of it (or of 1), when
    no component of the slope exceeds ``slope``, or after ``steps``.
    """
    x_P = start
    value, slope_P = objective(x_P)
    history: deque[tuple[_Vector, _Vector, float]] = deque(maxlen=MEMORY)
    for _ in range(steps):
        if np.abs(slope_P).max() <= slope:
            break
        direction_P = -_times_inverse_hessian(slope_P, history)
        descent = float(direction_P @ slope_P)
        length = 1.0
        for _ in range(HALVINGS):
            new_P = x_P + np.float32(length) * direction_P
            new_value, new_slope_P = objective(new_P)
            if new_value <= value + _ENOUGH * length * descent:
                break
            length /= 2
        else:
            break
        step_P, turn_P = new_P - x_P, new_slope_P - slope_P
        curvature = float(step_P @ turn_P)
        if curvature > 1e-10 * float(turn_P @ turn_P):  # else rounding, and no information
            history.append((step_P, turn_P, 1 / curvature))
        gained = value - new_value
        x_P, value, slope_P = new_P, new_value, new_slope_P
        if gained <= decrease * max(abs(value), 1.0):
            break
    return x_P


def _times_inverse_hessian(
    slope_P: _Vector, history: deque[tuple[_Vector, _Vector, float]]
) -> _Vector:
    """Return the approximate inverse Hessian times ``slope_P`` (the two-loop recursion)."""
    out_P = slope_P.copy()
    shares = []
    for step_P, turn_P, scale in reversed(history):
        shares.append(np.float32(scale * float(step_P @ out_P)))
        out_P -= shares[-1] * turn_P
    if history:
        step_P, turn_P, scale = history[-1]
        out_P *= np.float32(1 / (scale * float(turn_P @ turn_P)))
    for (step_P, turn_P, scale), share in zip(history, reversed(shares), strict=True):
        out_P += (share - np.float32(scale * float(turn_P @ out_P))) * step_P
    return out_P
