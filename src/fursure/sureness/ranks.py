"""Scores of held-out photos → the share of photos like them that fall below any score.

Dimension key: N held-out photos, Q knots of the curve.
"""

import numpy as np
from numpy.typing import NDArray

KNOTS = 1000  # of the ranks; the tail has its own
TAIL = 20  # lowest photos, or the lowest fifth if that is fewer, but 2: too few for ranks to tell
TAIL_KNOTS = 40
RAREST = 1e-4  # share at which the tail ends: no known photo is expected below
FEWEST_FOR_RANKS = 10  # held-out photos; fewer cannot say how unlike them a known photo may be


def curve(
    score_N: NDArray[np.float64], lowest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores and the share of photos that are at most so high, both increasing.

    The i-th of n is given i / (n + 1): a new photo falls below it with just that chance. So few
    photos lie low that their ranks are mostly chance, and with 60 of them none lies below the
    hundredth part at all. Below the `TAIL`-th the share therefore follows what an exponential tail
    with the mean depth of those photos predicts for a new one; that it was estimated from a few is
    allowed for (Aitchison and Dunsmore, Statistical Prediction Analysis, 1975); it ends at
    `RAREST`. With fewer than `FEWEST_FOR_RANKS` photos the share runs out at ``lowest``, the least
    score there is, and next to nothing is a stranger.
    """
    ordered_N, n = np.sort(score_N), len(score_N)
    if n < FEWEST_FOR_RANKS:
        start, share_Q = 0, np.zeros(1)
        depth_Q = np.maximum(ordered_N[:1] - lowest, 1e-6)
    else:
        start = min(TAIL, max(2, n // 5))
        depth_Q, share_Q = _tail(ordered_N[start] - ordered_N[:start], (start + 1) / (n + 1))
    ranks_Q = np.unique(np.linspace(start + 1, n, min(n - start, KNOTS)).round().astype(np.int64))
    score_Q = np.concatenate([ordered_N[start] - depth_Q, ordered_N[ranks_Q - 1]])
    share_Q = np.concatenate([share_Q, ranks_Q[:-1] / (n + 1), [1.0]])
    # a steep step between all but equal scores would make rounding visible
    last_of_ties_Q = np.append(np.diff(score_Q) > 1e-9, True)
    return score_Q[last_of_ties_Q], share_Q[last_of_ties_Q]


def _tail(
    depth_M: NDArray[np.float64], share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return falling depths below the start of a tail, and the rising shares that reach them."""
    count, mean = len(depth_M), max(float(depth_M.mean()), 1e-6)
    share_Q = np.geomspace(RAREST, share, TAIL_KNOTS)
    depth_Q = count * mean * ((share / share_Q) ** (1 / count) - 1)
    return np.asarray(depth_Q), share_Q
