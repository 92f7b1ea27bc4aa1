"""One file of the Hugging Face Hub → the hub's cache: resumed where it broke off, and checked.

huggingface_hub names the file, announces it and holds the connection. The transfer itself is ours,
because its own begins an interrupted download anew (huggingface/huggingface_hub#4196) and compares
sizes where the hub announces a sha256. Files lie as https://huggingface.co/docs/hub/local-cache
draws it, so what one of us fetched the other finds.
"""

import hashlib
import os
import re
import time
from pathlib import Path

from fursure.errors import BadBackbone, MissingExtra, UnknownBackbone

try:
    from huggingface_hub import (
        constants,
        get_hf_file_metadata,
        get_session,
        hf_hub_url,
        hf_raise_for_status,
    )
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # a star would export them
        WeakFileLock,
        build_hf_headers,
        tqdm,
    )
except ImportError as error:
    raise MissingExtra("a network of the Hugging Face Hub", "torch") from error

PAUSES = (0, 1, 4)  # seconds before each try
SHA256 = re.compile(r"[0-9a-f]{64}")
ETAG = re.compile(r"[\w-][\w.-]*", re.ASCII)  # it becomes the name of a file


def folder_of(repo: str) -> Path:
    """Return where the hub's cache keeps the repository `ORG/REPO`."""
    return Path(constants.HF_HUB_CACHE).expanduser() / f"models--{repo.replace('/', '--')}"


def stored(repo: str, commit: str, name: str) -> Path:
    """Return the path of a file in the cache, transferred where it is missing or damaged.

    Raises:
        BadBackbone: its bytes do not have the sha256 that the hub announces.
        UnknownBackbone: the connection broke too often; what arrived is kept for the next time.
        Exception: what huggingface_hub, HTTP and the disk raise of their own.
    """
    folder = folder_of(repo)
    path = folder / "snapshots" / commit / name
    if path.is_file() and sound(path):
        return path
    url = hf_hub_url(repo, name, revision=commit)
    announced = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    etag, size = announced.etag or "", announced.size
    if size is None or not ETAG.fullmatch(etag):
        raise ValueError(f"{constants.ENDPOINT} announces no size or no checksum of {name}")
    blob = folder / "blobs" / etag
    lock = folder.parent / ".locks" / folder.name / f"{etag}.lock"
    for parent in (blob.parent, path.parent, lock.parent):
        parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not (blob.is_file() and _has_digest(blob, etag)):
            _transfer(repo, url, blob, size)
        _link(path, blob)
    return path


def sound(path: Path) -> bool:
    """Return whether a file of the cache still is what its name in the cache says."""
    return not path.is_symlink() or _has_digest(path, path.readlink().name)


def _has_digest(path: Path, etag: str) -> bool:
    """Return whether a file has the sha256 ``etag``; what is stored in git announces none."""
    if not SHA256.fullmatch(etag):
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == etag


def _transfer(repo: str, url: str, blob: Path, size: int) -> None:
    """Make ``blob`` the ``size`` bytes at ``url``, going on from what an earlier try left."""
    part = blob.with_name(f"{blob.name}.incomplete")
    failure = None
    for pause in PAUSES:
        time.sleep(pause)
        try:
            _go_on(url, part, size)
            break
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
            failure = str(error)
        except OSError:  # the disk's; those of the connection are no OSError
            raise
        except Exception as error:  # HTTP has other types in other versions of huggingface_hub
            failure = str(error) or type(error).__name__
    else:
        have = part.stat().st_size if part.exists() else 0
        raise UnknownBackbone(
            f"hub:{repo}",
            f"The transfer of {url} stopped at {have} of {size} bytes ({failure}); "
            "run the same command again and it goes on from there.",
        )
    if not _has_digest(part, blob.name):
        part.unlink()
        raise BadBackbone(
            f"the bytes of {url} do not have the sha256 that the hub announces, {blob.name}; they "
            "were removed. Run the same command again; where that repeats, mistrust the network."
        )
    part.replace(blob)


def _go_on(url: str, part: Path, size: int) -> None:
    """Append to ``part`` what it lacks of the ``size`` bytes at ``url``."""
    have = part.stat().st_size if part.exists() else 0
    if have == size > 0:
        return
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if 0 < have < size:
        headers["Range"] = f"bytes={have}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as answer:
        hf_raise_for_status(answer)
        if answer.status_code != 206:  # it sends the whole file, whatever was asked for
            have = 0
        if have + int(answer.headers.get("Content-Length", size - have)) != size:
            raise ValueError("the answer is not as long as announced")  # a login page, perhaps
        bar = tqdm(  # type: ignore[no-untyped-call]
            desc=url.rpartition("/")[2],
            total=size,
            initial=have,
            unit="B",
            unit_scale=True,
            disable=None,  # where nobody looks
        )
        with part.open("ab" if have else "wb") as file, bar:
            for chunk in answer.iter_bytes():
                have += len(chunk)
                if have > size:
                    raise ValueError("the answer is longer than announced")
                file.write(chunk)
                bar.update(len(chunk))
    if have < size:
        raise ValueError("the answer is shorter than announced")


def _link(path: Path, blob: Path) -> None:
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:  # Windows may forbid links; the cache then has the file itself there
        blob.replace(path)
