"""Features, labels and splits → a head, its calibration, its risks, and honest figures.

With enough photos a held-out split chooses, certifies and tests. With few, every photo is
predicted by a head that never saw it or its near-duplicates (stratified, grouped
cross-validation), those predictions give the figures, and the head is trained on all of them.

Dimension key: N photos, D features, K classes, S candidates (strengths or epochs).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fursure.features.leakage import check_measurable, seen_among
from fursure.graphs.layers import Layers
from fursure.heads.choosing import Chosen, Crossed, Shown, choose, cross, sampled
from fursure.heads.heads import Candidate, candidates, class_weights
from fursure.heads.own import fitted_layers
from fursure.metrics.classification import Evaluation, score_probs
from fursure.metrics.figures import log_losses
from fursure.recipe import Recipe
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.rows.table import FeatureTable
from fursure.run import Hear, Pass, to_nobody
from fursure.splitting.split import folds, half
from fursure.sureness.calibration import fit_temperature, softmax
from fursure.sureness.risk import RiskTable, risk_table

Features = NDArray[np.float32] | FeatureTable  # (N, D)
Labels = NDArray[np.integer]  # (N,)
WIDER = 1.2  # times: what folds share, measured by benchmarks/small_data.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A trained head and everything measured on the way."""

    layers: Layers
    knob: float  # the strength or epoch chosen
    temperature: float
    risks: RiskTable
    evaluation: Evaluation
    basis: Literal["test photos", "cross-validation"]  # what the figures were measured on
    curve: tuple[Pass, ...]
    held_out_N: NDArray[np.bool_]  # validation photos, which calibrate familiarity; may be none
    tested_M: NDArray[np.intp]  # rows of the photos that the figures were measured on
    tested_MK: NDArray[np.floating]  # calibrated probabilities of those


def fit(
    photos: Sequence[Photo],
    features_ND: Features,
    labels: Sequence[str],
    recipe: Recipe,
    *,
    head: Layers | None = None,
    own: Any = None,
    out_of_fold_NK: NDArray[np.floating] | None = None,
    seen: Collection[int] = frozenset(),
    hear: Hear = to_nobody,
) -> Fit:
    """Train the recipe's head on the photos marked train and measure it on the others.

    ``photos`` are usable and labelled, one a row of ``features_ND``; order changes nothing. A
    ``head`` that was trained with its network is only calibrated and measured; where figures come
    from cross-validation, on the logits ``out_of_fold_NK`` of networks that had not seen the photo
    (`fold_numbers`). A head of the user's ``own`` is fitted in place of the recipe's. Photos that
    the encoder has ``seen`` may train, but nothing is measured on them. ``hear`` is told of each
    candidate.

    Raises:
        TooFewPhotos: a class is too small to hold anything out.
    """
    task = _Task.of(photos, features_ND, labels, recipe, head=head, own=own, seen=seen, hear=hear)
    if has_splits(photos):
        fitted = task.by_splits()
    else:
        fitted = task.by_folds(None if out_of_fold_NK is None else out_of_fold_NK[task.order_N])
    held_out_N = np.zeros(len(photos), bool)
    held_out_N[task.order_N] = fitted.held_out_N  # back in the order of the caller
    return replace(fitted, held_out_N=held_out_N, tested_M=task.order_N[fitted.tested_M])


def has_splits(photos: Sequence[Photo]) -> bool:
    """Return whether figures come from a split; if not, from cross-validation.

    The split says which: where photos were plenty, a limit may have left few to train on.
    """
    return bool(PhotoTable.of(photos).splits.are("val").any())


def first_head(
    photos: Sequence[Photo], features_ND: Features, labels: Sequence[str], recipe: Recipe
) -> Layers:
    """Return the head with which a network begins to train: chosen on validation, not measured."""
    return _Task.of(photos, features_ND, labels, recipe).chosen().best.layers


def fold_numbers(
    photos: Sequence[Photo], labels: Sequence[str], recipe: Recipe
) -> NDArray[np.int64]:
    """Return the fold (N,) that each photo is held out in; -1 for the user's own test photos."""
    table = PhotoTable.of(photos)
    groups = [len(np.unique(table.groups.code_N[table.labels.are(label)])) for label in labels]
    mine_N = ~table.splits.are("test")
    fold_N = np.full(len(table), -1)
    parts = max(2, min(recipe.folds, *groups))
    fold_N[mine_N] = folds(table.at(mine_N), seed=recipe.seed, k=parts)
    return fold_N


