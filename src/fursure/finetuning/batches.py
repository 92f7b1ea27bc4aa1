"""Squares of photos and a place in the training → the batch that a step learns from.

Dimension key: N photos of training, V of validation, B of a batch, H W height and width (pixels),
C colours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fursure.finetuning.mixing import Mix, drawn_mix
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune
from fursure.together.team import Team

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPhotos:
    """What is learned from and what it is measured on."""

    squares_NHWC: NDArray[np.uint8]  # of training, somewhat larger than inputs; may lie on disk
    labels_N: RowNumbers
    inputs_VHWC: NDArray[np.uint8]  # of validation, as the finished classifier will see them
    labels_V: RowNumbers
    preprocess: Preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a step learns from, and of that the pixels which this process works on."""

    draws_B: (
        RowNumbers  # of all processes; a photo drawn again has another number, so other changes
    )
    labels_B: RowNumbers
    seed: int  # of dropout
    mix: Mix | None
    mine: RowNumbers  # places in the batch of the photos that this process learns from
    here: RowNumbers  # places of the photos whose squares are here: `mine`, and what joins them
    squares: Tensor  # uint8; where a GPU waits for them, in memory that it can fetch from

    def needed(self, part: RowNumbers) -> RowNumbers:
        """Return the places of the photos that ``part`` of the batch takes, in order."""
        return part if self.mix is None else np.union1d(part, self.mix.other_B[part])

    def pixels(self, needed: RowNumbers) -> Tensor:
        """Return the squares at places that are `needed`; a view, where they are neighbours."""
        at = np.searchsorted(self.here, needed)
        if len(at) and at[-1] - at[0] + 1 == len(at):
            return self.squares[int(at[0]) : int(at[-1]) + 1]
        return self.squares[at]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Where batches come from: each is a function of the seed, the pass and the step."""

    photos: TrainingPhotos
    settings: FineTune
    seed: int
    side: int  # pixels, of what the network trains on
    team: Team
    pinned: bool  # whether a GPU fetches them

    @property
    def steps(self) -> int:
        """How many there are in a pass."""
        return max(1, len(self.photos.labels_N) // self.settings.batch)

    def order(self, number: int) -> RowNumbers:
        """Return the draws of a pass in their order; balanced: so many of each class.

        A draw is a row; drawn again it is that many rows further, so that it is changed anew.
        """
        labels_N, generator = self.photos.labels_N, self._chance(number, 0)
        if self.settings.sampling == "shuffled":
            return generator.permutation(len(labels_N))
        classes = np.unique(labels_N)
        each = -(-len(labels_N) // len(classes))
        drawn = []
        for label in classes:
            rows = generator.permutation(np.flatnonzero(labels_N == label))
            again = np.arange(each) // len(rows) * len(labels_N)
            drawn.append(np.resize(rows, each) + again)
        return generator.permutation(np.concatenate(drawn))[: len(labels_N)]

    def read(self, order_N: RowNumbers, number: int, step: int) -> Batch:
        """Return the batch of a step in the pass ``number``, which has that order."""
        size = self.settings.batch
        draws_B = order_N[step * size : (step + 1) * size]
        rows_B = draws_B % len(self.photos.labels_N)
        on_disk = np.argsort(rows_B, kind="stable")
        draws_B, rows_B = draws_B[on_disk], rows_B[on_disk]
        generator = self._chance(number, 1 + step)
        seed = int(generator.integers(2**62))
        mix = drawn_mix(
            len(draws_B),
            self.side,
            mixup=self.settings.mixup,
            cutmix=self.settings.cutmix,
            generator=generator,
        )
        mine = np.arange(len(draws_B))[self.team.share(len(draws_B))]
        here = mine if mix is None else np.union1d(mine, mix.other_B[mine])
        squares = torch.from_numpy(self.photos.squares_NHWC[rows_B[here]])
        return Batch(
            draws_B=draws_B,
            labels_B=self.photos.labels_N[rows_B],
            seed=seed,
            mix=mix,
            mine=mine,
            here=here,
            squares=squares.pin_memory() if self.pinned else squares,
        )

    def _chance(self, number: int, use: int) -> np.random.Generator:
        """Return the source of chance for one use in one pass: its order, or one of its steps."""
        key = np.array([self.seed % 2**63, number], np.uint64)
        counter = np.array([0, 0, 0, use], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))
