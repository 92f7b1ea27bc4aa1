"""One file of the Hugging Face Hub → the hub's cache: resumed where it broke off, and checked.

huggingface_hub does it, but for two things that it does not: a run that broke off leaves the next
one what it had (huggingface/huggingface_hub#4196), and the bytes are held against the sha256 that
the hub announces.
"""

import hashlib
from pathlib import Path

from fursure.errors import BadDownload, HubFailed, MissingExtra
from fursure.hub.repository import Repository

try:
    from filelock import FileLock
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.hf_api import RepoSibling
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented
except ImportError as error:
    raise MissingExtra("the Hugging Face Hub", "hub") from error


def stored(repo: Repository, commit: str, file: RepoSibling) -> Path:
    """Return the path of a file in the cache, transferred where it is missing or damaged.

    Raises:
        BadDownload: its bytes do not have the sha256 that the hub announces.
        HubFailed: the connection broke too often; what arrived is kept for the next time.
        Exception: what huggingface_hub, HTTP and the disk raise of their own.
    """
    name, sha256 = file.rfilename, file.lfs.sha256 if file.lfs else None
    path = try_to_load_from_cache(repo.name, name, repo.cache, commit)
    if isinstance(path, str):
        if sound(Path(path), sha256):
            return Path(path)
        _remove(Path(path))
    url = hf_hub_url(repo.name, name, revision=commit)
    if file.lfs is not None:
        _transfer(repo, url, file.lfs.sha256, file.lfs.size)
    # what is there it links, the rest it gets
    path = hf_hub_download(repo.name, name, revision=commit, cache_dir=repo.cache)
    if not sound(Path(path), sha256):
        _remove(Path(path))
        raise BadDownload(
            f"the bytes of {url} do not have the sha256 that the hub "
            f"announces, {sha256 or 'its ETag'}; they were removed. Run the same command "
            "again; where that repeats, mistrust the network."
        )
    return Path(path)


def sound(path: Path, sha256: str | None = None) -> bool:
    """Return whether a file of the cache has the digest that was announced, or that it is named by.

    What git holds is named by git's digest, which is not compared.
    """
    expected = sha256 or path.resolve().name
    if len(expected) != 64:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == expected


def _remove(path: Path) -> None:
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _transfer(repo: Repository, url: str, sha256: str, size: int) -> None:
    """Put the ``size`` bytes at ``url`` where huggingface_hub looks for them before it transfers.

    An earlier try's are gone on from. They are not checked yet.
    """
    blob = repo.folder / "blobs" / sha256
    part = blob.with_name(f"{sha256}.incomplete")
    lock = repo.cache / ".locks" / repo.folder.name / f"{sha256}.lock"
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if blob.is_file():
            return
        if part.is_file() and part.stat().st_size > size:
            part.unlink()
        try:
            with part.open("ab") as file:
                http_get(
                    url,
                    file,
                    resume_size=file.tell(),
                    headers=build_hf_headers(),
                    expected_size=size,
                    displayed_filename=url.rpartition("/")[2],
                )
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
            raise _stopped(url, part, size, error) from error
        except OSError as error:
            if error.errno is None:  # as long as it is not: a login page, perhaps
                part.unlink()
            raise
        except Exception as error:  # HTTP has other types in other versions of huggingface_hub
            raise _stopped(url, part, size, error) from error
        part.replace(blob)


def _stopped(url: str, part: Path, size: int, error: Exception) -> HubFailed:
    return HubFailed(
        f"The transfer of {url} stopped at {part.stat().st_size} of {size} bytes ({error}); "
        "run the same command again and it goes on from there.",
    )
