"""WebDataset's conventions: numbered shards, and a photo's label in a member beside it."""

import json
import re
from collections.abc import Callable, Iterable

_DIVIDED = re.compile(r"(?:[\w.-]*[-_.])?(train|valid|validation|val|test)[-_.]\d{4,}\.tar")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 100_000
_FIELDS = ("label", "class", "cls", "class_name")  # of a .json, the first that is there
LABEL_MEMBERS = (".cls", ".json")  # members that may hold a label


def shard_names(written: str) -> list[str] | None:
    """Return the names that ``photos-{000..099}.tar`` stands for; ``None`` for another text.

    Both ends count, and numbers are padded to the width of the first, as a shell has it.
    """
    if (match := _BRACES.search(written)) is None:
        return None
    first, last = int(match[1]), int(match[2])
    if not first <= last < first + _MOST_SHARDS:
        return None
    before, after = written[: match.start()], written[match.end() :]
    return [f"{before}{number:0{len(match[1])}}{after}" for number in range(first, last + 1)]


def tars_among(names: Iterable[str]) -> list[str]:
    """Return the shards of a divided set in a folder, in order: ``train-000000.tar`` and others."""
    return sorted(name for name in names if _DIVIDED.fullmatch(name))


def part_of(name: str) -> str:
    """Return which part a member's shard belongs to, ``train-000000.tar!0001.jpg``, or ""."""
    match = _DIVIDED.fullmatch(name.partition("!")[0])
    return match[1] if match else ""


def label_beside(photo: str, read: Callable[[str], bytes | None]) -> str | None:
    """Return the label in the member beside a photo: ``0001.cls``, or a field of ``0001.json``.

    A number in ``.cls`` gives way to a name in ``.json``: the library itself wants a number there.
    ``read`` returns the bytes of a member, ``None`` where there is none. What belongs together
    has the same name up to the first dot.
    """
    match = re.match(r"(.*[/!])?[^./!]*", photo, re.DOTALL)
    stem = match[0] if match else photo
    text = _text(read(f"{stem}.cls") or b"")
    if text is not None and not text.isdecimal():
        return text
    named = _field(read(f"{stem}.json") or b"")
    return text if named is None or (text and named.isdecimal()) else named


def _text(data: bytes) -> str | None:
    return data.decode("utf-8", "replace").strip() or None


def _field(data: bytes) -> str | None:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    value = next((fields[name] for name in _FIELDS if name in fields), None)
    return str(value) if isinstance(value, str | int) else None
