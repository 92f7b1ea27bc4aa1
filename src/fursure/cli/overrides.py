"""The flags that change a recipe: made from their table, and laid over the recipe named."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import click

from fursure.cli import complete
from fursure.cli.options import Decorator
from fursure.errors import counted
from fursure.ranges import Choice, Number, Several, Switch, Text, Whole
from fursure.recipe import HEADS, FineTune, Recipe, Stage
from fursure.recipes.catalogue import LINEAR_PROBE, MLP_PROBE
from fursure.recipes.knobs import FLAGS, KNOBS, Flag
from fursure.recipes.parse import head_kinds, overlaid
from fursure.recipes.toml import open_recipe

UNSAID = "[default: the recipe's]"


def typed(cls: type, key: str) -> click.ParamType[Any]:
    """Return the type of a flag, with the range that recipe files have too."""
    match Choice(tuple(HEADS)) if key == "head" else KNOBS[cls][key]:
        case Whole(low, high):
            return click.IntRange(low, high)
        case Number(low, high, ends):
            return click.FloatRange(low, high, min_open=ends == "low", max_open=ends == "high")
        case Choice(words):
            return click.Choice(words)
        case Switch():
            return click.BOOL
        case Text() | Several(Text()):
            return click.STRING
        case knob:
            raise TypeError(f"no flag has {knob}")


def _option(flag: Flag) -> Decorator:
    """Return the option of ``flag``; unless it is given, its value is None or ()."""
    cls = flag.of[0]
    knob, about = KNOBS[cls].get(flag.key), f"{flag.about} {UNSAID}"
    if isinstance(knob, Switch):
        names = f"{flag.name}/--no-{flag.name.removeprefix('--')}"
        return click.option(names, flag.key, default=None, help=about)
    return click.option(
        flag.name,
        flag.key,
        type=typed(cls, flag.key),
        multiple=isinstance(knob, Several),
        metavar=flag.metavar,
        shell_complete=complete.backbones if flag.key == "backbone" else None,
        help=about,
    )


def flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``command`` --recipe and every flag of the table, in its order."""
    for flag in reversed(FLAGS):
        command = _option(flag)(command)
    return click.option(
        "--recipe",
        metavar="NAME|FILE.toml",
        shell_complete=complete.recipes,
        help="What to begin with, as `fursure recipes` lists it. [default: linear-probe]",
    )(command)


def recipe_from(knobs: Mapping[str, Any], tell: Callable[[str], None]) -> Recipe:
    """Return the recipe named, with the flags that were given laid over it.

    ``tell`` hears, in a sentence, which stages a flag left as they are.

    Raises:
        UsageError: a flag is for training the network itself, and the recipe does not.
        FursureError: the recipe is unknown or cannot be used.
    """
    given = {key: value for key, value in knobs.items() if value is not None and value != ()}
    base = _base(given)
    values = _given_for(given, Recipe)
    head = {"kind": _kind(values["head"])} if "head" in values else {}
    for cls in HEADS.values():
        head |= _given_for(given, cls)
    values["head"] = head
    _check_tunes(base, given)
    if base.tune is not None:
        values["tune"] = _given_for(given, FineTune) | _stages(
            base.tune, _given_for(given, Stage), tell
        )
    return overlaid(base, values, f"{base.name} with these flags")


def _base(given: Mapping[str, Any]) -> Recipe:
    if "recipe" in given:
        return open_recipe(given["recipe"])
    return MLP_PROBE if given.get("head") == "mlp" else LINEAR_PROBE


def _kind(flag: str) -> str:
    """Return what recipe files call the head that the flag names."""
    return next(kind for kind, cls in head_kinds().items() if cls is HEADS[flag])


def _given_for(given: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Return what the flags say about knobs of ``cls``; one of a list's values stands alone."""
    values = {flag.key: given[flag.key] for flag in FLAGS if cls in flag.of and flag.key in given}
    return {
        key: value[0] if isinstance(value, tuple) and len(value) == 1 else value
        for key, value in values.items()
    }


def _check_tunes(base: Recipe, given: Mapping[str, Any]) -> None:
    """Refuse flags that only the training of the network itself knows, where there is none."""
    names = [
        flag.name for flag in FLAGS if flag.key in given and {FineTune, Stage}.issuperset(flag.of)
    ]
    if names and base.tune is None:
        raise click.UsageError(
            f"{' and '.join(names)}: {base.name} leaves the network itself as it is; name a recipe "
            "that trains it, such as --recipe fine-tune."
        )


def _stages(tune: FineTune, last: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the stages with the last one changed; nothing where it stays."""
    if not last:
        return {}
    *stages, final = map(asdict, tune.stages)
    if stages:
        names = " and ".join(f"--{key}" for key in last)
        parts = ", ".join(
            f"{stage['part']} ({counted(stage['epochs'], 'epoch')})" for stage in stages
        )
        tell(f"{names}: of the last stage, {final['part']}; before it, as in the recipe: {parts}")
    return {"stages": [*stages, final | last]}
