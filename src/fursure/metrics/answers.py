"""What a model did on each of some photos: what a comparison photo by photo needs.

Dimension key: N photos, K classes, S strangers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fursure.metrics.figures import log_losses, validated
from fursure.metrics.intervals import Estimate, bootstrap, proportion


@dataclass(frozen=True, slots=True)
class Answers:
    """How a model did on each test photo, in an order that all models share."""

    correct_N: NDArray[np.bool_]
    losses_N: NDArray[np.float64]  # -log p(true class), nats

    @classmethod
    def of(cls, probs_NK: NDArray[np.floating], labels_N: NDArray[np.integer]) -> Self:
        """Return the answers behind these probabilities."""
        probs_NK, labels_N = validated(probs_NK, labels_N)
        # rounded as they are written, so that a run that goes on has the same figures
        return cls(probs_NK.argmax(axis=1) == labels_N, log_losses(probs_NK, labels_N).round(6))

    @property
    def accuracy(self) -> Estimate:
        """The share of right answers."""
        return proportion(int(self.correct_N.sum()), len(self.correct_N))

    @property
    def log_loss(self) -> Estimate:
        """The mean loss, nats per photo."""
        return bootstrap(self.losses_N)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; a right answer is a 1."""
        digits = "".join("1" if right else "0" for right in self.correct_N)
        return {"correct": digits, "losses": self.losses_N.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the answers that `to_json` wrote."""
        correct_N = np.array([digit == "1" for digit in values["correct"]], bool)
        return cls(correct_N, np.array(values["losses"], np.float64))


@dataclass(frozen=True, slots=True)
class StrangerAnswers:
    """What a model said of photos of none of its classes, in an order that all models share."""

    labelled_S: NDArray[np.bool_]  # given a label: wrong, and sure of it
    called_S: NDArray[np.bool_]  # called strangers; what remains is unsure

    @classmethod
    def of(cls, answers: Sequence[str]) -> Self:
        """Return what these answers come to."""
        called_S = np.array([answer == "stranger" for answer in answers], bool)
        unsure_S = np.array([answer == "unsure" for answer in answers], bool)
        return cls(~(called_S | unsure_S), called_S)

    @property
    def labelled(self) -> Estimate:
        """The share that is given a label."""
        return proportion(int(self.labelled_S.sum()), len(self.labelled_S))

    @property
    def called(self) -> Estimate:
        """The share that is called strangers."""
        return proportion(int(self.called_S.sum()), len(self.called_S))

    def to_json(self) -> dict[str, Any]:
        """Return plain values: a letter a photo, L(abelled), C(alled a stranger) or U(nsure)."""
        letters = np.where(self.labelled_S, "L", np.where(self.called_S, "C", "U"))
        return {"answers": "".join(letters)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the answers that `to_json` wrote."""
        letters = np.array(list(values["answers"]))
        return cls(letters == "L", letters == "C")
