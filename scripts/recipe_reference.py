"""Write docs/recipes.md from the recipe's dataclasses; with --check, fail where it is out of date.

What a knob does is the comment behind its field, its range the annotation, its flag the table of
`fursure train`.
"""

import inspect
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import fields
from io import StringIO
from pathlib import Path

from fursure.recipe import HEADS, FineTune, Recipe, Stage
from fursure.recipes.knobs import FLAGS, KNOBS
from fursure.recipes.parse import head_kinds

PATH = Path(__file__).parents[1] / "docs" / "recipes.md"
INTRO = """# Recipes, knob by knob

Written by `scripts/recipe_reference.py` from the recipes themselves; `make check` compares.

A recipe is everything that training depends on besides the photos; `fursure recipes` lists those
there are. A knob is set by a flag, where there is one, or in a file:

    fursure train PHOTOS --recipe mlp-probe --known-lost 0.02 -o by-flag.fursure
    fursure recipes mlp-probe > mine.toml    # every knob, to change
    fursure train PHOTOS --recipe mine.toml -o by-file.fursure

In Python it is `fursure.Recipe(backbone="lite2", known_lost=0.02)`. A file may say less: what it
leaves out is as in the recipe that `base` names, or else as in `linear-probe`.

```toml
base = "linear-probe"
known_lost = 0.02

[head]
kind = "logistic-regression"
class_weight = "balanced"
```

A file and a flag call the heads differently:

| flag | file | Python |
|---|---|---|
"""
SAYS_NOTHING = {  # knobs whose field has no comment, nor a flag with a sentence
    "name": "what the recipe is called",
    "folds": "parts of the photos, each held out once, in cross-validation",
    "weight_decay": "of AdamW, on all weights but biases and norms",
}
ABOUT = {
    Recipe: ("At the top", "“Not set” is a line commented out."),
    FineTune: ("[tune]", "Training of the network itself. Without this table it stays as it is."),
    Stage: ("[[tune.stages]]", "One table for each stage, in order; a flag sets the last one's."),
}


def reference() -> str:
    """Return the whole page."""
    kinds = {cls: kind for kind, cls in head_kinds().items()}
    rows = [
        f'| `--head {flag}` | `[head]` with `kind = "{kinds[cls]}"` '
        f"| `fursure.recipe.{cls.__name__}()` |"
        for flag, cls in HEADS.items()
    ]
    heads = {cls: (f"[head], {kinds[cls]}", str(cls.__doc__)) for cls in HEADS.values()}
    parts = [table(cls, *(ABOUT | heads)[cls]) for cls in (Recipe, *heads, FineTune, Stage)]
    return INTRO + "\n".join(rows) + "\n\n" + "\n".join(parts)


def table(cls: type, where: str, story: str) -> str:
    """Return a section with a row for each knob of ``cls``."""
    flags = {flag.key: flag for flag in FLAGS if cls in flag.of}
    told = SAYS_NOTHING | {key: flag.about for key, flag in flags.items()} | comments(cls)
    lines = [f"## {where}", "", story, "", "| knob | default | may be | what it does | flag |"]
    lines.append("|---|---|---|---|---|")
    defaults = {field.name: field.default for field in fields(cls)}
    for key, knob in KNOBS[cls].items():
        default = "not set" if defaults[key] is None else f"`{json.dumps(defaults[key])}`"
        flag = f"`{flags[key].name}`" if key in flags else ""
        about = told[key].replace("None", "not set")
        lines.append(f"| `{key}` | {default} | {knob} | {about} | {flag} |")
    return "\n".join([*lines, ""])


def comments(cls: type) -> dict[str, str]:
    """Return what the comments behind each field of ``cls`` say."""
    told: dict[str, list[str]] = {}
    for key, text in _commented(inspect.getsource(cls)):
        told.setdefault(key, []).append(text)
    return {key: " ".join(texts) for key, texts in told.items()}


def _commented(source: str) -> Iterator[tuple[str, str]]:
    key = ""
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if re.match(r" {4}(def|@)", token.line):
            return  # the fields come first
        if field := re.match(r" {4}(\w+):", token.line):
            key = field[1]
        if token.type == tokenize.COMMENT and key and "fmt:" not in token.string:
            yield key, token.string.removeprefix("# ")


def main() -> None:
    """Write or compare."""
    text = reference()
    if "--check" not in sys.argv:
        PATH.write_text(text, "utf-8")
    elif PATH.read_text("utf-8") != text:
        sys.exit("docs/recipes.md is out of date; run `make format`")


if __name__ == "__main__":
    main()
