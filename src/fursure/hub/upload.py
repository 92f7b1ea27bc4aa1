"""Files → one commit in a repository of the Hugging Face Hub, which is private unless asked."""

import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from fursure.errors import FursureError, HubFailed, MissingExtra, some
from fursure.files import FORBIDDEN, offline
from fursure.hub.models import SUFFIX
from fursure.hub.repository import NAME, REVISION, reason
from fursure.terminal.live import is_live

try:
    from huggingface_hub import (
        CommitOperationAdd,
        CommitOperationDelete,
        HfApi,
        constants,
        get_token,
    )
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
except ImportError as error:
    raise MissingExtra("the Hugging Face Hub", "hub") from error

HARMLESS = {"README.md", ".gitattributes", "LICENSE"}  # beside which anything may be put
OFFLINE = "--dry-run --folder DIR writes what would go there without one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where files go, and who may see them."""

    name: str  # ORG/NAME
    public: bool = False
    revision: str | None = None  # a branch; None is main
    message: str = "A fursure model"  # of the commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of it."""

    url: str
    commit: str
    private: bool
    bytes: int  # of all files, whether they had to be sent or not

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def check_destination(to: Destination) -> None:
    """Refuse what names no repository.

    Raises:
        HubFailed: it does not.
    """
    if not NAME.fullmatch(to.name):
        raise HubFailed(f"{to.name!r} names no repository; write ORG/NAME, as in ada/pets.")
    if to.revision is not None and not REVISION.fullmatch(to.revision):
        raise HubFailed(f"{to.revision!r} names no branch; write one such as main or v2.")


def upload(files: Mapping[str, bytes], to: Destination, *, gone: Collection[str] = ()) -> Pushed:
    """Send the files, in one commit, and return where they are.

    A repository that is not there yet is made. One that is keeps its visibility, its history and
    what else is in it, but none of the files ``gone``.

    Raises:
        HubFailed: there is no token, or it may not, or no network; or something else is there.
    """
    check_destination(to)
    if offline():
        raise HubFailed(f"nothing was pushed: {FORBIDDEN}; {OFFLINE}.")
    if get_token() is None:
        raise HubFailed(
            "nothing was pushed: there is no token, and the hub has to know whose model it is; set "
            f"HF_TOKEN to one that may write to {_owner(to)}, or run `hf auth login`."
        )
    try:
        return _uploaded(files, to, gone)
    except FursureError:
        raise
    except Exception as error:  # every layer below has its own: hub, HTTP, JSON
        raise HubFailed(f"nothing was pushed: {_advice(to, error)}") from error


def _uploaded(files: Mapping[str, bytes], to: Destination, gone: Collection[str]) -> Pushed:
    api = HfApi()
    private = _private(api, to)
    if private is None:
        private = not to.public
        api.create_repo(to.name, private=private)
    if to.revision is not None:
        api.create_branch(to.name, branch=to.revision, exist_ok=True)
    there = api.model_info(to.name, revision=to.revision).siblings or []
    stale = sorted(set(gone) & {file.rfilename for file in there})
    with warnings.catch_warnings(), _no_bars_in_pipes():
        warnings.simplefilter("ignore")  # the hub's, about cards: what it refuses is an error
        commit = api.create_commit(
            to.name,
            [
                *(CommitOperationAdd(name, data) for name, data in files.items()),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=to.message,
            revision=to.revision,
        )
    return Pushed(
        url=f"{constants.ENDPOINT}/{to.name}",
        commit=commit.oid,
        private=private,
        bytes=sum(map(len, files.values())),
    )


@contextmanager
def _no_bars_in_pipes() -> Iterator[None]:
    """Have the hub's library draw its bars on a terminal only, where each is one line."""
    quiet = not is_live(sys.stderr) and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            enable_progress_bars()


def _private(api: HfApi, to: Destination) -> bool | None:
    """Return whether the repository is private; None: there is none yet.

    Raises:
        HubFailed: it holds something else, or everyone would see what nobody was to see.
    """
    try:
        info = api.model_info(to.name, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except RepositoryNotFoundError:
        return None
    names = {file.rfilename for file in info.siblings or []}
    if names - HARMLESS and not any(name.endswith(SUFFIX) for name in names):
        raise HubFailed(
            f"nothing was pushed: {to.name} is no fursure model ({some(sorted(names))} in it); "
            "choose another name."
        )
    if not info.private and not to.public:
        raise HubFailed(
            f"nothing was pushed: {to.name} is public, and everyone would see the model; pass "
            "--public where that is meant, or choose another name."
        )
    return bool(info.private)


def _owner(to: Destination) -> str:
    return to.name.partition("/")[0]


def _advice(to: Destination, error: Exception) -> str:
    """Return what the hub or the network had against it, and what to do."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    match status:
        case 401:
            return (
                "the hub does not know that token; set HF_TOKEN to a valid one that may write to "
                f"{_owner(to)}, or run `hf auth login`."
            )
        case 403 | 404:
            return (
                f"that token may not write to {_owner(to)}; give it that permission at "
                f"{constants.ENDPOINT}/settings/tokens, or push under a name of your own."
            )
        case 409:
            return f"{to.name} was changed by somebody else meanwhile; run the same command again."
        case int():
            return f"the hub answered {reason(error)}; run the same command again later."
    if isinstance(error, ValueError):
        return f"the hub refuses the card ({' '.join(str(error).split())[:200]})."
    return f"the hub could not be reached ({reason(error)}); run the same command again. {OFFLINE}."
