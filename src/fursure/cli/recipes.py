"""``fursure recipes``: the catalogue, and one recipe as a file to change."""

import click

from fursure.cli import complete, options


@click.command("recipes")
@click.argument("name", required=False, shell_complete=complete.recipes)
@options.as_json
def recipes_command(name: str | None, as_json: bool) -> None:
    """List the named recipes, or print one as TOML.

    `fursure recipes NAME > mine.toml` writes a file to change, and `fursure train --recipe
    mine.toml` trains by it. Of a file of your own, NAME.toml, every knob is printed, also those
    that it leaves unsaid. docs/recipes.md says what each knob does, and which flag sets it.
    """
    from fursure.recipes.catalogue import ENTRIES
    from fursure.recipes.toml import open_recipe, to_toml

    for recipe_name in [name] if name else ENTRIES:
        entry, recipe = ENTRIES.get(recipe_name), open_recipe(recipe_name)
        about = entry.about if entry else ""
        if as_json:
            line = {"name": recipe.name, "about": about, "recipe": recipe.to_json()}
            click.echo(options.to_json(line))
        elif name:
            comment = "".join(f"# {line}".rstrip() + "\n" for line in about.splitlines())
            click.echo(comment + "\n" * bool(about) + to_toml(recipe), nl=False)
        else:
            click.echo(f"{recipe_name:18} {about.partition(chr(10))[0]}")
