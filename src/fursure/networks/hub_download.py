"""One file of the Hugging Face Hub → the hub's cache: resumed where it broke off, and checked.

huggingface_hub does it, but for two things that it does not: a run that broke off leaves the next
one what it had (huggingface/huggingface_hub#4196), and the bytes are held against the sha256 that
the hub announces. Files lie as https://huggingface.co/docs/hub/local-cache draws it.
"""

import hashlib
from pathlib import Path

from fursure.errors import BadBackbone, MissingExtra, UnknownBackbone

try:
    from filelock import FileLock
    from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented
except ImportError as error:
    raise MissingExtra("a network of the Hugging Face Hub", "torch") from error


def folder_of(repo: str) -> Path:
    """Return where the hub's cache keeps the repository `ORG/REPO`."""
    return Path(constants.HF_HUB_CACHE).expanduser() / f"models--{repo.replace('/', '--')}"


def stored(repo: str, commit: str, name: str, *, sha256: str | None, size: int | None) -> Path:
    """Return the path of a file in the cache, transferred where it is missing or damaged.

    ``sha256`` and ``size`` (bytes) are announced of what git does not hold.

    Raises:
        BadBackbone: its bytes do not have the sha256 that the hub announces.
        UnknownBackbone: the connection broke too often; what arrived is kept for the next time.
        Exception: what huggingface_hub, HTTP and the disk raise of their own.
    """
    path = try_to_load_from_cache(repo, name, revision=commit)
    if isinstance(path, str):
        if sound(Path(path), sha256):
            return Path(path)
        _remove(Path(path))
    if sha256 is not None and size is not None:
        _transfer(repo, hf_hub_url(repo, name, revision=commit), sha256, size)
    path = hf_hub_download(repo, name, revision=commit)  # what is there it links, the rest it gets
    if not sound(Path(path), sha256):
        _remove(Path(path))
        raise BadBackbone(
            f"the bytes of {hf_hub_url(repo, name, revision=commit)} do not have the sha256 that "
            f"the hub announces, {sha256 or 'its ETag'}; they were removed. Run the same command "
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


def _transfer(repo: str, url: str, sha256: str, size: int) -> None:
    """Put the ``size`` bytes at ``url`` where huggingface_hub looks for them before it transfers.

    An earlier try's are gone on from. They are not checked yet.
    """
    blob = folder_of(repo) / "blobs" / sha256
    part = blob.with_name(f"{sha256}.incomplete")
    lock = folder_of(repo).parent / ".locks" / folder_of(repo).name / f"{sha256}.lock"
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
            raise _stopped(repo, url, part, size, error) from error
        except OSError as error:
            if error.errno is None:  # as long as it is not: a login page, perhaps
                part.unlink()
            raise
        except Exception as error:  # HTTP has other types in other versions of huggingface_hub
            raise _stopped(repo, url, part, size, error) from error
        part.replace(blob)


def _stopped(repo: str, url: str, part: Path, size: int, error: Exception) -> UnknownBackbone:
    return UnknownBackbone(
        f"hub:{repo}",
        f"The transfer of {url} stopped at {part.stat().st_size} of {size} bytes ({error}); "
        "run the same command again and it goes on from there.",
    )
