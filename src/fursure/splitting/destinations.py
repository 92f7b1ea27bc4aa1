"""Photos with labels and splits → where each goes in class folders, by names every system takes.

A photo keeps its own name where that is safe and nobody else has it; otherwise it is changed by a
rule that looks at the photo alone, so no name depends on which of two files came first.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256

from fursure.dataset.manifest import Manifest
from fursure.rows.photo import Photo

_LONGEST = 150  # bytes of UTF-8 in a name, before what tells it from others; most systems allow 255
TAG = 8  # hex digits of a digest that tell two names apart; twice as many if need be

_FORBIDDEN = frozenset('<>:"/\\|?*')  # by Windows, which also takes no final dot or space
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE)  # there


def destinations(manifest: Manifest, prefix: str = "") -> dict[str, str]:
    """Return ``split/class/name`` for the path of each usable photo that has a split.

    ``prefix`` is what the source puts before the names of its files. No two photos of a class
    share a name, in whatever split they are.
    """
    of_class: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in manifest.usable:
        if photo.label is not None and photo.split is not None:
            of_class[photo.label].append(photo)
    folders = class_folders(manifest.labels)
    targets: dict[str, str] = {}
    for label, members in of_class.items():
        own = {
            member.path: member.path.removeprefix(prefix).rpartition("/")[2] for member in members
        }
        names = _distinct(own)
        for member in members:
            targets[member.path] = f"{member.split}/{folders[label]}/{names[member.path]}"
    return targets


def class_folders(labels: Iterable[str]) -> dict[str, str]:
    """Return the name of each class's folder: its label, where that can be one."""
    return _distinct({label: label for label in labels})


def safe_name(text: str, *, tag: str = "") -> str:
    """Return a name like ``text`` that is a single, visible file or folder on every system.

    ``tag`` comes before its extension.
    """
    shown = "".join(
        letter if letter.isprintable() and letter not in _FORBIDDEN else "_"
        for letter in text.strip(" ")
    )
    shown = re.sub(r"^[. ]+", "_", shown)
    stem, dot, extension = shown.rpartition(".")
    if not dot or len(extension) > 10:
        stem, extension = shown, ""
    ending = f"-{tag}" * bool(tag) + dot * bool(extension) + extension
    room = _LONGEST - len(f"{dot}{extension}".encode())
    name = stem.encode()[:room].decode(errors="ignore") + ending
    name = re.sub(r"[. ]+$", "_", name) or "_"
    return f"_{name}" if _DEVICES.match(name) else name


def _distinct(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return a safe name for each key, like the one wanted; no two alike on any system.

    Those that would be alike all get a piece of their key's digest.
    """
    digests = {key: sha256(key.encode("utf-8", "surrogatepass")).hexdigest() for key in wanted}
    digits = dict.fromkeys(wanted, 0)
    while True:
        names = {
            key: safe_name(text, tag=digests[key][: digits[key]]) for key, text in wanted.items()
        }
        bearers = Counter(_folded(name) for name in names.values())
        alike = [key for key, name in names.items() if bearers[_folded(name)] > 1]
        if not alike:
            return names
        for key in alike:
            digits[key] += TAG


def _folded(name: str) -> str:
    """Return what macOS and Windows compare: neither case nor how an accent is written counts."""
    return unicodedata.normalize("NFC", name.casefold())
