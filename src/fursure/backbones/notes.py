"""The notes beside the backbones that were converted earlier → their names, without reading any."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fursure.home import homes


def notes() -> list[Path]:
    """Return the files that say what was converted, and how it is prepared."""
    folders = [folder / "backbones" for folder in homes()]
    return sorted((path for folder in folders for path in folder.glob("*.json")), key=str)


def noted_names() -> Iterator[str]:
    """Yield the name of each, once; a damaged note has none."""
    names = dict.fromkeys(name for path in notes() if isinstance(name := _name(path), str))
    yield from names


def _name(path: Path) -> object:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads(path.read_text("utf-8"))["name"]
    return None
