"""What the catalogue keeps beside each recipe."""

from dataclasses import dataclass

from fursure.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Entry:
    """A named recipe, and what to know before it runs."""

    recipe: Recipe
    about: str  # a summary; a blank line; command, story, expected time and result, source
