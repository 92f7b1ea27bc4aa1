"""How a tool writes down a photo's file → where that file may lie beside the export."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio's, before the name of a file
_LOCAL = "/data/local-files/"  # Label Studio's, followed by ?d=PATH
_SERVED = "/data/"
_FILE = re.compile(r"\.[A-Za-z0-9]{2,5}(\?.*)?$")


def places(written: str) -> Iterator[str]:
    """Yield the paths under which the file ``written`` may lie, the likeliest first.

    What only the tool's server or another machine knows (hosts, buckets, the upper folders) is
    left out step by step; what Label Studio puts before the name of an upload comes off last.
    """
    path = _path(written)
    if path == written:
        yield written
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}]
    if not parts or ".." in parts:
        return
    if _DRIVE.match(path):
        parts = parts[1:]
    for start in range(len(parts)):
        if (place := "/".join(parts[start:])) != written:
            yield place
    if match := _UPLOADED.match(parts[-1]):
        yield parts[-1][match.end() :]


def is_place(value: object) -> bool:
    """Return whether a value looks like the path or the URL of a file."""
    return isinstance(value, str) and (_SERVED in value or bool(_FILE.search(value)))


def is_elsewhere(written: str) -> bool:
    """Return whether a photo is said to lie on a server."""
    return bool(_SCHEME.match(written)) or _SERVED in written


def _path(written: str) -> str:
    """Return the path within a URL, or ``written`` where it is none."""
    if not is_elsewhere(written):
        return written
    try:
        url = urlsplit(written)
        asked = parse_qs(url.query).get("d", [""])[0] if url.path.endswith(_LOCAL) else ""
    except ValueError:  # a host that is none
        return written
    return asked or unquote(url.path).removeprefix(_SERVED)
