"""What a shell proposes after Tab: recipes, backbones and models, by their names alone.

Nothing is read but names: a shell waits for the answer, and Tab must not feel like a run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from click import Context, Parameter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def recipes(_ctx: Context, _param: Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Propose the recipes of the catalogue, each with its summary, and files of one's own."""
    from fursure.recipes.catalogue import ENTRIES

    about = {name: entry.about.partition("\n")[0] for name, entry in ENTRIES.items()}
    return _proposed(about | dict.fromkeys(_files(incomplete, ".toml"), ""), incomplete)


def backbones(_ctx: Context, _param: Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Propose the encoders of installed packages, those converted earlier, and files."""
    from fursure.backbones.notes import noted_names
    from fursure.graphs.published import PUBLISHED

    names = [name for name, weights in PUBLISHED.items() if weights.place()]
    files = _files(incomplete, ".fursure", ".onnx", ".h5", ".keras")
    return _proposed(dict.fromkeys([*names, *noted_names(), *files], ""), incomplete)


def models(_ctx: Context, _param: Parameter, incomplete: str) -> "list[CompletionItem[str]]":
    """Propose the models of the package, and those that lie there."""
    from fursure.bundle.named import shipped_names

    names = [*shipped_names(), *_files(incomplete, ".fursure")]
    return _proposed(dict.fromkeys(names, ""), incomplete)


def _files(incomplete: str, *endings: str) -> Iterator[str]:
    """Yield the files with such an ending in the folder that was begun, as they would be typed."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    for path in sorted(Path(folder or ".").glob("*")):
        if path.suffix in endings:
            yield folder + path.name


def _proposed(about: dict[str, str], incomplete: str) -> "list[CompletionItem[str]]":
    """Return the names that go on as it was begun; where none does, any file of the shell's."""
    from click.shell_completion import CompletionItem

    items = [
        CompletionItem(name, help=summary or None)
        for name, summary in about.items()
        if name.startswith(incomplete)
    ]
    return items or [CompletionItem(incomplete, type="file")]
