"""A converted encoder ↔ the home of our own files: the next training needs no torch for it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fursure.backbones.backbone import AtHand, Backbone
from fursure.backbones.notes import notes
from fursure.files import replacing
from fursure.home import folder_for, homes
from fursure.networks.lite import LITE
from fursure.photos.preprocess import Preprocess

CONVERSION = 1  # raised when the same weights would convert to another graph


def converted() -> Iterator[AtHand]:
    """Yield those converted earlier."""
    for path in notes():
        with suppress(
            OSError, ValueError, KeyError, TypeError
        ):  # damaged: converted anew, if asked
            note = json.loads(path.read_text("utf-8"))
            if note["name"] in LITE:  # another's weights under that name; a path finds them
                continue
            yield AtHand(
                name=note["name"],
                size=int(note["preprocess"]["size"]),
                licence=note["licence"],
                megabytes=path.with_suffix(".onnx").stat().st_size / 1e6,
            )


def conversion_key(*parts: str) -> str:
    """Return the file name of a conversion of what ``parts`` tell apart."""
    return hashlib.sha256("\0".join([str(CONVERSION), *parts]).encode()).hexdigest()[:24]


def keep_backbone(backbone: Backbone, key: str) -> None:
    """Keep what was converted."""
    folder = folder_for("backbones")
    folder.mkdir(parents=True, exist_ok=True)
    note = {
        "name": backbone.name,
        "preprocess": backbone.preprocess.to_json(),
        "licence": backbone.licence,
        "sha256": backbone.digest,
    }
    with replacing(folder / f"{key}.onnx") as file:
        file.write(backbone.onnx)
    with replacing(folder / f"{key}.json") as file:  # last: it vouches for the other
        file.write(json.dumps(note, indent=1).encode())


def kept(key: str) -> Backbone | None:
    """Return a converted backbone, or None where it is missing or damaged (it is made anew)."""
    found = (_read_kept(folder / "backbones" / f"{key}.json") for folder in homes())
    return next((backbone for backbone in found if backbone), None)


def _read_kept(path: Path) -> Backbone | None:
    try:
        note = json.loads(path.read_text("utf-8"))
        backbone = Backbone(
            name=note["name"],
            onnx=path.with_suffix(".onnx").read_bytes(),
            preprocess=Preprocess.from_json(note["preprocess"]),
            licence=note["licence"],
        )
        return backbone if backbone.digest == note["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept_under(name: str, image_size: int | None) -> Backbone | None:
    """Return a backbone converted earlier from a folder of this name, for photos of this size."""
    for path in notes():
        backbone = _read_kept(path)
        if backbone and backbone.name == name and image_size in {None, backbone.preprocess.size}:
            return backbone
    return None
