"""Candidates of a head → the one that answers best for photos that taught none of them.

Each candidate is looked at on photos it learned from too: the distance between the two curves is
what it learned by heart.

Dimension key: N photos of training, M photos that choose, D features, K classes, S candidates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadData
from fursure.graphs.layers import Layers
from fursure.heads.heads import Candidate
from fursure.metrics.figures import log_losses
from fursure.rows.table import FeatureTable
from fursure.run import Hear, Pass
from fursure.sureness.calibration import softmax

_SAMPLE = 1000  # photos of training for the curve; all of them would cost as much as to train


@dataclass(frozen=True, slots=True)
class Shown:
    """Photos by their features, and what they show."""

    features_ND: FeatureTable
    labels_N: NDArray[np.integer]

    def at(self, rows: NDArray[np.intp]) -> "Shown":
        """Return some of them."""
        return Shown(self.features_ND.at(rows), self.labels_N[rows])

    def loss(self, layers: Layers) -> float:
        """Return the log loss of a head, nats per photo."""
        return mean_log_loss(self.features_ND.mapped(layers), self.labels_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The best candidate, the way to it, and what it answers for the photos that chose it."""

    best: Candidate
    curve: tuple[Pass, ...]
    logits_MK: NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """Every candidate's answers, each photo answered by one that had not seen it."""

    knobs_S: list[float]
    logits_SNK: NDArray[np.float32]
    train_losses_S: list[float]  # nats per photo, the mean over the folds that are done
    done_N: NDArray[np.bool_]  # photos of the folds that are done

    def curve(
        self, losses_S: NDArray[np.floating], right_S: NDArray[np.floating], step: str
    ) -> tuple[Pass, ...]:
        """Return the passes, whose validation losses and accuracies are those given."""
        lowest_S = np.minimum.accumulate(losses_S)
        return tuple(
            Pass(
                name=f"{step} {knob:g}",
                knob=knob,
                train_loss=train_loss,
                val_loss=float(loss),
                val_accuracy=float(right),
                best=bool(loss == lowest and (number == 0 or loss < lowest_S[number - 1])),
            )
            for number, (knob, train_loss, loss, right, lowest) in enumerate(
                zip(self.knobs_S, self.train_losses_S, losses_S, right_S, lowest_S, strict=True)
            )
        )


def mean_log_loss(logits_NK: NDArray[np.floating], labels_N: NDArray[np.integer]) -> float:
    """Return the log loss of logits as they are, nats per photo."""
    return float(log_losses(softmax(logits_NK), labels_N).mean())


def sampled(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return some of the rows, evenly, where they are more than a curve needs."""
    return rows[:: -(-len(rows) // _SAMPLE) or 1]


def choose(
    candidates: Iterator[Candidate],
    taught: Shown,
    choosing: Shown,
    *,
    step: str,
    patience: int,
    hear: Hear,
) -> Chosen:
    """Return the candidate with the least log loss on the photos that choose.

    The search ends once ``patience`` candidates were no better. ``taught`` are photos that they
    learned from; ``hear`` is told of each.

    Raises:
        BadData: no candidate's loss is a number.
    """
    chosen: tuple[Candidate, NDArray[np.floating]] | None = None
    curve: list[Pass] = []
    lowest, stale = inf, 0
    for candidate in candidates:
        logits_MK = choosing.features_ND.mapped(candidate.layers)
        loss = mean_log_loss(logits_MK, choosing.labels_N)
        better = loss < lowest
        curve.append(
            Pass(
                name=f"{step} {candidate.knob:g}",
                knob=candidate.knob,
                train_loss=taught.loss(candidate.layers),
                val_loss=loss,
                val_accuracy=float((logits_MK.argmax(axis=1) == choosing.labels_N).mean()),
                best=better,
            )
        )
        hear(curve[-1])
        stale += 1
        if better:
            lowest, stale, chosen = loss, 0, (candidate, logits_MK)
        if stale >= patience:
            break
    if chosen is None:
        raise BadData("every head's validation loss was not a number; a feature may be broken.")
    return Chosen(best=chosen[0], curve=tuple(curve), logits_MK=chosen[1])


def cross(
    train: Callable[[NDArray[np.bool_]], Iterator[Candidate]],
    photos: Shown,
    fold_N: NDArray[np.integer],
    classes: int,
) -> Iterator[Crossed]:
    """Yield after each fold what all candidates answer, each photo by one that had not seen it.

    ``train`` returns the candidates that learned from the photos marked.
    """
    knobs: list[float] = []
    logits: list[NDArray[np.float32]] = []
    losses: list[float] = []
    done_N = np.zeros(len(fold_N), bool)
    for number, fold in enumerate(np.unique(fold_N), start=1):
        held_N = fold_N == fold
        taught = photos.at(sampled(np.flatnonzero(~held_N)))
        held_ND = photos.features_ND.at(held_N)
        for place, candidate in enumerate(train(~held_N)):
            if place == len(knobs):
                knobs.append(candidate.knob)
                logits.append(np.zeros((len(fold_N), classes), np.float32))
                losses.append(0.0)
            logits[place][held_N] = held_ND.mapped(candidate.layers)
            losses[place] += taught.loss(candidate.layers)
        done_N = done_N | held_N
        yield Crossed(
            knobs_S=knobs,
            logits_SNK=np.stack(logits),
            train_losses_S=[loss / number for loss in losses],
            done_N=done_N,
        )
