"""The folder that `fursure split` fills: new, its own of an earlier run, or somebody else's.

What made it lies in `split.json`, and which photo went where in `split.jsonl`, which is there when
all the rest is. Nothing is ever removed but what these two say was put there.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fursure.dataset.manifest import Manifest
from fursure.dataset.naming import is_left_by_a_system
from fursure.errors import BadData, OutputExists
from fursure.files import is_left, replacing
from fursure.home import folder_for
from fursure.remote.place import AnyPlace, RemotePath
from fursure.remote.store import store_of
from fursure.rows.photo import SPLITS
from fursure.sharding.shards import LEDGER, is_shard_name
from fursure.splitting.destinations import class_folders, destinations

_NOTE, LIST, UNFINISHED = "split.json", "split.jsonl", "split.jsonl.part"
SPLIT_FORMAT = "fursure split 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What made a split: the same note, the same files."""

    format: str = SPLIT_FORMAT
    knobs: Mapping[str, Any]  # what was asked for, in plain JSON values
    photos: str  # digest of their paths, contents, labels and splits
    prefix: str  # of the names of an archive's members

    @classmethod
    def of(cls, manifest: Manifest, knobs: Mapping[str, Any], prefix: str) -> "Note":
        """Return the note of a division."""
        rows = sorted(
            json.dumps([photo.path, photo.sha256, photo.label, photo.split])
            for photo in manifest.photos
        )
        digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        return cls(knobs=json.loads(json.dumps(knobs)), photos=digest, prefix=prefix)

    @classmethod
    def read(cls, folder: Path) -> "Note | None":
        """Return the note in ``folder``, if there is one.

        Raises:
            BadData: it is damaged, or of another version.
        """
        path = folder / _NOTE
        try:
            cells = json.loads(path.read_text("utf-8"))
            if cells["format"] == SPLIT_FORMAT and cells["knobs"]["as"]:
                return cls(**cells)
            format_ = f"the format {str(cells['format'])[:40]!r} instead of {SPLIT_FORMAT!r}"
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            format_ = f"no note of a split ({error})"
        raise BadData(
            f"{path}: found {format_}; choose another folder, or delete this one yourself."
        )


def check_split_folder(folder: Path, data: AnyPlace) -> None:
    """Refuse early, before photos are read, a folder that could not be filled late.

    Raises:
        BadData: it lies inside the data, cannot be written, or holds what is not its own.
    """
    if isinstance(data, Path) and data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
        raise BadData(
            f"{folder} lies inside {data}, which would take its photos for more data the next "
            "time; choose a folder outside of it."
        )
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise BadData(f"{nearest} is no folder that can be written; choose another --out.")
    if Note.read(folder) is None:
        _refuse_foreign(folder, {UNFINISHED})


def split_folder_of(out: AnyPlace) -> Path:
    """Return the folder that ``out`` is, or of a place in a bucket the one with the notes on it."""
    if isinstance(out, Path):
        return out
    digest = hashlib.sha256(str(out).encode()).hexdigest()[:24]
    return folder_for("tables") / "outbox" / digest / "split"


def check_split_bucket(bucket: RemotePath, folder: Path, data: AnyPlace) -> None:
    """Refuse early a place in a bucket that another split, or anybody, has filled.

    Raises:
        OutputExists: files lie there, and this machine has not begun to put them there.
        BadData: it lies inside the data.
        RemoteFailed: nothing can be known of it.
    """
    if f"{bucket}/".startswith(f"{data}/"):
        raise BadData(f"{bucket} lies inside {data}; choose a place outside of it.")
    store = store_of(bucket)
    if Note.read(folder) is None and store.exists(store.key_of(bucket)):
        raise OutputExists(bucket, "files lie there", replaced=False)


def send_notes(folder: Path, bucket: RemotePath) -> None:
    """Put beside the shards in a bucket what made them, and which photo is in which part.

    Raises:
        RemoteFailed: the bucket does not take it.
    """
    store = store_of(bucket)
    for name in (_NOTE, LIST):
        store.upload(folder / name, store.key_of(bucket / name))


def check_same_command(folder: Path, knobs: Mapping[str, Any], place: AnyPlace) -> None:
    """Refuse early to overwrite what another command made in ``place``.

    Raises:
        OutputExists: it asked for something else.
    """
    earlier = Note.read(folder)
    if earlier is not None and earlier.knobs != json.loads(json.dumps(knobs)):
        replaced = isinstance(place, Path)
        raise OutputExists(place, "filled by another `fursure split`", replaced=replaced)


def claim_split_folder(
    folder: Path,
    note: Note,
    manifest: Manifest,
    *,
    overwrite: bool,
    place: AnyPlace | None = None,
) -> None:
    """Make ``folder`` the place of this division; an earlier one's files are removed from it.

    ``place`` is what it is called, where it stands for a bucket.

    Raises:
        OutputExists: there is an earlier one, and it is not to be overwritten.
        BadData: besides that one's files it holds others.
    """
    earlier = Note.read(folder)
    if earlier is not None and earlier != note:
        if not overwrite:
            there = place or folder
            replaced = isinstance(there, Path)
            raise OutputExists(there, "made from other photos", replaced=replaced)
        _clear(folder, earlier)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / LIST).exists():
        manifest.save(folder / UNFINISHED)
    with replacing(folder / _NOTE) as file:
        file.write(json.dumps(asdict(note), indent=1).encode())


def finish(folder: Path) -> None:
    """Say that everything is there."""
    (folder / LEDGER).unlink(missing_ok=True)
    with suppress(FileNotFoundError):  # it was finished before
        (folder / UNFINISHED).replace(folder / LIST)


def array_names(split: str) -> tuple[str, str, str]:
    """Return the files of a split's arrays: features, labels, and the path of each row."""
    return f"{split}_features.npy", f"{split}_labels.npy", f"files_{split}.txt"


def _clear(folder: Path, earlier: Note) -> None:
    """Remove what an earlier split put into ``folder``, if that is all there is."""
    listed = folder / LIST if (folder / LIST).exists() else folder / UNFINISHED
    manifest = Manifest.load(listed)
    made = {"labels.txt", *(name for split in SPLITS for name in array_names(split))}
    if earlier.knobs["as"] == "folders":
        made = set(destinations(manifest, earlier.prefix).values())
    elif earlier.knobs["as"] != "npy":
        made = {LEDGER, *(path.name for path in folder.iterdir() if is_shard_name(path.name))}
    _refuse_foreign(folder, {*made, _NOTE, LIST, UNFINISHED})
    listed.replace(folder / UNFINISHED)  # complete no longer
    for name in made:
        (folder / name).unlink(missing_ok=True)
    for split in SPLITS:
        for place in (*class_folders(manifest.labels).values(), ""):
            with suppress(OSError):  # there was none, or a system keeps its own files there
                (folder / split / place).rmdir()


def _refuse_foreign(folder: Path, ours: Iterable[str]) -> None:
    """Refuse a folder that holds anything else than ``ours``."""
    known = set(ours)
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted([*files, *links]):
            path = (Path(place) / name).relative_to(folder).as_posix()
            if path not in known and not (is_left_by_a_system(name) or is_left(name)):
                raise BadData(
                    f"{folder} holds {path!r}, which `fursure split` did not put there; choose "
                    "an empty or a new folder, or move that away."
                )
