"""How a file begins: enough of it to tell whose export it is."""

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fursure.annotations.streamed import JsonEntry, entries

_ENTRIES = 5000  # looked at; a list of classes may come before the photos
_ROOT = re.compile(  # each part is taken once: to try it shorter and longer would take for ever
    rb"(?s)(?:(?><\?.*?\?>)|(?><!--.*?-->)|\s)*+<([A-Za-z][\w:.-]*)"
)
_MOST = 1 << 16  # bytes before the first element of an XML file


@dataclass(frozen=True, slots=True)
class FileOpening:
    """The first entry of each member of a JSON file, or the root of an XML file."""

    first: dict[str, JsonEntry] = field(default_factory=dict)  # by its key
    root: str = ""

    def of(self, key: str) -> Any:
        """Return the first value under ``key`` of an object, or under "" of a list."""
        entry = self.first.get(key)
        return None if entry is None else entry.value


def is_text_of_exports(head: bytes) -> bool:
    """Return whether a file's first bytes may be those of JSON or XML."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"[", b"{", b"<"}


def opening_of(data: bytes) -> FileOpening:
    """Return how a file begins; nothing for one that is neither JSON nor XML."""
    if match := _ROOT.match(data.removeprefix(b"\xef\xbb\xbf")[:_MOST]):
        return FileOpening(root=match[1].decode("ascii", "replace"))
    opening = FileOpening()
    try:
        for entry in islice(entries(data), _ENTRIES):
            opening.first.setdefault(entry.key, entry)
    except ValueError:  # cut off: its reader says so, if it is an export
        pass
    return opening
