"""A recipe and what may change in it → the recipe of each trial.

What the search leaves alone, class weights and image size for two, is as in the recipe it begins
with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from fursure.recipe import FineTune, Head, LogisticRegression, Mlp, Recipe, Stage

BackboneChoice = str | tuple[str, ...]
_HIDDEN = {"64": (64,), "128": (128,), "256": (256,), "512": (512,), "256+64": (256, 64)}
_PASSES = {"last-block": 5, "all": 4}  # at most


class Chance(Protocol):
    """What draws the knobs of a trial; Optuna's trials are such."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between the ends."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number between the ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All recipes that trials may have."""

    base: Recipe
    backbones: Mapping[str, BackboneChoice]  # by the name that a trial has for it
    flips: bool = False  # whether answers of a photo and its mirror image together are tried
    networks: bool = False  # whether training of the network itself is tried

    def encoders(self) -> list[tuple[str, bool]]:
        """Return the encoders: each backbone, without flips and, where they are tried, with."""
        flips = (False, True) if self.flips else (self.base.flips,)
        return [(name, flipped) for name in self.backbones for flipped in flips]

    def begins(self) -> list[Recipe]:
        """Return the recipes that are tried first: the one to begin with, on each backbone."""
        return [replace(self.base, backbone=backbone) for backbone in self.backbones.values()]

    def key(self, recipe: Recipe) -> tuple[str, bool]:
        """Return the encoder of a trial's recipe."""
        name = next(
            name for name, backbone in self.backbones.items() if backbone == recipe.backbone
        )
        return name, recipe.flips

    def fixed(self, recipe: Recipe) -> dict[str, Any]:
        """Return the choices by which `drawn` would come to the encoder of ``recipe``."""
        name, _ = self.key(recipe)
        return ({"backbone": name} if len(self.backbones) > 1 else {}) | (
            {"flips": recipe.flips} if self.flips else {}
        )

    def choices(self) -> dict[str, list[Any]]:
        """Return what `fixed` chooses from."""
        return ({"backbone": list(self.backbones)} if len(self.backbones) > 1 else {}) | (
            {"flips": [False, True]} if self.flips else {}
        )

    def drawn(self, chance: Chance) -> Recipe:
        """Return the recipe of a trial."""
        base = self.base
        drawn = {
            name: chance.suggest_categorical(name, choices)
            for name, choices in self.choices().items()
        }
        name = drawn.get("backbone", next(iter(self.backbones)))
        recipe = replace(
            base,
            backbone=self.backbones[name],
            flips=drawn.get("flips", base.flips),
            head=_head(chance, base.head),
        )
        trains = self.networks and isinstance(recipe.backbone, str)
        if trains and chance.suggest_categorical("network", ["frozen", "trained"]) == "trained":
            return replace(recipe, tune=_tuned(chance, base.tune or FineTune()), flips=base.flips)
        return replace(recipe, tune=None)


def _head(chance: Chance, base: Head) -> Head:
    kind: Literal["logistic", "mlp"] = chance.suggest_categorical("head", ["logistic", "mlp"])
    match kind:
        case "logistic":
            strength = _short(chance.suggest_float("strength", 1e-5, 3.0, log=True))
            return LogisticRegression(strengths=(strength,), class_weight=base.class_weight)
        case "mlp":
            return Mlp(
                hidden=_HIDDEN[chance.suggest_categorical("hidden", list(_HIDDEN))],
                dropout=_short(chance.suggest_float("dropout", 0.0, 0.8)),
                l2=_short(chance.suggest_float("l2", 1e-6, 1e-1, log=True)),
                rate=_short(chance.suggest_float("rate", 1e-4, 1e-2, log=True)),
                decay=_short(chance.suggest_float("decay", 0.8, 1.0)),
                batch=chance.suggest_categorical("batch", [64, 128, 256]),
                class_weight=base.class_weight,
            )


def _tuned(chance: Chance, base: FineTune) -> FineTune:
    part: Literal["last-block", "all"] = chance.suggest_categorical("part", list(_PASSES))
    stage = Stage(
        part=part,
        epochs=chance.suggest_int(f"passes, {part}", 1, _PASSES[part]),
        rate=_short(chance.suggest_float(f"network rate, {part}", 1e-5, 1e-3, log=True)),
    )
    return replace(
        base,
        stages=(stage,),
        augment=chance.suggest_categorical("augment", ["none", "classic", "strong"]),
        layer_decay=_short(chance.suggest_float("layer decay", 0.6, 1.0)),
        label_smoothing=_short(chance.suggest_float("label smoothing", 0.0, 0.2)),
        mixup=_short(chance.suggest_float("mixup", 0.0, 0.4)),
    )


def _short(value: float) -> float:
    """Return a number that a person can read in a recipe: three digits."""
    return float(f"{value:.3g}")
