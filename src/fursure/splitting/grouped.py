"""Photos with the names of their groups → the groups, by number, in order of name.

Dimension key: N photos, M photos that take part, G groups of near-duplicates, P pairs of a group
and a class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.rows.columns import Coded
from fursure.rows.photo_table import PhotoTable


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The photos that take part, by their groups of near-duplicates.

    A photo takes part that can be used and of which somebody said what it shows.
    """

    row_M: NDArray[np.intp]  # of the table
    of_M: NDArray[np.intp]  # the number of the photo's group
    words: Sequence[str]
    word_G: NDArray[np.int32]  # of each group's name

    @classmethod
    def of(cls, table: PhotoTable, among_N: NDArray[np.bool_] | None = None) -> "Groups":
        """Return the groups of a table, or of some of its rows.

        Raises:
            ValueError: a photo has neither a group nor a digest.
        """
        counts_N = table.usable_mask & ~table.labels.are(None)
        row_M = np.flatnonzero(counts_N if among_N is None else counts_N & among_N)
        names = table.at(row_M).group_names
        if (nameless_M := names.are("")).any():
            path = table.paths[int(row_M[nameless_M][0])]
            raise ValueError(f"{path} has neither a group nor a digest; scan the photos first")
        word_G, of_M = np.unique(names.code_N, return_inverse=True)
        return cls(row_M, of_M, names.words, word_G)

    def __len__(self) -> int:
        return len(self.word_G)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many photos each group has (G,)."""
        return np.bincount(self.of_M, minlength=len(self))

    def names(self, chosen_G: NDArray[np.bool_] | slice = slice(None)) -> Iterator[str]:
        """Yield the names of the groups chosen, or of all."""
        return iter(Coded(self.words, self.word_G[chosen_G]))

    def settled(self, split_M: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the splits of each group's photos, which come as numbers, as bits (G,)."""
        bits_G = np.zeros(len(self), np.int64)
        has_M = split_M >= 0
        np.bitwise_or.at(bits_G, self.of_M[has_M], 1 << split_M[has_M])
        return bits_G

    def pairs(self, table: PhotoTable) -> tuple[NDArray[np.int64], ...]:
        """Return each pair of a group (P,) and a class of its photos (P,), and how many they are.

        The numbers of the classes are those of the table's column.
        """
        classes = len(table.labels.words)
        pair_M = self.of_M * classes + table.labels.code_N[self.row_M]
        pair_P, count_P = np.unique(pair_M, return_counts=True)
        return *np.divmod(pair_P, classes), count_P

    def labels(self, table: PhotoTable) -> NDArray[np.int64]:
        """Return the class (G,) of most photos of each group; of two such, the first by name."""
        group_P, label_P, count_P = self.pairs(table)
        order_P = np.lexsort([label_P, -count_P, group_P])
        _, first_G = np.unique(group_P[order_P], return_index=True)
        return np.asarray(label_P[order_P][first_G])

    def members(self, chosen_G: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield each group chosen with the places (of M) of its photos."""
        place = np.flatnonzero(chosen_G[self.of_M])
        place = place[np.argsort(self.of_M[place], kind="stable")]
        groups, starts = np.unique(self.of_M[place], return_index=True)
        yield from zip(groups.tolist(), np.split(place, starts)[1:], strict=True)
