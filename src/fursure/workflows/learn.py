"""Collected photos → a head that fits, and where the recipe says so a network that was trained.

Dimension key: N photos, K classes, D features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fursure.data.listing import Source
from fursure.data.split import assign
from fursure.engine.session import available_threads
from fursure.recipe import Engine, Recipe
from fursure.training.backbones import Backbone
from fursure.training.collect import Collected, encoded
from fursure.training.combine import encoder_for, with_flips
from fursure.training.fit import Fit, first_head, fit, fold_numbers, is_divided
from fursure.training.heads import Layers
from fursure.workflows.progress import Progress

if TYPE_CHECKING:  # they import torch, which a frozen backbone does without
    from fursure.training.finetune import Step
    from fursure.training.state import Epoch
    from fursure.training.tuning import Tuned


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a recipe made of the photos."""

    encoder: Backbone
    collected: Collected  # with the features of that encoder
    found: Fit
    tuned: "Tuned | None"  # None: the network stayed as it was

    def curves(self) -> dict[str, Any]:
        """Return how it went: the head's knob by validation loss, and every pass."""
        curve = [{"knob": knob, "validation_log_loss": loss} for knob, loss in self.found.curve]
        epochs = [one.to_json() for one in self.tuned.epochs] if self.tuned else []
        return {"curve": curve, "epochs": epochs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the work is done with."""

    engine: Engine
    threads: int | None
    progress: Progress
    say: Callable[[str], None]  # hears of each pass


def origin(recipe: Recipe, features: str | None) -> Backbone:
    """Return the encoder that collects the photos: the recipe's own before any training.

    A network of random weights has no features worth comparing photos by, so `lite0` lends its.
    """
    if recipe.tune is None:
        return encoder_for(recipe, features=features)
    if not recipe.from_scratch:
        return encoder_for(replace(recipe, flips=False), features=features)
    lent = encoder_for(Recipe(backbone="lite0"))
    licence = "trained from random weights"
    return replace(lent, name=str(recipe.backbone), licence=licence, seen=frozenset())


def learn(
    source: Source, collected: Collected, recipe: Recipe, backbone: Backbone, means: Means
) -> Learned:
    """Fit the head on the features of ``backbone``, or train the network where asked to.

    Raises:
        FursureError: the photos or the network cannot be used so.
    """
    work = _Work(source, recipe, backbone, means)
    if recipe.tune is not None:
        return work.split(collected) if is_divided(collected.usable) else work.crossed(collected)
    photos, labels = collected.usable, collected.manifest.labels
    found = fit(photos, collected.features_ND, labels, recipe, seen=backbone.seen)
    return Learned(encoder=backbone, collected=collected, found=found, tuned=None)


@dataclass(frozen=True, slots=True)
class _Work:
    """Training of the network itself: once, or once a fold and once more."""

    source: Source
    recipe: Recipe
    backbone: Backbone  # before any training
    means: Means

    def split(self, collected: Collected) -> Learned:
        """Train on what is for training; validation and test photos measure."""
        labels = collected.manifest.labels
        begun = fit(collected.usable, collected.features_ND, labels, self.recipe)
        tuned = self._tuned(collected, self.recipe, begun.layers, "training")
        collected = self._encoded(collected, self._encoder(tuned))
        found = fit(collected.usable, collected.features_ND, labels, self.recipe, head=tuned.head)
        encoder = self._encoder(tuned)
        return Learned(encoder=encoder, collected=collected, found=found, tuned=tuned)

    def crossed(self, collected: Collected) -> Learned:
        """Train once a fold on the others, to predict it; and on all, the network that ships.

        Each training sets some of its photos aside to know when to stop. Killed at any moment,
        the same command goes on: a finished fold has its last checkpoint and its features.
        """
        labels = collected.manifest.labels
        fold_N = fold_numbers(collected.usable, labels, self.recipe)
        parts = int(fold_N.max()) + 2
        recipe = _with_a_share_of_time(self.recipe, parts)
        logits_NK = np.zeros((len(fold_N), len(labels)), np.float32)
        leftovers: list[Path] = []
        for fold in range(parts):  # the last one holds out nothing: what ships
            held_N, last = fold_N == fold, fold == parts - 1
            title = (
                "training on all photos" if last else f"training, fold {fold + 1} of {parts - 1}"
            )
            self.means.say(title)
            part = _held_out(collected, ~held_N & (fold_N >= 0), recipe)
            start = first_head(part.usable, part.features_ND, labels, recipe)
            tuned = self._tuned(part, recipe, start, title, halved=False)
            leftovers += tuned.leftovers
            if not last:
                held = self._encoded(_only(collected, held_N), self._encoder(tuned))
                logits_NK[held_N] = tuned.head(held.features_ND)
        encoder = self._encoder(tuned)
        collected = self._encoded(collected, encoder)
        found = fit(
            collected.usable,
            collected.features_ND,
            labels,
            self.recipe,
            head=tuned.head,
            out_of_fold_NK=logits_NK,
            seen=self.backbone.seen,
        )
        aside = {photo.sha256 for photo in part.usable if photo.split == "val"}
        aside_N = np.array([photo.sha256 in aside for photo in collected.usable])
        return Learned(
            encoder=encoder,
            collected=collected,
            found=replace(found, held_out_N=aside_N),  # it trained nothing: it tells what is known
            tuned=replace(tuned, leftovers=tuple(leftovers)),
        )

    def _encoder(self, tuned: "Tuned") -> Backbone:
        return with_flips(tuned.backbone) if self.recipe.flips else tuned.backbone

    def _encoded(self, collected: Collected, encoder: Backbone) -> Collected:
        with self.means.progress("reading photos again", len(collected.usable)) as advance:
            return encoded(
                self.source,
                collected,
                encoder,
                engine=self.means.engine,
                threads=self.means.threads,
                advance=advance,
            )

    def _tuned(
        self,
        collected: Collected,
        recipe: Recipe,
        head: Layers,
        title: str,
        *,
        halved: bool = True,
    ) -> "Tuned":
        """Train the network, and tell how it goes."""
        from fursure.training.finetune import Step
        from fursure.training.tuning import tune

        settings = recipe.tune
        assert settings is not None  # noqa: S101 - the caller looked
        learned = sum(one.split == "train" for one in collected.usable)
        total = learned * sum(stage.epochs for stage in settings.stages)
        budget = settings.minutes is not None  # then nobody knows how many photos will be seen
        done = 0
        with self.means.progress(title, None if budget else total) as advance:

            def listen(event: "Step | Epoch") -> None:
                nonlocal done
                if isinstance(event, Step):
                    now = done + settings.batch if budget else int(event.done * total)
                    advance(now - done)
                    done = now
                else:
                    self.means.say(event.sentence())

            return tune(
                self.source,
                collected,
                recipe,
                self.backbone,
                head,
                threads=self.means.threads or available_threads(),
                listen=listen,
                halved=halved,
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
    pairs = zip(collected.usable, chosen_N, strict=True)
    photos = tuple(photo for photo, chosen in pairs if chosen)
    return replace(
        collected,
        manifest=replace(collected.manifest, photos=photos),
        usable=photos,
        features_ND=collected.features_ND[chosen_N],
    )
