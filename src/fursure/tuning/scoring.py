"""A recipe and the photos that may choose → how well it does on those that taught it nothing.

No photo of test is here: what is not at hand cannot be looked at by mistake.

Dimension key: N photos that train or choose, M photos that choose, D features, K classes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadData
from fursure.features.collect import Collected
from fursure.features.leakage import check_measurable, seen_among
from fursure.heads.choosing import Shown, choose, cross, mean_log_loss, sampled
from fursure.heads.fit import fold_numbers, has_splits
from fursure.heads.heads import Candidate, candidates
from fursure.metrics.answers import Answers
from fursure.recipe import Recipe
from fursure.rows.photo import Photo
from fursure.rows.table import FeatureTable
from fursure.run import Pass
from fursure.splitting.split import half
from fursure.sureness.calibration import fit_temperature, softmax

EncoderKey = tuple[str, bool]  # what the backbone is called, and whether it has flips
Reported = Callable[[int, float], None]  # hears a step and its loss; raises where that is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialGround:
    """The photos that train and choose, and their features by every encoder."""

    labels_N: NDArray[np.integer]
    classes: int
    features_ND: Mapping[EncoderKey, FeatureTable]
    train_N: NDArray[np.bool_]
    choose_N: NDArray[np.bool_]  # by validation, or in their turn: those that measure
    fold_N: NDArray[np.integer] | None  # None: validation chooses

    @classmethod
    def of(
        cls, collected: Mapping[EncoderKey, Collected], recipe: Recipe, seen: Collection[int]
    ) -> Self:
        """Return the ground without its test photos; few photos choose in turn, in folds.

        The photos that encoders have ``seen`` train only. Validation chooses by the half that
        chooses in training too; the other half is left to certify.
        """
        first = next(iter(collected.values()))
        rows = _in_order(first.usable)
        photos = [first.usable[row] for row in rows]
        labels = first.manifest.labels
        crossed = not has_splits(photos)
        return cls(
            labels_N=np.array([labels.index(photo.label or "") for photo in photos]),
            classes=len(labels),
            features_ND={key: part.features_ND.at(rows) for key, part in collected.items()},
            train_N=np.array([photo.split == "train" for photo in photos]),
            choose_N=_fresh(photos, seen) if crossed else choosing(photos, recipe.seed),
            fold_N=fold_numbers(photos, labels, recipe) if crossed else None,
        )

    def score(self, recipe: Recipe, key: EncoderKey, reported: Reported) -> Answers:
        """Return what the best head of ``recipe`` answers for the photos that choose.

        It is judged at the temperature that suits it, as a finished model is.

        Raises:
            BadData: no loss was a number.
        """
        shown = Shown(self.features_ND[key], self.labels_N)
        logits_MK = (
            self._by_split(recipe, shown, reported)
            if self.fold_N is None
            else self._by_folds(recipe, shown, self.fold_N, reported)
        )
        if not np.isfinite(logits_MK).all():
            raise BadData("its answers were no numbers.")
        labels_M = self.labels_N[self.choose_N]
        return Answers.of(softmax(logits_MK, fit_temperature(logits_MK, labels_M)), labels_M)

    def _by_split(self, recipe: Recipe, shown: Shown, reported: Reported) -> NDArray[np.floating]:
        train = np.flatnonzero(self.train_N)
        steps = 0

        def hear(step: Pass) -> None:
            nonlocal steps
            steps += 1
            reported(steps, step.val_loss)

        found = choose(
            self._candidates(recipe, shown.at(train)),
            shown.at(sampled(train)),
            shown.at(np.flatnonzero(self.choose_N)),
            step=recipe.head.step,
            patience=recipe.head.patience,
            hear=hear,
        )
        return found.logits_MK

    def _by_folds(
        self, recipe: Recipe, shown: Shown, fold_N: NDArray[np.integer], reported: Reported
    ) -> NDArray[np.floating]:
        def taught(train_N: NDArray[np.bool_]) -> Iterator[Candidate]:
            return self._candidates(recipe, shown.at(np.flatnonzero(train_N)))

        best_NK = np.zeros((len(fold_N), self.classes))
        for number, crossed in enumerate(cross(taught, shown, fold_N, self.classes), start=1):
            here_N = crossed.done_N & self.choose_N
            losses = [
                mean_log_loss(logits_NK[here_N], self.labels_N[here_N])
                for logits_NK in crossed.logits_SNK
            ]
            best_NK = crossed.logits_SNK[int(np.argmin(losses))]
            reported(number, min(losses))
        return best_NK[self.choose_N]

    def _candidates(self, recipe: Recipe, train: Shown) -> Iterator[Candidate]:
        return candidates(
            recipe.head, train.features_ND, train.labels_N, self.classes, seed=recipe.seed
        )


def _in_order(photos: Sequence[Photo]) -> NDArray[np.intp]:
    """Return the rows that are not for test, in an order that does not depend on the caller's."""
    rows = [row for row, photo in enumerate(photos) if photo.split != "test"]
    order = sorted(rows, key=lambda row: (photos[row].sha256, photos[row].path))
    return np.array(order, np.intp)


def _fresh(photos: Sequence[Photo], seen: Collection[int]) -> NDArray[np.bool_]:
    check_measurable(photos, seen)
    return ~seen_among(photos, seen)


def choosing(photos: Sequence[Photo], seed: int) -> NDArray[np.bool_]:
    """Return the half of validation that chooses; all of it where chance left that empty."""
    val_N = np.array([photo.split == "val" for photo in photos])
    choose_N = val_N & np.array([half(seed, photo.group) == "choose" for photo in photos])
    return choose_N if choose_N.any() and (val_N & ~choose_N).any() else val_N
