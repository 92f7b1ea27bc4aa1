"""The folder that `fursure compare` fills: new, its own of an earlier run, or somebody else's.

`ladder.json` says from the start whose it is: which photos, divided how. Nothing is ever removed.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fursure.dataset.manifest import Manifest
from fursure.dataset.naming import is_left_by_a_system
from fursure.errors import BadData, OutputExists
from fursure.files import is_left, replacing
from fursure.remote.place import AnyPlace

LADDER_NOTE, _LIST = "ladder.json", "split.jsonl"
LADDER_FORMAT = "fursure ladder 1"
Knobs = Mapping[str, float]  # of the split: test, validation, seed


def check_ladder_folder(folder: Path, data: AnyPlace, knobs: Knobs, *, overwrite: bool) -> None:
    """Refuse early, before photos are read, a folder that could not be filled late.

    Raises:
        BadData: it lies inside the data, cannot be written, or holds what is not its own.
        OutputExists: it holds a ladder of another split.
    """
    if isinstance(data, Path) and data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
        raise BadData(f"{folder} lies inside {data}; choose a folder outside of the photos.")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise BadData(f"{nearest} is no folder that can be written; choose another -o.")
    if not folder.is_dir():
        return
    earlier = _noted(folder)
    names = sorted(
        path.name
        for path in folder.iterdir()
        if not (is_left_by_a_system(path.name) or is_left(path.name))
    )
    if earlier is None and names:
        raise BadData(
            f"{folder} holds {names[0]!r} and no ladder of `fursure compare`; choose an empty or "
            "a new folder."
        )
    if earlier is not None and earlier["split"] != knobs and not overwrite:
        knobs_of_it = ", ".join(f"{knob} {value}" for knob, value in earlier["split"].items())
        raise OutputExists(folder, f"a ladder of another split: {knobs_of_it}")


def claim_ladder_folder(folder: Path, division: Manifest, knobs: Knobs, *, overwrite: bool) -> None:
    """Make ``folder`` the place of this ladder.

    Raises:
        OutputExists: it holds one of other photos.
    """
    earlier = _noted(folder)
    if earlier is not None and earlier["photos"] != division.digest and not overwrite:
        raise OutputExists(folder, "a ladder of other photos")
    folder.mkdir(parents=True, exist_ok=True)
    if earlier is None or overwrite:
        write_note(folder, division, knobs, {})
    division.save(folder / _LIST)


def write_note(folder: Path, division: Manifest, knobs: Knobs, found: Mapping[str, Any]) -> None:
    """Write what the ladder is made from, and what was found."""
    values = {"format": LADDER_FORMAT, "split": dict(knobs), "photos": division.digest, **found}
    with replacing(folder / LADDER_NOTE) as file:
        file.write(json.dumps(values, indent=1).encode())


def _noted(folder: Path) -> dict[str, Any] | None:
    """Return what `ladder.json` says, if it is one of ours."""
    try:
        values = json.loads((folder / LADDER_NOTE).read_text("utf-8"))
        ours = values["format"] == LADDER_FORMAT and isinstance(values["split"], dict)
        return dict(values) if ours and isinstance(values["photos"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
