"""Rows → the directions along which they differ most.

Dimension key: N rows, D columns, R directions.
"""

import numpy as np
from numpy.typing import NDArray

EXACT = 512  # rows up to which their directions are computed exactly


def principal_directions(
    rows_ND: NDArray[np.float32],
    rank: int,
    rng: "np.random.Generator",
    near_DR: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return the first right singular vectors: of few rows from their products with each other.

    Of many by subspace iteration (Halko et al., SIAM 2011), which is at its end after one step
    where it begins ``near_DR``, the directions of nearly the same rows.
    """
    if len(rows_ND) <= EXACT:
        square_N, turn_NN = np.linalg.eigh((rows_ND @ rows_ND.T).astype(np.float64))
        square_R, turn_NR = square_N[::-1][:rank], turn_NN[:, ::-1][:, :rank]
        spans_R = square_R > 1e-6 * square_R[0]  # what nothing lies along is no direction
        inverse_R = np.where(spans_R, 1 / np.sqrt(np.where(spans_R, square_R, 1)), 0)
        return np.asarray((rows_ND.T @ turn_NR) * inverse_R)
    width = min(rank + 16, *rows_ND.shape)
    guess_DR = rng.standard_normal((rows_ND.shape[1], width)).astype(np.float32)
    if near_DR is not None:
        guess_DR[:, : near_DR.shape[1]] = near_DR[:, :width]
    for _ in range(3 if near_DR is None else 1):
        guess_DR = np.linalg.qr(rows_ND.T @ (rows_ND @ guess_DR))[0]
    sketch_NR = (rows_ND @ guess_DR).astype(np.float64)
    _, turn_RR = np.linalg.eigh(sketch_NR.T @ sketch_NR)  # by increasing eigenvalue
    return np.asarray(guess_DR @ turn_RR[:, ::-1][:, :rank])
