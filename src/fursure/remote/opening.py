"""A scheme → the file system of fsspec behind it, with the knobs it needs."""

import logging
from base64 import b64encode
from typing import Any
from urllib.parse import unquote

from fursure.errors import MissingExtra, MissingPackage
from fursure.remote.ahead import IN_FLIGHT
from fursure.remote.commits import without_telemetry
from fursure.remote.place import RemotePath

_PACKAGES = {  # what speaks the scheme, where it is no part of the extra `cloud`
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hf": "huggingface-hub",
}
SCHEMES = ("s3", *_PACKAGES, "http", "https")
_WAIT = 60.0  # seconds for one answer, so that a dead connection is noticed


def opened_files(place: RemotePath, *, anonymous: bool) -> Any:
    """Return the file system that a place lies in, which tries nothing twice by itself.

    Raises:
        MissingExtra, MissingPackage: nothing here speaks that scheme.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra(f"a place like {place.scheme}://", "cloud") from error
    try:
        files = fsspec.filesystem(
            place.scheme,
            skip_instance_cache=True,
            use_listings_cache=False,
            **_knobs(place, anonymous=anonymous),
        )
    except ImportError as error:
        if package := _PACKAGES.get(place.scheme):
            raise MissingPackage(f"{place.scheme}://", package) from error
        raise MissingExtra(f"{place.scheme}://", "cloud") from error
    if place.scheme == "s3":
        files.retries = 1  # so that each failure is waited for once, here
    if place.scheme == "hf":
        without_telemetry()
    if place.scheme in {"gs", "gcs"}:  # with every request of whoever is not signed in, it warns
        logging.getLogger("gcsfs").setLevel(logging.ERROR)
    return files


def _knobs(place: RemotePath, *, anonymous: bool) -> dict[str, Any]:
    """Return what a file system is to be opened with.

    Credentials are found where each provider's own tools find them. Only we try again.
    """
    match place.scheme:
        case "s3":
            user, _, password = place.userinfo.partition(":")
            config = {
                "retries": {"total_max_attempts": 1},
                "max_pool_connections": IN_FLIGHT,
                "read_timeout": _WAIT,
            }
            knobs: dict[str, Any] = {"config_kwargs": config}
            if anonymous:
                knobs["anon"] = True
            return knobs | ({"key": user, "secret": password} if user else {})
        case "http" | "https":
            from aiohttp import ClientTimeout

            client: dict[str, Any] = {"timeout": ClientTimeout(total=None, sock_read=_WAIT)}
            if place.userinfo:
                signed_in = b64encode(unquote(place.userinfo).encode()).decode()
                client["headers"] = {"Authorization": f"Basic {signed_in}"}
            return {"client_kwargs": client}
    return {"token": "anon"} if anonymous and place.scheme in {"gs", "gcs"} else {}
