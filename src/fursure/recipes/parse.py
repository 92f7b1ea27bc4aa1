"""Plain values (of TOML, JSON or flags) → a typed recipe, or a sentence on what is wrong.

Here the outside comes in; behind it, types and tests carry the contract.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, TypeVar

from fursure.errors import BadRecipe
from fursure.ranges import Choice, Knob, Number, Several, Switch, Text, Whole
from fursure.recipe import HEADS, FineTune, Head, LogisticRegression, Recipe, Stage
from fursure.recipes.knobs import KNOBS

Values = Mapping[str, Any]
_Knobs = TypeVar("_Knobs", bound=Recipe | Head | FineTune | Stage)

MOST_STAGES = 20


def head_kinds() -> dict[str, type[Head]]:
    """Return the heads as recipe files call them: LogisticRegression is logistic-regression."""
    return {re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower(): cls for cls in HEADS.values()}


def overlaid(base: Recipe, values: Values, name: str) -> Recipe:
    """Return ``base`` with what ``values`` say instead; ``name`` is theirs in messages.

    A ``head`` of the same kind and a ``tune`` keep what is left unsaid; ``stages`` are replaced
    as a whole. None stands for a knob that is not set, where that may be.

    Raises:
        BadRecipe: a key is unknown, a value of another type or out of range, or two do not go
            together; the message names the key, the value and what is needed.
    """
    own = dict(values)
    try:
        if "head" in own:
            base = replace(base, head=_head(base.head, own.pop("head")))
        if "tune" in own:
            base = replace(base, tune=_tune(base.tune, own.pop("tune")))
        recipe = _changed(base, own)
        _check_together(recipe)
    except ValueError as error:
        raise BadRecipe(name, str(error)) from None
    return recipe


def from_json(values: Any, name: str = "the model's recipe") -> Recipe:
    """Return the recipe that `Recipe.to_json` wrote.

    A knob it lacks, because an older version wrote it, has its default.

    Raises:
        BadRecipe: as `overlaid`.
    """
    if not isinstance(values, Mapping):
        raise BadRecipe(name, f"it is {_shown(values)} and has to be an object of knobs")
    names = {cls.__name__: kind for kind, cls in head_kinds().items()}
    plain, head = dict(values), values.get("head")
    if isinstance(head, Mapping) and isinstance(head.get("kind"), str):
        plain["head"] = {**head, "kind": names.get(head["kind"], head["kind"])}
    return overlaid(Recipe(), plain, name)


def _head(base: Head, values: Any) -> Head:
    own = dict(_table(values, "head"))
    kind = own.pop("kind", None)
    if kind is None:
        return _changed(base, own, "head.")
    known = head_kinds()
    if not isinstance(kind, str) or kind not in known:
        raise ValueError(f"head.kind is {_shown(kind)} and has to be {Choice(tuple(known))}")
    same = isinstance(base, known[kind])
    return _changed(base if same else known[kind](), own, "head.")


def _tune(base: FineTune | None, values: Any) -> FineTune | None:
    if values is None:
        return None
    own = dict(_table(values, "tune"))
    stages = own.pop("stages", None)
    tune = _changed(base or FineTune(), own, "tune.")
    if stages is None:
        return tune
    if not isinstance(stages, list) or not 1 <= len(stages) <= MOST_STAGES:
        raise ValueError(
            f"tune.stages is {_shown(stages)} and has to be a list of 1 to {MOST_STAGES} tables"
        )
    plan = [_table(stage, "tune.stages") for stage in stages]
    return replace(tune, stages=tuple(_changed(Stage(), stage, "tune.stages.") for stage in plan))


def _table(values: Any, title: str) -> Values:
    if not isinstance(values, Mapping):
        raise ValueError(f"{title} is {_shown(values)} and has to be a table of knobs")
    return values


def _changed(base: _Knobs, values: Values, prefix: str = "") -> _Knobs:
    """Return ``base`` with ``values``, each checked; ``prefix`` leads their names in messages."""
    knobs = KNOBS[type(base)]
    optional = {field.name for field in fields(base) if field.default is None}
    read: dict[str, Any] = {}
    for key, value in values.items():
        if key not in knobs:
            raise ValueError(_unknown(key, prefix, [field.name for field in fields(base)]))
        if value is None and key in optional:
            read[key] = None
            continue
        try:
            read[key] = _read(knobs[key], value)
        except TypeError:
            raise ValueError(
                f"{prefix}{key} is {_shown(value)} and has to be {knobs[key]}"
            ) from None
    return replace(base, **read)


def _read(knob: Knob, value: Any) -> Any:
    """Return ``value`` as ``knob`` keeps it.

    Raises:
        TypeError: it is not what the knob needs.
    """
    if isinstance(value, bool) != isinstance(knob, Switch):
        raise TypeError  # though Python counts True among the numbers
    match knob, value:
        case Switch(), _:
            return value
        case Whole(), int() if knob.holds(value):
            return value
        case (Choice() | Text()) as words, str() if words.holds(value):
            return value
        case Number(), int() | float() if knob.holds(value):
            return float(value)
        case Several(each, longest), list() | tuple() if 1 <= len(value) <= longest:
            return tuple(_read(each, item) for item in value)
        case Several(each, alone=True), str():
            return _read(each, value)
    raise TypeError


def _check_together(recipe: Recipe) -> None:
    if recipe.validation + recipe.test >= 1:
        raise ValueError(
            f"validation {recipe.validation:g} and test {recipe.test:g} leave no photos to train "
            "on; together they have to stay below 1"
        )
    if isinstance(recipe.head, LogisticRegression):
        strengths = recipe.head.strengths
        if any(left <= right for left, right in pairwise(strengths)):
            shown = _shown(list(strengths))
            raise ValueError(f"head.strengths is {shown} and has to fall, from strong to weak")
    names = recipe.backbone if isinstance(recipe.backbone, tuple) else (recipe.backbone,)
    untrained = [name for name in names if name.startswith("scratch:")]
    if untrained and recipe.tune is None:
        raise ValueError(
            f"the backbone {untrained[0]!r} knows nothing before it is trained; give the recipe a "
            "[tune] table, or start from scratch-cnn or scratch-resnet"
        )
    if untrained and recipe.tune is not None and recipe.tune.mix < 1:
        raise ValueError(
            f"tune.mix is {recipe.tune.mix:g} and has to be 1 for {untrained[0]!r}: its weights "
            "before training are chance, and nothing to go back to"
        )


def _unknown(key: str, prefix: str, known: list[str]) -> str:
    """Return a sentence on a key that is no knob here: where it belongs, or the nearest."""
    places: dict[str, type] = {
        "the top of the file": Recipe,
        **{f"[head] of kind {kind}": cls for kind, cls in head_kinds().items()},
        "[tune]": FineTune,
        "[[tune.stages]]": Stage,
    }
    homes = [place for place, cls in places.items() if key in KNOBS[cls]]
    near = get_close_matches(key[:100], known, n=1)
    if homes:
        hint = f"it belongs in {' or '.join(homes)}"
    elif near:
        hint = f"the nearest is {prefix}{near[0]}"
    else:
        hint = f"there are {', '.join(known)}"
    return f"{_shown(prefix + key)} is no knob; {hint}"


def _shown(value: Any) -> str:
    """Return ``value`` as a message shows it, cut where it is long."""
    if isinstance(value, int) and abs(value) > 10**18:
        return "a number of more than 18 digits"  # too many, and Python refuses to print them
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
