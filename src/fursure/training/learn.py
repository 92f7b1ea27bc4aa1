"""Collected photos → a head that fits, and where the recipe says so a network that was trained.

Dimension key: N photos, K classes, D features.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.backbone import Backbone
from fursure.backbones.combine import beside_for, encoder_for, with_flips
from fursure.backbones.ensemble import Member, together
from fursure.backbones.int8 import Calibration
from fursure.dataset.listing import Source
from fursure.errors import BadRecipe
from fursure.features.collect import Collected, encoded
from fursure.graphs.layers import Layers
from fursure.heads.fit import Fit, first_head, fit, fold_numbers, has_splits
from fursure.recipe import Recipe
from fursure.rows.photo_table import PhotoTable
from fursure.run import Run, unwatched
from fursure.splitting.split import assign

if TYPE_CHECKING:  # they import torch, which a frozen backbone does without
    from fursure.finetuning.state import Epoch
    from fursure.finetuning.trainer import Step
    from fursure.finetuning.tuning import Tuned

_LEAST = 0.5  # share of the first run's time with which another one may begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a recipe made of the photos."""

    encoder: Backbone
    collected: Collected  # with the features of that encoder
    found: Fit
    runs: "tuple[Tuned, ...]" = ()  # of the network that ships; none: it stayed as it was
    notes: tuple[str, ...] = ()  # what training the network came to
    leftovers: tuple[Path, ...] = ()  # of all trainings, to remove once the model is written

    def curves(self) -> dict[str, Any]:
        """Return how it went: the head's knob by validation loss, and every pass of every run."""
        curve = [
            {
                "knob": step.knob,
                "name": step.name,
                "validation_log_loss": step.val_loss,
                "validation_accuracy": step.val_accuracy,
                "training_log_loss": step.train_loss if isfinite(step.train_loss) else None,
            }
            for step in self.found.curve
        ]
        epochs = [
            {"run": number, **epoch.to_json()}
            for number, run in enumerate(self.runs, start=1)
            for epoch in run.epochs
        ]
        return {"curve": curve, "epochs": epochs}


def origin(recipe: Recipe, calibration: Calibration) -> Backbone:
    """Return the encoder that collects the photos: the recipe's own before any training.

    A network of random weights has no features worth comparing photos by, so `lite0` lends its.

    Raises:
        BadRecipe: a network that trains is asked for in int8.
    """
    if recipe.tune is None:
        return encoder_for(recipe, calibration)
    if recipe.precision == "int8":
        reason = "a network that trains cannot be in int8; --precision fp32, or a frozen one, can"
        raise BadRecipe(recipe.name, reason)
    if not recipe.from_scratch:
        return encoder_for(replace(recipe, flips=False))
    lent = encoder_for(Recipe(backbone="lite0"))
    licence = "trained from random weights"
    return replace(lent, name=str(recipe.backbone), licence=licence, seen=frozenset())


def learn(
    source: Source,
    collected: Collected,
    recipe: Recipe,
    backbone: Backbone,
    run: Run,
    *,
    own: Any = None,
) -> Learned:
    """Fit the head on the features of ``backbone``, or train the network where asked to.

    A head of the user's ``own`` is fitted in place of the recipe's. ``run`` hears of each pass of
    the network's training.

    Raises:
        FursureError: the photos or the network cannot be used so.
    """
    work = _Work(source, recipe, backbone, run)
    if recipe.tune is not None:
        return work.split(collected) if has_splits(collected.usable) else work.crossed(collected)
    photos, labels = collected.usable, collected.manifest.labels
    with run.watch("head") as hear:
        fitted = fit(
            photos, collected.features_ND, labels, recipe, own=own, seen=backbone.seen, hear=hear
        )
    return Learned(encoder=backbone, collected=collected, found=fitted)


def trained_network(
    source: Source,
    collected: Collected,
    recipe: Recipe,
    backbone: Backbone,
    run: Run,
    leftovers: set[Path],
) -> Member:
    """Return the network that the recipe makes of the photos.

    Its head is as it was trained: nothing is calibrated or measured, so no photo of test is read.
    ``leftovers`` gets what training leaves on disk, also where it fails.

    Raises:
        FursureError: the photos or the network cannot be used so.
    """
    work = _Work(source, recipe, backbone, run, leftovers)
    member, _ = work._grown(collected, work._beside(collected), recipe, "training")
    return member


