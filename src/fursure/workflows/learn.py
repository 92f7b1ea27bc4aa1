"""Collected photos → a head that fits, and where the recipe says so a network that was trained."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fursure.data.listing import Source
from fursure.engine.session import available_threads
from fursure.recipe import Engine, Recipe
from fursure.training.backbones import Backbone
from fursure.training.collect import Collected, encoded
from fursure.training.combine import encoder_for, with_flips
from fursure.training.fit import Fit, fit
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

    A network of random weights has no features worth comparing photos by, so `tiny` lends its.
    """
    if recipe.tune is None:
        return encoder_for(recipe, features=features)
    if not recipe.from_scratch:
        return encoder_for(replace(recipe, flips=False), features=features)
    lent = encoder_for(Recipe(backbone="tiny"))
    licence = "trained from random weights"
    return replace(lent, name=str(recipe.backbone), licence=licence, seen=frozenset())


def learn(
    source: Source, collected: Collected, recipe: Recipe, backbone: Backbone, means: Means
) -> Learned:
    """Fit the head on the features of ``backbone``, then train the network where asked to.

    Raises:
        FursureError: the photos or the network cannot be used so.
    """
    labels = collected.manifest.labels
    found = fit(collected.usable, collected.features_ND, labels, recipe, seen=backbone.seen)
    if recipe.tune is None:
        return Learned(encoder=backbone, collected=collected, found=found, tuned=None)
    tuned = _tune(source, collected, recipe, backbone, found.layers, means)
    encoder = with_flips(tuned.backbone) if recipe.flips else tuned.backbone
    with means.progress("reading photos again", len(collected.usable)) as advance:
        collected = encoded(
            source,
            collected,
            encoder,
            engine=means.engine,
            threads=means.threads,
            advance=advance,
        )
    found = fit(collected.usable, collected.features_ND, labels, recipe, head=tuned.head)
    return Learned(encoder=encoder, collected=collected, found=found, tuned=tuned)


def _tune(
    source: Source,
    collected: Collected,
    recipe: Recipe,
    backbone: Backbone,
    head: Layers,
    means: Means,
) -> "Tuned":
    """Train the network itself, and tell how it goes."""
    from fursure.training.finetune import Step
    from fursure.training.tuning import tune

    settings = recipe.tune
    assert settings is not None  # noqa: S101 - the caller looked
    learned = sum(one.split == "train" for one in collected.usable)
    total = learned * sum(stage.epochs for stage in settings.stages)
    budget = settings.minutes is not None  # then nobody knows how many photos will be seen
    done = 0
    with means.progress("training", None if budget else total) as advance:

        def listen(event: "Step | Epoch") -> None:
            nonlocal done
            if isinstance(event, Step):
                now = done + settings.batch if budget else int(event.done * total)
                advance(now - done)
                done = now
            else:
                means.say(event.sentence())

        return tune(
            source,
            collected,
            recipe,
            backbone,
            head,
            threads=means.threads or available_threads(),
            listen=listen,
        )
