"""A training under way ↔ files that survive a kill at any moment.

A checkpoint is two files: tensors (safetensors) and, written after them, a note with the digest of
both. The last two are kept, so a torn one costs a checkpoint, not the training.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fursure.errors import ForeignCheckpoint
from fursure.files import replacing

CHECKPOINT_FORMAT = 1
_KEPT = 2


def save_checkpoint(
    folder: Path, tensors: dict[str, Tensor], note: dict[str, Any], *, of: dict[str, Any]
) -> None:
    """Write the next checkpoint and remove all but the last two.

    ``of`` says what is being trained, as plain values; `load_checkpoint` compares it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = max(_numbers(folder), default=0)
    data = save(tensors)
    text = {"format": CHECKPOINT_FORMAT, "of": of, "note": note}
    text["sha256"] = _digest(data, text)
    with replacing(folder / f"{last + 1}.safetensors", needs=len(data)) as file:
        file.write(data)
    with replacing(folder / f"{last + 1}.json") as file:  # last: it vouches for the other
        file.write(json.dumps(text).encode())
    for number in sorted(_numbers(folder))[:-_KEPT]:
        for kind in ("json", "safetensors"):
            (folder / f"{number}.{kind}").unlink(missing_ok=True)


def load_checkpoint(
    folder: Path, *, of: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and the note of the newest whole checkpoint; None where there is none.

    Raises:
        ForeignCheckpoint: it belongs to another recipe, or to other photos.
    """
    for number in sorted(_numbers(folder), reverse=True):
        path = folder / f"{number}.json"
        try:
            text = json.loads(path.read_text())
            data = path.with_suffix(".safetensors").read_bytes()
            rest = {name: value for name, value in text.items() if name != "sha256"}
            if text["sha256"] != _digest(data, rest) or text["format"] != CHECKPOINT_FORMAT:
                continue
            tensors = load(data)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            continue
        if differing := _differing(text["of"], json.loads(json.dumps(of))):
            raise ForeignCheckpoint(folder, differing)
        return tensors, text["note"]
    return None


def _digest(data: bytes, text: dict[str, Any]) -> str:
    digest = hashlib.sha256(data)
    digest.update(json.dumps(text, sort_keys=True).encode())
    return digest.hexdigest()


def _numbers(folder: Path) -> list[int]:
    stems = [path.stem for path in folder.glob("*.safetensors")] if folder.is_dir() else []
    return [int(stem) for stem in stems if stem.isdecimal()]


def _differing(found: dict[str, Any], of: dict[str, Any]) -> str:
    """Return the names of what differs."""
    names = sorted(name for name in found.keys() | of if found.get(name) != of.get(name))
    return ", ".join(names)