@dataclass(frozen=True, slots=True)
class _Work:
    """Training of the network itself: once, or once a fold and once more."""

    source: Source
    recipe: Recipe
    backbone: Backbone  # before any training
    run: Run
    leftovers: set[Path] = field(default_factory=set)  # of all trainings: checkpoints, pixels

    def split(self, collected: Collected) -> Learned:
        """Train on what is for training; validation and test photos measure."""
        labels = collected.manifest.labels
        beside = self._beside(collected)
        member, runs = self._grown(collected, beside, self.recipe, "training")
        collected = self._encoded(collected, member.backbone)
        fitted = fit(collected.usable, collected.features_ND, labels, self.recipe, head=member.head)
        return self._learned(member, collected, fitted, runs)

    def crossed(self, collected: Collected) -> Learned:
        """Train once a fold on the others, to predict it; and on all, the network that ships.

        Each training sets some of its photos aside to know when to stop. Killed at any moment,
        the same command goes on: a finished fold has its last checkpoint and its features.
        """
        labels = collected.manifest.labels
        beside = self._beside(collected)
        fold_N = fold_numbers(collected.usable, labels, self.recipe)
        parts = int(fold_N.max()) + 2
        recipe = _with_a_share_of_time(self.recipe, parts)
        logits_NK = np.zeros((len(fold_N), len(labels)), np.float32)
        for fold in range(parts):  # the last one holds out nothing: what ships
            held_N, last = fold_N == fold, fold == parts - 1
            title = (
                "training on all photos" if last else f"training, fold {fold + 1} of {parts - 1}"
            )
            self.run.say(title)
            mine_N = ~held_N & (fold_N >= 0)
            part = _held_out(collected, mine_N, recipe)
            view = None if beside is None else _held_out(beside, mine_N, recipe)
            member, runs = self._grown(part, view, recipe, title, halved=False)
            if not last:
                held = self._encoded(_only(collected, held_N), member.backbone)
                logits_NK[held_N] = held.features_ND.mapped(member.head)
        collected = self._encoded(collected, member.backbone)
        fitted = fit(
            collected.usable,
            collected.features_ND,
            labels,
            self.recipe,
            head=member.head,
            out_of_fold_NK=logits_NK,
            seen=self.backbone.seen,
        )
        table = PhotoTable.of(part.usable)
        aside = set(table.digests.at(table.splits.are("val")))
        aside_N = PhotoTable.of(collected.usable).digests.where(aside.__contains__)
        # it trained nothing: it tells what is known
        fitted = replace(fitted, held_out_N=aside_N)
        return self._learned(member, collected, fitted, runs)

    def _learned(
        self, member: Member, collected: Collected, found: Fit, shipped: "list[Tuned]"
    ) -> Learned:
        """Return what came of the runs that are ``shipped``."""
        from fursure.finetuning.tuning import helped

        notes = [note for run in shipped for note in run.notes]
        in_vain = sum(not helped(run.epochs) for run in shipped)
        if in_vain == len(shipped):
            notes.append(
                "training the network did not help: on validation no pass was better than the "
                "frozen network, which is kept; recipe linear-probe gives the like in seconds"
            )
        elif in_vain:
            notes.append(
                f"{in_vain} of {len(shipped)} trainings did not help, and count for nothing"
            )
        if in_vain < len(shipped) and not self.recipe.from_scratch:
            notes.append(_about_strangers(self.recipe, member))
        return Learned(
            encoder=member.backbone,
            collected=collected,
            found=found,
            runs=tuple(shipped),
            notes=tuple(notes),
            leftovers=tuple(self.leftovers),
        )

    def _beside(self, collected: Collected) -> Collected | None:
        """Return the photos as the frozen network beside sees them, where there is one."""
        frozen = beside_for(self.recipe, self.backbone)
        return None if frozen is None else self._encoded(collected, frozen)

    def _grown(
        self,
        collected: Collected,
        beside: Collected | None,
        recipe: Recipe,
        title: str,
        *,
        halved: bool = True,
    ) -> tuple[Member, "list[Tuned]"]:
        """Train as often as the recipe says; return the network that answers for all runs."""
        labels = collected.manifest.labels
        start = first_head(collected.usable, collected.features_ND, labels, recipe)
        runs: list[Tuned] = []
        for recipe_of_run in _runs(recipe, runs):
            runs.append(self._tuned(collected, recipe_of_run, start, title, len(runs), halved))
        frozen = None
        if beside is not None:
            network = beside_for(recipe, self.backbone)
            assert network is not None  # noqa: S101 - it has shown the photos
            head = first_head(beside.usable, beside.features_ND, labels, recipe)
            frozen = Member(network, head)
        member = together([Member(run.backbone, run.head) for run in runs], frozen)
        if recipe.flips:
            member = replace(member, backbone=with_flips(member.backbone))
        return member, runs

    def _encoded(self, collected: Collected, encoder: Backbone) -> Collected:
        return encoded(self.source, collected, encoder, self.run)

    def _tuned(
        self,
        collected: Collected,
        recipe: Recipe,
        head: Layers,
        title: str,
        run: int,
        halved: bool,
    ) -> "Tuned":
        """Train the network once, and tell how it goes."""
        from fursure.finetuning.trainer import Step
        from fursure.finetuning.tuning import train_network

        settings = recipe.tune
        assert settings is not None  # noqa: S101 - the caller looked
        learned = int(PhotoTable.of(collected.usable).splits.are("train").sum())
        total = learned * sum(stage.epochs for stage in settings.stages)
        budget = settings.minutes is not None  # then nobody knows how many photos will be seen
        done = 0
        with (
            self.run.watch(title) as hear,
            self.run.progress(title, None if budget else total) as advance,
        ):

            def listen(event: "Step | Epoch") -> None:
                nonlocal done
                if isinstance(event, Step):
                    now = done + settings.batch if budget else int(event.done * total)
                    advance(now - done)
                    done = now
                elif self.run.watch is unwatched:
                    self.run.say(event.passed().sentence())
                else:
                    hear(event.passed())

            return train_network(
                self.source,
                collected,
                recipe,
                self.backbone,
                head,
                threads=self.run.cores,
                listen=listen,
                leaving=self.leftovers.update,
                halved=halved,
                run=run,
            )


