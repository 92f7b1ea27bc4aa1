"""`hub:ORG/NAME[@REVISION]` → the `.fursure` file in that repository, fetched once and kept.

Kept under our own home, in the hub's layout: it is ours to list and to clear.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fursure.errors import HubFailed
from fursure.hub.download import sound, stored
from fursure.hub.repository import (
    COMMIT,
    Repository,
    attempted,
    hindrance,
    note,
    reason,
    repository,
    snapshot,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

SUFFIX = ".fursure"


def model_file(source: str, home: Path) -> Path:
    """Return the path of the model that ``source`` names, kept in the folder ``home``.

    A branch or tag is asked for once a call, for it may have moved; a commit only where the home
    lacks it. Without a network what the home has is taken, with a word to the log.

    Raises:
        HubFailed: there is no such repository, no one model in it, or it cannot be had from here.
    """
    repo = repository(source.removeprefix("hub:"), source, "ORG/NAME", home)
    if COMMIT.fullmatch(repo.revision) and (path := _kept(repo)):
        return path
    path, failure = attempted(repo, _fetched)
    if path is not None:
        return path
    path = _kept(repo)
    if path is None:
        raise HubFailed(hindrance(repo, failure) or _elsewhere(repo, failure)) from failure
    if failure is not None:
        logging.getLogger("fursure").warning(
            "%s could not be looked for (%s); the copy fetched earlier answers",
            source,
            reason(failure),
        )
    return path


def _fetched(repo: Repository, commit: str, there: Mapping[str, "RepoSibling"]) -> Path:
    models = sorted(name for name in there if name.endswith(SUFFIX))
    if not models:
        some = ", ".join(sorted(there)[:5]) or "no files"
        raise HubFailed(
            f"{repo.name} holds no .fursure file, but {some}. A network for --backbone is no model "
            "yet: `fursure train` makes one of it."
        )
    if len(models) > 1:
        raise HubFailed(
            f"{repo.name} holds {len(models)} models, {', '.join(models[:5])}; fetch one with "
            f"`hf download {repo.name} {models[0]}` and name the file."
        )
    path = stored(repo, commit, there[models[0]])
    note(repo, commit)
    return path


def _kept(repo: Repository) -> Path | None:
    """Return the model fetched earlier at that revision, if there is one and it is whole."""
    paths = sorted(snapshot(repo).rglob(f"*{SUFFIX}"))
    return paths[0] if len(paths) == 1 and sound(paths[0]) else None


def _elsewhere(repo: Repository, failure: Exception | None) -> str:
    return (
        f"It could not be had ({reason(failure)}). Download its .fursure file elsewhere, from "
        f"{repo.page}/tree/{repo.revision}, and name that file."
    )
