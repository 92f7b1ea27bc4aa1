"""A place on the Hugging Face Hub → the same place at one commit, and the bytes of its files there.

A branch moves when somebody pushes; what lies at a commit never changes. So a branch is looked up
once, and whatever is opened of that place afterwards is of its commit.
"""

import re
from typing import Any

from fursure.remote.asking import Span
from fursure.remote.facts import CutShort, RemoteFacts
from fursure.remote.place import Pin, RemotePath

_COMMIT = re.compile(r"[0-9a-f]{40}")
_WAIT = 60.0  # seconds for one answer


def pin_of(files: Any, place: RemotePath) -> Pin | None:
    """Return the commit that a place is to be read at; ``None`` of a bucket, which has none.

    Raises:
        FileNotFoundError: there is no such repository or revision.
        Exception: what huggingface_hub and HTTP raise of their own.
    """
    found = files.resolve_path(place.path)
    if (name := getattr(found, "repo_id", None)) is None:
        return None
    branch = place.path.removesuffix(found.path_in_repo).rstrip("/")
    commit = found.revision
    if not _COMMIT.fullmatch(commit):
        from huggingface_hub import HfApi

        hub = HfApi(endpoint=files.endpoint)
        info = hub.repo_info(name, repo_type=found.repo_type, revision=commit, timeout=_WAIT)
        commit = info.sha or ""
    if not _COMMIT.fullmatch(commit):
        raise ValueError("what answers there is no Hugging Face Hub")
    root = files.resolve_path(f"{branch.partition('@')[0]}@{commit}").unresolve()
    return Pin(branch, root)


def file_of_hub(files: Any, facts: RemoteFacts, span: Span | None) -> bytes:
    """Return a file at a commit, or a range of it, asked for once.

    huggingface_hub's own file would look through the whole listing for each, and read far ahead.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    place = files.resolve_path(facts.key)
    url = hf_hub_url(
        place.repo_id,
        place.path_in_repo,
        repo_type=place.repo_type,
        revision=place.revision,
        endpoint=files.endpoint,
    )
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if span is not None:
        headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    answer = get_session().get(url, headers=headers, timeout=_WAIT)
    hf_raise_for_status(answer)
    data: bytes = answer.content
    wanted = facts.size if span is None else span[1] - span[0]
    if wanted not in {None, len(data)}:
        raise CutShort(got=len(data), wanted=wanted or 0)
    return data


def without_telemetry() -> None:
    """Have the hub's library tell nobody what runs, where, and with what."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
