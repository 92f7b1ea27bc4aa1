"""True classes and answers → which was taken for which, in the cells that hold photos.

With 10,000 classes a whole table would have a hundred million cells, nearly all of them empty.

Dimension key: N photos, K classes, C cells with photos.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

MATRIX = 100  # classes up to which the whole table is kept
_LARGEST = 100  # confusions that are kept of more

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How many photos of each true class got which answer."""

    classes: int  # K
    true_C: Counts
    answer_C: Counts
    photos_C: Counts

    @classmethod
    def of(cls, labels_N: Counts, predicted_N: Counts, classes: int) -> Self:
        """Return the confusion of each photo's class with its answer."""
        cells_C, photos_C = np.unique(labels_N * classes + predicted_N, return_counts=True)
        true_C, answer_C = np.divmod(cells_C, classes)
        return cls(classes=classes, true_C=true_C, answer_C=answer_C, photos_C=photos_C)

    @property
    def support(self) -> Counts:
        """The photos (K,) of each class."""
        return self._summed(self.true_C, self.photos_C)

    @property
    def predicted(self) -> Counts:
        """The photos (K,) taken for each class."""
        return self._summed(self.answer_C, self.photos_C)

    @property
    def hits(self) -> Counts:
        """The photos (K,) of each class that were taken for it."""
        right_C = self.true_C == self.answer_C
        return self._summed(self.true_C[right_C], self.photos_C[right_C])

    def matrix(self) -> tuple[tuple[int, ...], ...]:
        """Return the whole table: a row is a true class, a column an answer."""
        table_KK = np.zeros((self.classes, self.classes), np.int64)
        table_KK[self.true_C, self.answer_C] = self.photos_C
        return tuple(map(tuple, table_KK.tolist()))

    def largest(self, most: int = _LARGEST) -> tuple[tuple[int, int, int], ...]:
        """Return (true class, answer, photos) of the largest confusions, the largest first."""
        wrong_C = self.true_C != self.answer_C
        true_C, answer_C, photos_C = (
            values[wrong_C] for values in (self.true_C, self.answer_C, self.photos_C)
        )
        order = np.argsort(-photos_C, kind="stable")[:most]
        columns = (true_C[order].tolist(), answer_C[order].tolist(), photos_C[order].tolist())
        return tuple(zip(*columns, strict=True))

    def _summed(self, class_C: Counts, photos_C: Counts) -> Counts:
        sums_K = np.zeros(self.classes, np.int64)
        np.add.at(sums_K, class_C, photos_C)
        return sums_K
