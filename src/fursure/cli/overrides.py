"""The flags that change a recipe: declared once, and laid over the recipe that was named."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import click

from fursure.cli.options import Decorator
from fursure.errors import counted
from fursure.recipe import FineTune, LogisticRegression, Recipe, Stage
from fursure.recipes import LINEAR_PROBE, MLP_PROBE
from fursure.recipes.knobs import KNOBS, Choice, Number, Whole
from fursure.recipes.plain import overlaid
from fursure.recipes.toml import open_recipe

_HEADS = {"logistic": "logistic-regression", "mlp": "mlp"}
OF_RECIPE = (  # flags called as the knob is
    "seed", "validation", "test", "known_lost", "image_size", "resize", "precision", "flips",
    "photos", "features_output",
)  # fmt: skip
OF_TUNE = ("minutes", "augment")
OF_STAGE = ("epochs", "rate")
UNSAID = "[default: the recipe's]"


def typed(cls: type, key: str) -> click.ParamType[Any]:
    """Return the type of a flag, with the range that recipe files have too."""
    match KNOBS[cls][key]:
        case Whole(low, high):
            return click.IntRange(low, high)
        case Number(low, high, ends):
            return click.FloatRange(low, high, min_open=ends == "low", max_open=ends == "high")
        case Choice(words):
            return click.Choice(words)
        case knob:
            raise TypeError(f"no flag has {knob}")


def _flag(cls: type, key: str, about: str) -> Decorator:
    name = f"--{key.replace('_', '-')}"
    return click.option(name, key, type=typed(cls, key), help=f"{about} {UNSAID}")


FLAGS: tuple[Decorator, ...] = (
    click.option(
        "--recipe", metavar="NAME|FILE.toml",
        help="What to begin with, as `fursure recipes` lists it. [default: linear-probe]",
    ),
    click.option(
        "--backbone", multiple=True,
        help="lite0, lite1, lite2, timm:NAME, hub:ORG/REPO, or a path: .fursure, .onnx, or a "
        "folder of weights. Several, each with its own --backbone, give their features together. "
        f"{UNSAID}",
    ),
    click.option(
        "--features-output", metavar="TENSOR",
        help="The tensor to take as features from an .onnx file.",
    ),
    click.option(
        "--head", type=click.Choice(list(_HEADS)),
        help=f"What is trained on the features. {UNSAID}",
    ),
    _flag(
        LogisticRegression, "class_weight",
        "balanced: every class weighs the same, however few its photos.",
    ),
    _flag(Recipe, "seed", "Of splits and training."),
    _flag(Recipe, "photos", "Training photos to use at most, evenly by class."),
    _flag(Recipe, "validation", "Share of the photos for choosing and certifying."),
    _flag(Recipe, "test", "Share of the photos for the figures."),
    _flag(
        Recipe, "known_lost",
        "Share of known photos that may be called strangers; more finds more strangers.",
    ),
    _flag(Recipe, "image_size", "Pixels, side of the network's input."),
    _flag(Recipe, "resize", "How a photo becomes square."),
    _flag(Recipe, "precision", "Storage of a converted backbone's weights."),
    click.option(
        "--flips/--no-flips", default=None,
        help=f"Answer with the mean of a photo and its mirror image, in twice the time. {UNSAID}",
    ),
    _flag(FineTune, "augment", "How training photos vary from pass to pass."),
    _flag(FineTune, "minutes", "At most for training the network itself."),
    _flag(Stage, "epochs", "Passes over the training photos, of the last stage."),
    _flag(Stage, "rate", "Highest learning rate, of the last stage."),
)  # fmt: skip


def flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``command`` every flag of a recipe, in the order of the list above."""
    for flag in reversed(FLAGS):
        command = flag(command)
    return command


def recipe_from(knobs: Mapping[str, Any], tell: Callable[[str], None]) -> Recipe:
    """Return the recipe named, with the flags that were given laid over it.

    ``tell`` hears, in a sentence, which stages a flag left as they are.

    Raises:
        UsageError: a flag is for training the network itself, and the recipe does not.
        FursureError: the recipe is unknown or cannot be used.
    """
    given = {key: value for key, value in knobs.items() if value is not None and value != ()}
    base = _base(given)
    values = {key: given[key] for key in OF_RECIPE if key in given}
    if "backbone" in given:
        first, *more = given["backbone"]
        values["backbone"] = [first, *more] if more else first
    head = {"kind": _HEADS[given["head"]]} if "head" in given else {}
    weight = {"class_weight": given["class_weight"]} if "class_weight" in given else {}
    values["head"] = head | weight
    tune = _tune(base, given, tell)
    if base.tune is not None:
        values["tune"] = tune | weight
    return overlaid(base, values, f"{base.name} with these flags")


def _base(given: Mapping[str, Any]) -> Recipe:
    if "recipe" in given:
        return open_recipe(given["recipe"])
    return MLP_PROBE if given.get("head") == "mlp" else LINEAR_PROBE


def _tune(base: Recipe, given: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Return what the flags say about the training of the network itself."""
    asked = [key for key in (*OF_TUNE, *OF_STAGE) if key in given]
    if not asked:
        return {}
    if base.tune is None:
        names = " and ".join(f"--{key}" for key in asked)
        raise click.UsageError(
            f"{names}: {base.name} leaves the network itself as it is; name a recipe that trains "
            "it, such as --recipe fine-tune."
        )
    values = {key: given[key] for key in OF_TUNE if key in given}
    last = {key: given[key] for key in OF_STAGE if key in given}
    if not last:
        return values
    *stages, final = map(asdict, base.tune.stages)
    if stages:
        names = " and ".join(f"--{key}" for key in last)
        parts = ", ".join(
            f"{stage['part']} ({counted(stage['epochs'], 'epoch')})" for stage in stages
        )
        tell(f"{names}: of the last stage, {final['part']}; before it, as in the recipe: {parts}")
    return values | {"stages": [*stages, final | last]}
