"""TOML text ↔ recipe.

A written recipe states every knob with its range beside it. TOML has no null, so a knob that is
not set is a line commented out. A file may state less: what it leaves unsaid is as in the recipe
that its ``base`` names, and without one as in `linear-probe`.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fursure.errors import BadRecipe, UnknownRecipe
from fursure.recipe import FineTune, Head, Recipe, Stage
from fursure.recipes.catalogue import LINEAR_PROBE, find
from fursure.recipes.knobs import KNOBS
from fursure.recipes.parse import head_kinds, overlaid

LARGEST = 20_000  # bytes; tomllib takes seconds over a long enough chain of dots
COLUMN = 36  # where the ranges begin
GUIDE = "# Beside each value stands what it may be; docs/recipes.md says what it does."


def to_toml(recipe: Recipe) -> str:
    """Return the recipe as TOML in plain ASCII, every knob on its line; `from_toml` reads it."""
    (kind,) = (kind for kind, cls in head_kinds().items() if isinstance(recipe.head, cls))
    lines = [GUIDE, *_lines(recipe), "", "[head]", f'kind = "{kind}"', *_lines(recipe.head)]
    if recipe.tune is None:
        lines += ["", "# No [tune] table: the network itself stays as it is."]
    else:
        lines += ["", "[tune]", *_lines(recipe.tune)]
        for stage in recipe.tune.stages:
            lines += ["", "[[tune.stages]]", *_lines(stage)]
    return "\n".join(lines) + "\n"


def from_toml(text: str, name: str) -> Recipe:
    """Return the recipe that ``text`` states; ``name`` is its file's, which messages repeat.

    A recipe that does not name itself is called as the file is, without `.toml`.

    Raises:
        BadRecipe: the text is no TOML (the message has line and column), or a key or a value is
            not what a recipe has.
    """
    values = {"name": Path(name).stem, **_parsed(text, name)}
    base = values.pop("base", None)
    if base is None:
        return overlaid(LINEAR_PROBE, values, name)
    try:
        return overlaid(find(str(base)), values, name)
    except UnknownRecipe as error:
        raise BadRecipe(name, f"base has to name a recipe: {str(error).rstrip('.')}") from None


def open_recipe(source: str) -> Recipe:
    """Return the recipe of the catalogue, or of the file that ends in `.toml`, named ``source``.

    Raises:
        UnknownRecipe: the catalogue has none of that name.
        BadRecipe: the file is missing, too large, no text, or what `from_toml` refuses.
        OSError: the file cannot be read.
    """
    if not source.lower().endswith(".toml"):
        return find(source)
    try:
        with Path(source).expanduser().open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise BadRecipe(
            source,
            "there is no such file; `fursure recipes fine-tune > mine.toml` writes one to change",
        ) from None
    if len(data) > LARGEST:
        raise BadRecipe(source, f"it is larger than {LARGEST} bytes, which no recipe needs")
    # PowerShell's > writes UTF-16
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return from_toml(data.decode(encoding), source)
    except UnicodeDecodeError as error:
        raise BadRecipe(
            source, f"its byte {error.start + 1} belongs to no text; save it as UTF-8"
        ) from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        last = f"at line {text.count(chr(10)) + 1}, its end"
        reason = str(error).replace("at end of document", last)
        raise BadRecipe(name, f"it is not TOML: {reason}") from None
    except ValueError:  # more digits than Python reads
        raise BadRecipe(name, "it holds a number of thousands of digits") from None
    except RecursionError:
        raise BadRecipe(name, "its brackets are nested too deeply") from None


def _lines(part: Recipe | Head | FineTune | Stage) -> Iterator[str]:
    """Yield a line for each knob of ``part``: key, value, and what it may be."""
    for key, knob in KNOBS[type(part)].items():
        value = getattr(part, key)
        line = f"# {key} = ..." if value is None else f"{key} = {_literal(value)}"
        yield f"{line:{COLUMN}}  # {knob}"


def _literal(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{"".join(map(_escaped, value))}"'
        case tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case _:
            return repr(value)  # Python's digits are TOML's


def _escaped(text: str) -> str:
    if text in '"\\':
        return f"\\{text}"
    if " " <= text <= "~":
        return text
    return f"\\u{ord(text):04x}" if ord(text) < 0x10000 else f"\\U{ord(text):08x}"
