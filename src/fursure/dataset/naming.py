"""A name alone → junk or photo, safe or not, and the label it states."""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from fursure.errors import BadData
from fursure.formats.table import is_photo_suffix

RAW_SUFFIXES = frozenset(  # a TIFF reader would take the thumbnail in many of them for the photo
    {".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".orf", ".rw2", ".raf"}
    | {".pef", ".srw", ".x3f", ".3fr", ".iiq", ".erf", ".mrw", ".kdc", ".dcr", ".mos", ".rwl"}
)
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".jsonl"})
ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".tar", ".tgz", ".gz", ".tbz2", ".bz2", ".txz", ".xz", ".zst", ".7z", ".rar"}
)

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", ".ds_store"})
# What systems, boxes in the network and programs keep beside photos: copies, thumbnails, refuse.
_SYSTEM_FOLDERS = frozenset(
    {"__macosx", "network trash folder", "temporary items"}  # macOS
    | {"$recycle.bin", "recycler", "recycled", "system volume information", "found.000"}  # Windows
    | {"lost+found", "@eadir", "@tmp", "#recycle", "#snapshot"}  # Linux; Synology
    | {"@recycle", "@recently-snapshot", "@__thumb"}  # QNAP
    | {"thumbs", "_thumbs", "thumbnails", "_thumbnails", "__pycache__"}
)
_PLAIN_TEXTS = frozenset({"license", "licence", "readme", "copying", "notice", "makefile"})
_LONGEST_NAME = 4096  # characters; what Linux allows a path

# cat.0.jpg (Kaggle), american_bulldog_100.jpg (Oxford), "cat (1).jpg" (renamed by Windows)
_NUMBERED = re.compile(r"([^\W\d_][\w -]*?)(?:[._-]| ?\()\d+\)?(?:\.|$)")
_CAMERAS = frozenset(  # what cameras and programs number photos by says nothing of their content
    {"img", "image", "images", "dsc", "dscn", "dscf", "pxl", "mvimg", "p", "pic", "picture"}
    | {"photo", "frame", "screenshot", "file", "scan"}
)

RESERVED = frozenset({"stranger", "unsure"})  # what a model answers instead of a class

LabelOf = Callable[[str], str | None]  # the name of a photo -> its label, or nothing


def junk(name: str) -> str | None:
    """Return what kind of junk the file ``name`` is, ``None`` for one that may be a photo."""
    folder, _, file = name.rpartition("/")
    kept, hidden = _above(folder)
    if kept:
        return kept
    if file.lower() in _SYSTEM_FILES:
        return file
    if hidden or file.startswith("."):
        return "hidden file"
    kind = suffix(file)
    if is_photo_suffix(kind):
        return None
    if kind:
        plain = re.fullmatch(r"\.(?!\d+$)[a-z0-9_]{1,10}", kind)  # for kinds are printed
        return kind if plain else "other file"
    return file if file.lower() in _PLAIN_TEXTS else None


@lru_cache(maxsize=1024)  # folders hold thousands of files
def _above(folder: str) -> tuple[str, bool]:
    """Return the first folder on the way that is a system's, and whether one is hidden."""
    names = folder.split("/")
    kept = next(filter(is_system_folder, names), "")
    return kept, any(name.startswith(".") for name in names)


def is_left_by_a_system(name: str) -> bool:
    """Return whether an operating system, not the user, put the file ``name`` there."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_system_folder(name: str) -> bool:
    """Return whether a folder of that name is a system's or a program's own, and never a class."""
    return name.casefold() in _SYSTEM_FOLDERS


def suffix(name: str) -> str:
    """Return the extension of ``name`` in lower case, with its dot; "" for none."""
    file = name.rpartition("/")[2]
    stem, dot, extension = file.rpartition(".")
    return f".{extension.lower()}" if dot and stem else ""


def tidy(name: str) -> str | None:
    """Return a name written by strangers in our form, ``None`` for one that is not safe to follow.

    Archives and tables made on Windows may separate by backslashes; ``./`` and ``//`` mean
    nothing. Absolute paths, drive letters, ``..`` and NUL are what attacks are made of.
    """
    parts = name.replace("\\", "/").split("/")
    absolute = parts[0] == "" or re.match(r"[A-Za-z]:", parts[0])
    if absolute or ".." in parts or "\0" in name or len(name) > _LONGEST_NAME:
        return None
    return "/".join(part for part in parts if part not in {"", "."}) or None


def is_label(text: str) -> bool:
    """Return whether ``text`` can be the name of a class and shown anywhere."""
    return len(text) <= 200 and text.isprintable()


def label_from(text: str) -> str:
    """Return a label as the manifest writes it, "" for a blank one.

    The same word typed on a Mac and on Linux is one label: accents are composed (NFC).

    Raises:
        BadData: it is longer than 200 characters or holds some that do not print.
    """
    label = unicodedata.normalize("NFC", text).strip()
    if not is_label(label):
        raise BadData(
            f"{label[:60]!a} ({len(label)} characters) cannot be the name of a class; "
            "a name has at most 200 characters, and all of them print: rename that class."
        )
    return label


def numbered(name: str) -> str | None:
    """Return the label that ``name`` gives before a number, as ``cat.0.jpg`` does."""
    match = _NUMBERED.match(name)
    return None if match is None or match[1].lower() in _CAMERAS else label_from(match[1])


def searching(label_regex: str) -> LabelOf:
    """Return the function that finds a label by the user's pattern: group ``label``, or the first.

    Raises:
        BadData: it is no regular expression, or has no group.
    """
    try:
        pattern = re.compile(label_regex)
    except re.error as error:
        raise BadData(
            f"the label pattern {label_regex!r} is no regular expression ({error}); "
            r"it should be like '^(cat|dog)' or '_(?P<label>\w+)\.jpg$'."
        ) from None
    if not pattern.groups:
        raise BadData(
            f"the label pattern {label_regex!r} has no group; "
            "put parentheses round the label, as in '^(cat|dog)'."
        )
    group = "label" if "label" in pattern.groupindex else 1

    def label_of(name: str) -> str | None:
        match = pattern.search(name)
        return (label_from(match[group] or "") or None) if match else None

    return label_of
