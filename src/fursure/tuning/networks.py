"""A recipe that trains the network itself → what that answers for the photos that choose.

Dimension key: M photos that choose, K classes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fursure.dataset.labelled import Dataset
from fursure.errors import BadData
from fursure.features.collect import Collected, encoded
from fursure.files import remove
from fursure.metrics.answers import Answers
from fursure.recipe import Recipe
from fursure.run import Hear, Pass, Run, Watching, to_nobody
from fursure.sureness.calibration import fit_temperature, softmax
from fursure.training.learn import trained_network
from fursure.tuning.judging import TRIAL_FAILURES, TrialPruned
from fursure.tuning.material import TrialMaterial
from fursure.tuning.scoring import EncoderKey, Reported, choosing


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTrials:
    """What trainings of networks share, and what they leave behind."""

    dataset: Dataset
    material: TrialMaterial
    run: Run
    leftovers: set[Path] = field(default_factory=set)  # pixels, which the next trial uses too

    def score(self, recipe: Recipe, key: EncoderKey, reported: Reported) -> Answers:
        """Train, and return the answers for the half of validation that chooses.

        Killed and tried again it goes on from its last checkpoint. One that came to an end, by
        itself or given up, leaves none.

        Raises:
            FursureError: the network cannot be trained so; its rate was too high, for one.
        """
        with self._trial() as leftovers:
            logits_MK, part = self._answered(recipe, key, reported, leftovers)
            if not np.isfinite(logits_MK).all():
                raise BadData("its answers were no numbers.")
        labels = part.manifest.labels
        labels_M = np.array([labels.index(photo.label or "") for photo in part.usable])
        return Answers.of(softmax(logits_MK, fit_temperature(logits_MK, labels_M)), labels_M)

    def _answered(
        self, recipe: Recipe, key: EncoderKey, reported: Reported, leftovers: set[Path]
    ) -> tuple[NDArray[np.float32], Collected]:
        """Return the trained network's logits (M, K), and the photos that choose."""
        collected, encoder = self.material.collected[key], self.material.encoders[key]
        quiet = replace(self.run, watch=_watching(reported), say=to_nobody)
        with self.dataset.open() as source:
            member = trained_network(source, collected, recipe, encoder, quiet, leftovers)
            rows = np.flatnonzero(choosing(collected.usable, recipe.seed))
            part = replace(
                collected,
                usable=tuple(collected.usable[row] for row in rows.tolist()),
                features_ND=collected.features_ND.at(rows),
            )
            again = encoded(source, part, member.backbone, quiet)
            return again.features_ND.mapped(member.head), part

    @contextmanager
    def _trial(self) -> Iterator[set[Path]]:
        """Give what a trial leaves on disk; of one that has ended, well or not, no checkpoint."""
        leftovers: set[Path] = set()
        try:
            yield leftovers
        except (TrialPruned, *TRIAL_FAILURES):
            self._ended(leftovers)
            raise
        self._ended(leftovers)

    def _ended(self, leftovers: set[Path]) -> None:
        for path in leftovers:
            if path.is_dir():
                remove(path)  # checkpoints
            else:
                self.leftovers.add(path)

    def clear(self) -> None:
        """Remove what no further trial needs."""
        for path in self.leftovers:
            remove(path)


def _watching(reported: Reported) -> Watching:
    """Return what tells ``reported`` of each pass."""

    @contextmanager
    def watched(title: str) -> Iterator[Hear]:  # noqa: ARG001 - a Watching
        steps = 0

        def hear(step: Pass) -> None:
            nonlocal steps
            steps += 1
            reported(steps, step.val_loss)

        yield hear

    return watched