@dataclass(frozen=True, slots=True)
class _Task:
    photos: PhotoTable
    given_ND: FeatureTable  # in the caller's order
    order_N: NDArray[np.intp]  # rows of ``given_ND``, one a photo
    labels_N: Labels
    labels: tuple[str, ...]
    recipe: Recipe
    head: Layers | None  # trained already
    own: Any  # a head of the user's own, to be fitted
    seen: Collection[int]  # by the encoder, as short digests
    hear: Hear

    @classmethod
    def of(
        cls,
        photos: Sequence[Photo],
        features_ND: Features,
        labels: Sequence[str],
        recipe: Recipe,
        *,
        head: Layers | None = None,
        own: Any = None,
        seen: Collection[int] = frozenset(),
        hear: Hear = to_nobody,
    ) -> "_Task":
        """Put the photos into an order that does not depend on the caller's."""
        table = PhotoTable.of(photos)
        order_N = table.paths.in_order()
        order_N = order_N[np.argsort(table.digests.code_N[order_N], kind="stable")]
        table = table.at(order_N)
        labels_N = table.labels.numbered(labels)
        return cls(
            table,
            FeatureTable.of(features_ND),
            order_N,
            labels_N,
            tuple(labels),
            recipe,
            head,
            own,
            seen,
            hear,
        )

    @property
    def _step(self) -> str:
        """What candidates are told apart by; a head from elsewhere is the only one."""
        made_here = self.head is None and self.own is None
        return self.recipe.head.step if made_here else "head"

    def _features(self, chosen_N: NDArray[np.bool_] | NDArray[np.intp]) -> FeatureTable:
        return self.given_ND.at(self.order_N[chosen_N])

    def _shown(self, chosen_N: NDArray[np.bool_] | NDArray[np.intp]) -> Shown:
        return Shown(self._features(chosen_N), self.labels_N[chosen_N])

    def by_splits(self) -> Fit:
        """Choose on one half of validation, certify on the other, test on the test photos."""
        test_N = self.photos.splits.are("test")
        choose_N, certify_N = self._halves()
        chosen = self.chosen()
        best, curve = chosen.best, chosen.curve
        temperature = fit_temperature(chosen.logits_MK, self.labels_N[choose_N])
        certify_NK = softmax(self._features(certify_N).mapped(best.layers), temperature)
        test_NK = softmax(self._features(test_N).mapped(best.layers), temperature)
        return Fit(
            layers=best.layers,
            knob=best.knob,
            temperature=temperature,
            risks=_certified(certify_NK, self.labels_N[certify_N]),
            evaluation=score_probs(
                test_NK, self.labels_N[test_N], self.labels, seed=self.recipe.seed
            ),
            basis="test photos",
            curve=curve,
            held_out_N=self.photos.splits.are("val"),
            tested_M=np.flatnonzero(test_N),
            tested_MK=test_NK,
        )

    def _halves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which photos of validation choose, and which certify."""
        val_N = self.photos.splits.are("val")
        choose_N = np.zeros(len(val_N), bool)
        choose_N[val_N] = self._choosing(val_N)
        return _never_empty(choose_N, val_N & ~choose_N, val_N)

    def _choosing(self, among_N: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of some photos are of the half that chooses; the others certify."""
        groups = self.photos.groups.at(among_N)
        return groups.where(lambda group: half(self.recipe.seed, group) == "choose")

    def chosen(self) -> Chosen:
        """Return the head that answers best for the photos that choose, and the path to it."""
        train_N = self.photos.splits.are("train")
        choose_N, _ = self._halves()
        return choose(
            self._candidates(train_N),
            self._shown(sampled(np.flatnonzero(train_N))),
            self._shown(choose_N),
            step=self._step,
            patience=self.recipe.head.patience,
            hear=self.hear,
        )

    def by_folds(self, logits_NK: NDArray[np.floating] | None) -> Fit:
        """Predict each photo out of fold; choices for a fold are made on the other folds.

        Where networks were trained once a fold, ``logits_NK`` are their predictions.
        """
        given_N = self.photos.splits.are("test")  # by the user
        rows = np.flatnonzero(~given_N)
        mine = self.photos.at(rows)
        fold_M = fold_numbers(self.photos, self.labels, self.recipe)[rows]
        check_measurable(mine, self.seen)
        fresh_M = ~seen_among(mine, self.seen)
        crossed = (
            self._out_of_fold(rows, fold_M) if logits_NK is None else _trained(logits_NK[rows])
        )
        logits_SMK, labels_M = crossed.logits_SNK, self.labels_N[rows]

        loss_SM = np.stack([log_losses(softmax(logits_MK), labels_M) for logits_MK in logits_SMK])
        probs_MK = np.zeros(logits_SMK.shape[1:])
        for fold in np.unique(fold_M):
            here_M = fold_M == fold
            other_M = fresh_M & ~here_M
            chosen = int(loss_SM[:, other_M].mean(axis=1).argmin())
            others = logits_SMK[chosen]
            temperature = fit_temperature(others[other_M], labels_M[other_M])
            probs_MK[here_M] = softmax(others[here_M], temperature)
        loss_S = loss_SM[:, fresh_M].mean(axis=1)
        chosen = int(loss_S.argmin())
        right_SM = logits_SMK.argmax(axis=2) == labels_M
        curve = crossed.curve(loss_S, right_SM[:, fresh_M].mean(axis=1), self._step)
        for step in curve:
            self.hear(step)
        final = self._trained_to(~given_N, crossed.knobs_S[chosen])
        temperature = fit_temperature(logits_SMK[chosen][fresh_M], labels_M[fresh_M])
        tested, tested_MK = rows[fresh_M], probs_MK[fresh_M]
        if given_N.any():
            tested = np.flatnonzero(given_N)
            tested_MK = softmax(self._features(given_N).mapped(final), temperature)
        certify_M = ~self._choosing(~given_N) & fresh_M
        evaluation = score_probs(
            tested_MK, self.labels_N[tested], self.labels, seed=self.recipe.seed
        )
        return Fit(
            layers=final,
            knob=crossed.knobs_S[chosen],
            temperature=temperature,
            risks=_certified(probs_MK[certify_M], labels_M[certify_M]),
            # Heads of different folds share most of their photos, so their mistakes do not come as
            # independently as an interval takes them to.
            evaluation=evaluation if given_N.any() else evaluation.widened(WIDER),
            basis="test photos" if given_N.any() else "cross-validation",
            curve=curve,
            held_out_N=np.zeros(len(self.photos), bool),
            tested_M=tested,
            tested_MK=tested_MK,
        )

    def _out_of_fold(self, rows: NDArray[np.intp], fold_M: NDArray[np.integer]) -> Crossed:
        """Return what every candidate answers, each photo out of fold."""

        def taught(train_M: NDArray[np.bool_]) -> Iterator[Candidate]:
            train_N = np.zeros(len(self.photos), bool)
            train_N[rows[train_M]] = True
            return self._candidates(train_N)

        *_, crossed = cross(taught, self._shown(rows), fold_M, len(self.labels))
        return crossed

    def _candidates(self, train_N: NDArray[np.bool_]) -> Iterator[Candidate]:
        if self.head is not None:
            return iter([Candidate(0.0, self.head)])
        head, seed = self.recipe.head, self.recipe.seed
        table, labels_N = self._features(train_N), self.labels_N[train_N]
        if self.own is not None:
            balanced = head.class_weight == "balanced"
            weight_K = class_weights(labels_N, len(self.labels), balanced=balanced)
            weight_N = weight_K[labels_N]
            layers = fitted_layers(self.own, table[:], labels_N, weight_N, len(self.labels))
            return iter([Candidate(0.0, layers)])
        return candidates(head, table, labels_N, len(self.labels), seed=seed)

    def _trained_to(self, train_N: NDArray[np.bool_], knob: float) -> Layers:
        return next(
            candidate.layers for candidate in self._candidates(train_N) if candidate.knob == knob
        )


def _certified(probs_NK: NDArray[np.floating], labels_N: Labels) -> RiskTable:
    return risk_table(probs_NK.max(axis=1), probs_NK.argmax(axis=1) == labels_N)


def _trained(logits_MK: NDArray[np.floating]) -> Crossed:
    """Return the answers of networks that were trained once a fold: one candidate, no way to it."""
    return Crossed(
        knobs_S=[0.0],
        logits_SNK=logits_MK[None].astype(np.float32),
        train_losses_S=[nan],
        done_N=np.ones(len(logits_MK), bool),
    )


def _never_empty(
    choose_N: NDArray[np.bool_], certify_N: NDArray[np.bool_], both_N: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Let both halves be all of validation where chance left one without a photo."""
    return (choose_N, certify_N) if choose_N.any() and certify_N.any() else (both_N, both_N)
