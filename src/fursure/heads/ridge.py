"""Rows and classes → what a linear model that never saw a row makes of it, for all rows at once.

Least squares on one-hot targets (a ridge regression) needs the rows only as sums of products, and
those of all folds but one are the total less that one's: five folds cost hardly more than one
fit, and 100,000 rows no more memory than a block of them.

Dimension key: N rows, B rows of a block, D features, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.graphs.layers import Matrix
from fursure.rows.table import FeatureTable

BLOCK = 2048  # rows at a time
RIDGE = 2.0  # added to the variance of each feature, which is 1 once standardised


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Features as they are kept, handed out block by block as a linear model wants them.

    With ``roots`` those are the roots of their shares of the whole (the Hellinger kernel):
    pooled activations vary with their size, and few large ones would outvote the others.

    Fewer rows than features are handed out along directions that span them: every product of two
    rows stays what it was, and so do a ridge regression and the principal directions, for less.
    """

    kept_ND: NDArray[Any] | FeatureTable
    mean_D: Matrix
    inverse_D: Matrix  # 1 / standard deviation; 0 for a feature that never varies
    roots: bool
    turn_DR: Matrix | None = None  # the directions that span few rows

    @classmethod
    def of(cls, kept_ND: NDArray[Any] | FeatureTable, *, roots: bool) -> "FeatureRows":
        """Return the rows standardised by their own mean and spread."""
        count, width = kept_ND.shape
        plain = cls(kept_ND, np.zeros(width, np.float32), np.ones(width, np.float32), roots)
        total_D, square_D = np.zeros(width), np.zeros(width)
        for _, block_BD in plain.blocks():
            total_D += block_BD.sum(axis=0)
            square_D += np.einsum("bd,bd->d", block_BD, block_BD)
        mean_D = total_D / max(count, 1)
        spread_D = np.sqrt(np.maximum(square_D / max(count, 1) - mean_D**2, 0))
        varies_D = spread_D > 1e-4 * max(float(spread_D.max(initial=0.0)), 1e-12)
        inverse_D = np.where(varies_D, 1 / np.where(varies_D, spread_D, 1), 0)
        rows = cls(kept_ND, mean_D.astype(np.float32), inverse_D.astype(np.float32), roots)
        return replace(rows, turn_DR=spanning(rows.at(slice(None)))) if count < width else rows

    def __len__(self) -> int:
        return len(self.kept_ND)

    @property
    def width(self) -> int:
        """The numbers of a row as it is handed out."""
        return int((self.kept_ND if self.turn_DR is None else self.turn_DR).shape[1])

    def blocks(self) -> Iterator[tuple[slice, Matrix]]:
        """Yield every block and where it lies."""
        for start in range(0, len(self.kept_ND), BLOCK):
            place = slice(start, start + BLOCK)
            yield place, self.at(place)

    def at(self, place: slice | NDArray[np.intp]) -> Matrix:
        """Return some rows, standardised."""
        block_BD = np.array(self.kept_ND[place], np.float32)
        if self.roots:
            block_BD = np.sign(block_BD) * np.sqrt(np.abs(block_BD))
            norm_B1 = np.sqrt(np.einsum("bd,bd->b", block_BD, block_BD))[:, None]
            block_BD /= np.maximum(norm_B1, 1e-12)
        block_BD -= self.mean_D
        block_BD *= self.inverse_D
        return block_BD if self.turn_DR is None else np.asarray(block_BD @ self.turn_DR)

    def covariance(self) -> Matrix:
        """Return the covariance (D, D) of the standardised rows."""
        total_DD = np.zeros((self.width, self.width), np.float32)
        for _, block_BD in self.blocks():
            total_DD += block_BD.T @ block_BD
        return total_DD / np.float32(max(len(self), 1))


def spanning(rows_ND: Matrix) -> Matrix:
    """Return orthonormal directions (D, R) of which every row is a sum, at most as many as rows."""
    return np.asarray(np.linalg.qr(rows_ND.T)[0])


@dataclass(slots=True)
class _Sums:
    """What a ridge regression needs to know of some rows."""

    products_DD: Matrix
    targets_DK: Matrix
    rows_D: Matrix
    hits_K: Matrix
    weight: float

    def __add__(self, other: "_Sums") -> "_Sums":
        return self._with(other, np.add)

    def __sub__(self, other: "_Sums") -> "_Sums":
        return self._with(other, np.subtract)

    def _with(self, other: "_Sums", combine: Callable[[Any, Any], Any]) -> "_Sums":
        names = [field.name for field in fields(self)]
        return _Sums(*(combine(getattr(self, name), getattr(other, name)) for name in names))

    def add(self, block_BD: Matrix, target_BK: Matrix, weight_B: Matrix) -> None:
        weighted_DB = (block_BD * weight_B[:, None]).T
        self.products_DD += weighted_DB @ block_BD
        self.targets_DK += weighted_DB @ target_BK
        self.rows_D += weighted_DB.sum(axis=1)
        self.hits_K += weight_B @ target_BK
        self.weight += float(weight_B.sum())

    def solved(self, ridge: float) -> tuple[Matrix, Matrix]:
        """Return weights (D, K) and the bias (K)."""
        share = np.float32(1 / max(self.weight, 1e-12))
        mean_D, mean_K = self.rows_D * share, self.hits_K * share
        covariance_DD = self.products_DD * share - np.outer(mean_D, mean_D)
        covariance_DD[np.diag_indices_from(covariance_DD)] += np.float32(ridge)
        common_DK = self.targets_DK * share - np.outer(mean_D, mean_K)
        weight_DK = np.linalg.solve(covariance_DD, common_DK)
        return weight_DK, mean_K - mean_D @ weight_DK


def out_of_fold(
    rows: FeatureRows,
    labels_N: NDArray[np.integer],
    classes: int,
    fold_N: NDArray[np.integer],
    weight_N: Matrix,
    *,
    ridge: float = RIDGE,
) -> Matrix:
    """Return the scores (N, K), about 1 for the class a row looks like and 0 for the others."""
    ones_KK = np.eye(classes, dtype=np.float32)
    folds = np.unique(fold_N)
    parts = {int(fold): _nothing(rows.width, classes) for fold in folds}
    for place, block_BD in rows.blocks():
        target_BK, weight_B, fold_B = ones_KK[labels_N[place]], weight_N[place], fold_N[place]
        for fold, part in parts.items():
            here_B = fold_B == fold
            part.add(block_BD[here_B], target_BK[here_B], weight_B[here_B])
    total = _nothing(rows.width, classes)
    for part in parts.values():
        total = total + part
    solutions = {fold: (total - part).solved(ridge) for fold, part in parts.items()}
    scores_NK = np.zeros((len(rows), classes), np.float32)
    for place, block_BD in rows.blocks():
        for fold, (weight_DK, bias_K) in solutions.items():
            here_B = fold_N[place] == fold
            scores_NK[place][here_B] = block_BD[here_B] @ weight_DK + bias_K
    return scores_NK


def _nothing(width: int, classes: int) -> _Sums:
    return _Sums(
        np.zeros((width, width), np.float32),
        np.zeros((width, classes), np.float32),
        np.zeros(width, np.float32),
        np.zeros(classes, np.float32),
        0.0,
    )
