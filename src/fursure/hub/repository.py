"""A repository's name → what the hub announces of it, where its files are kept, what hinders it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fursure.errors import FursureError, HubFailed, MissingExtra
from fursure.files import FORBIDDEN, offline, replacing

try:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.hf_api import RepoSibling
except ImportError as error:
    raise MissingExtra("the Hugging Face Hub", "hub") from error

constants.HF_HUB_DISABLE_TELEMETRY = True  # fursure tells nobody what runs, where, and with what

COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"(?!.*(\.\.|--))\w[\w.-]*/\w[\w.-]*", re.ASCII)
REVISION = re.compile(r"(?!.*\.\.)[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)  # climbs nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository at a branch, tag or commit, and where what is fetched of it is kept."""

    name: str  # ORG/REPO
    revision: str
    source: str  # the words it was asked for with
    cache: Path  # laid out as https://huggingface.co/docs/hub/local-cache draws it

    @property
    def folder(self) -> Path:
        """Return where the cache keeps this repository."""
        return self.cache / f"models--{self.name.replace('/', '--')}"

    @property
    def page(self) -> str:
        """Return the address that people see it at."""
        return f"{constants.ENDPOINT}/{self.name}"


def repository(name: str, source: str, example: str, cache: Path | None = None) -> Repository:
    """Return the repository that `ORG/REPO[@REVISION]` names, kept in the hub's own cache.

    Raises:
        HubFailed: it is no such name; the sentence has the ``example``.
    """
    name, _, revision = name.partition("@")
    revision = revision or constants.DEFAULT_REVISION
    if not NAME.fullmatch(name) or not REVISION.fullmatch(revision):
        raise HubFailed(
            f"A repository is named ORG/REPO or ORG/REPO@REVISION, as in hub:{example}."
        )
    cache = cache or Path(constants.HF_HUB_CACHE).expanduser()
    return Repository(name=name, revision=revision, source=source, cache=cache)


def attempted(
    repo: Repository, fetch: Callable[[Repository, str, Mapping[str, RepoSibling]], Path]
) -> tuple[Path | None, Exception | None]:
    """Return what ``fetch`` brought of the announced files, or what hindered it; offline neither.

    Raises:
        FursureError: the repository holds nothing that can be used.
    """
    if offline():
        return None, None
    try:
        return fetch(repo, *files_announced(repo)), None
    except FursureError:
        raise
    except Exception as error:  # every layer below has its own: hub, HTTP, JSON, disk
        return None, error


def files_announced(repo: Repository) -> tuple[str, dict[str, RepoSibling]]:
    """Return the commit that the revision stands for, and what is announced of its files.

    Raises:
        Exception: what huggingface_hub and HTTP raise of their own, or that no hub answers there.
    """
    try:
        info = HfApi().model_info(
            repo.name,
            revision=repo.revision,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
            files_metadata=True,
        )
        if not COMMIT.fullmatch(info.sha or ""):
            raise ValueError("no commit")
        return str(info.sha), {file.rfilename: file for file in info.siblings or []}
    except HfHubHTTPError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"what answers at {constants.ENDPOINT} is no hub") from error


def note(repo: Repository, commit: str) -> None:
    """Remember what a branch or tag stands for, which is how it is found offline."""
    ref = repo.folder / "refs" / repo.revision
    if repo.revision != commit and not (ref.is_file() and ref.read_text("utf-8") == commit):
        ref.parent.mkdir(parents=True, exist_ok=True)
        with replacing(ref) as file:
            file.write(commit.encode())


def snapshot(repo: Repository) -> Path:
    """Return the folder of what was fetched of the revision, which may not be there."""
    ref = repo.folder / "refs" / repo.revision
    commit = ref.read_text("utf-8") if ref.is_file() else repo.revision
    return repo.folder / "snapshots" / commit


def hindrance(repo: Repository, failure: Exception | None) -> str:
    """Return why a repository could not be had, and what to do; "" where only the network failed.

    None is that nobody may ask for it.
    """
    remedy = "set HF_TOKEN to a token that may read it, or run `hf auth login`"
    match failure:
        case GatedRepoError():
            return f"{repo.name} is gated: accept its terms at {repo.page}, then {remedy}."
        case RevisionNotFoundError():
            return f"{repo.name} has no revision {repo.revision!r}; see {repo.page}/tree/main."
        case RepositoryNotFoundError():
            return (
                f"The hub has no model {repo.name}, or hides it: check the name; if private, "
                f"{remedy}."
            )
        case HfHubHTTPError() if failure.response.status_code in {401, 403}:
            return f"The hub refuses to hand out {repo.name}: {remedy}."
        case OSError() if failure.errno:  # the disk's
            whose = "FURSURE_HOME" if repo.cache.name == "models" else "HF_HOME"
            return (
                f"Its files cannot be kept in {repo.cache} ({failure}); free some space there, or "
                f"point {whose} at another folder."
            )
    return ""


def reason(failure: Exception | None) -> str:
    """Return in a few words what the network did."""
    if failure is None:
        return FORBIDDEN
    return (str(failure).strip() or type(failure).__name__).splitlines()[0][:200]
