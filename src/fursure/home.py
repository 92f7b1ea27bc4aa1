"""Where fursure keeps its own files: one folder, and a folder in it for each kind of thing."""

import logging
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from fursure.system import PLATFORM, is_ours_alone, user

Kept = Literal[
    "features",
    "fingerprints",
    "facts",
    "pixels",
    "training",
    "tables",
    "engines",
    "backbones",
    "models",  # of the hub
]
KEPT: tuple[Kept, ...] = get_args(Kept)  # `fursure cache` lists and clears all of them


def folder_for(kind: Kept) -> Path:
    """Return the folder, which may not be there yet, of one kind of thing that is kept."""
    return home() / kind


def home() -> Path:
    """Return the folder of caches, converted backbones and fetched models.

    ``FURSURE_HOME``, else a folder of ours where this system keeps a user's caches; where there is
    no such user, or nothing can be written there, a temporary folder of our own, with a word to the
    log.
    """
    folder = _chosen_home()
    if folder is None:
        return _temporary_home("there is no home folder")
    return folder if _can_be_written(folder) else _temporary_home(f"{folder} cannot be written")


def homes() -> tuple[Path, ...]:
    """Return where something kept earlier may lie: `home`, and the one it stands in for."""
    named, used = _chosen_home(), home()
    return (used,) if named is None or named == used else (used, named)


def _chosen_home() -> Path | None:
    if chosen := os.environ.get("FURSURE_HOME"):
        return _expanded(chosen)
    try:
        return _user_caches() / "fursure"
    except RuntimeError:  # no HOME, and a user id without a name, as containers have
        return None


def _user_caches() -> Path:
    """Return where this system keeps a user's caches; who sets XDG_CACHE_HOME means it anywhere.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen)
    match PLATFORM:
        case "win32":
            local = os.environ.get("LOCALAPPDATA")
            return Path(local) if local else Path.home() / "AppData" / "Local"
        case "darwin":
            return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def _expanded(chosen: str) -> Path:
    try:
        return Path(chosen).expanduser()
    except RuntimeError:  # a ~ where nobody has a home
        return Path(chosen)


def _can_be_written(folder: Path) -> bool:
    """Return whether ``folder`` can be written, or made."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK)


@lru_cache
def _temporary_home(why: str) -> Path:
    """Return a folder of this user's alone, the same one for each run where that is safe."""
    import tempfile  # only here, and an answer starts sooner without it

    folder = Path(tempfile.gettempdir()) / f"fursure-{user()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700)
    if not is_ours_alone(folder):  # somebody else made it: what lies in it is not to be trusted
        folder = Path(tempfile.mkdtemp(prefix="fursure-"))
    logging.getLogger("fursure").warning(
        "%s, so caches go to %s; FURSURE_HOME names a better place", why, folder
    )
    return folder
