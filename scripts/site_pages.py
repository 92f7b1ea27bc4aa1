"""docs/ and what belongs beside it → the folder that `make docs` builds the site from.

Links are written for whoever reads the files in the repository. Here they are turned to where a
page lies on the site, and what has no page there is a name alone.
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path

import fursure
from fursure.recipes.catalogue import ENTRIES
from fursure.recipes.toml import to_toml

ROOT = Path(__file__).parents[1]
AT_THE_ROOT = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"\[([^\[\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def write_pages(folder: Path) -> None:
    """Fill ``folder``, and nothing else, with every page and picture of the site."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    pages = {path.relative_to(folder).as_posix(): path.read_text("utf-8")
             for path in folder.rglob("*.md")}  # fmt: skip
    pages |= {place(name): (ROOT / name).read_text("utf-8") for name in AT_THE_ROOT}
    pages["decisions/README.md"] += decisions()
    pages |= {"reference/python.md": python(), "reference/recipes.md": recipes()}
    for page, text in pages.items():
        (folder / page).parent.mkdir(exist_ok=True)
        (folder / page).write_text(relinked(text, page), "utf-8")


def relinked(markdown: str, page: str) -> str:
    """Return ``markdown`` with links from the site's ``page``; what has no page is its name."""
    origin = next((name for name in AT_THE_ROOT if place(name) == page), f"docs/{page}")

    def turned(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        there = place(posixpath.normpath(posixpath.join(posixpath.dirname(origin), target)))
        if not there:
            return text
        return f"[{text}]({posixpath.relpath(there, posixpath.dirname(page))}{anchor or ''})"

    return LINK.sub(turned, markdown)


def place(target: str) -> str:
    """Return where on the site a file of the repository lies; nowhere is an empty name."""
    if target in AT_THE_ROOT:
        return f"project/{target.lower()}"
    if target == "docs/decisions":
        return "decisions/README.md"
    return target.removeprefix("docs/") if target.startswith("docs/") else ""


def decisions() -> str:
    """Return a list of all decisions, by their headings."""
    paths = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    titles = [path.read_text("utf-8").partition("\n")[0].removeprefix("# ") for path in paths]
    lines = [f"- [{title}]({path.name})" for path, title in zip(paths, titles, strict=True)]
    return "\n".join(["", *lines, ""])


def python() -> str:
    """Return the page of all that ``import fursure`` offers, in its own words."""
    homes = fursure._HOMES
    names = [name for name in fursure.__all__ if name in homes]
    names.sort(key=lambda name: not name.islower())  # functions first: they are what one calls
    parts = [f"::: fursure.{homes[name]}.{name}\n" for name in names]
    return "\n".join(["# Python\n", "All that is public; the rest may change.\n", *parts])


def recipes() -> str:
    """Return the page of the catalogue: each recipe's story, and its file."""
    parts = ["# Recipes\n", "`fursure recipes` lists them; `fursure recipes NAME` prints a file.\n"]
    parts += ["What each line of a file does: [knob by knob](../recipes.md).\n"]
    for name, entry in ENTRIES.items():
        about = re.sub(r"^(fursure .*)$", r"    \1", entry.about, flags=re.MULTILINE)
        parts += [f"## {name}\n", f"{about}\n", f"```toml\n{to_toml(entry.recipe)}```\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