def _runs(recipe: Recipe, done: "list[Tuned]") -> Iterator[Recipe]:
    """Yield the recipe of each run; where minutes are counted, with those that are left.

    Another run begins only where it has half the time that the first one took, or more: a short
    training adds less than it takes.
    """
    settings = recipe.tune
    assert settings is not None  # noqa: S101 - the caller looked
    for _ in range(settings.runs):
        if settings.minutes is None or not done:
            yield recipe
            continue
        took = [run.epochs[-1].seconds / 60 for run in done]
        left = settings.minutes - sum(took)
        if left < _LEAST * took[0]:
            return
        yield replace(recipe, tune=replace(settings, minutes=left))


def _about_strangers(recipe: Recipe, member: Member) -> str:
    """Return which features tell strangers, now that the network was trained."""
    assert recipe.tune is not None  # noqa: S101 - it was
    if member.backbone.familiar_from:
        return (
            f"strangers are told by the features of {recipe.tune.beside}, which was not trained: "
            "as well as by that network alone"
        )
    return (
        "strangers are told by features that were trained, which know them worse than frozen "
        'ones; tune.beside = "lite0" in the recipe keeps a frozen view'
    )


def _with_a_share_of_time(recipe: Recipe, parts: int) -> Recipe:
    """Return the recipe with its budget of minutes, if it has one, divided by ``parts``."""
    settings = recipe.tune
    if settings is None or settings.minutes is None:
        return recipe
    return replace(recipe, tune=replace(settings, minutes=settings.minutes / parts))


def _held_out(collected: Collected, chosen_N: NDArray[np.bool_], recipe: Recipe) -> Collected:
    """Return the photos chosen, some of them set aside for validation."""
    part = _only(collected, chosen_N)
    photos = assign(part.usable, seed=recipe.seed, val=recipe.validation, test=0.0)
    return replace(part, usable=photos, manifest=replace(part.manifest, photos=photos))


def _only(collected: Collected, chosen_N: NDArray[np.bool_]) -> Collected:
    """Return the photos chosen, with their features."""
    photos = PhotoTable.of(collected.usable).at(chosen_N)
    return replace(
        collected,
        manifest=replace(collected.manifest, photos=photos),
        usable=photos,
        features_ND=collected.features_ND.at(chosen_N),
    )
