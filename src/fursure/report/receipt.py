"""What made a finished table, kept among fursure's own files: the same command is then done.

Beside the table it would be one more file of the user's to wonder about.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fursure.files import replacing
from fursure.home import folder_for


class Names:
    """A digest of the photos' names in their order."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._sha256 = hashlib.sha256()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Count one more photo in."""
        self._sha256.update(name.encode("utf-8", "surrogatepass") + b"\0")

    @property
    def digest(self) -> str:
        """Return the digest so far."""
        return self._sha256.hexdigest()


def keep(table: Path, made_by: dict[str, Any], names: Names, code: int) -> None:
    """Note what made ``table`` and how that ended; if it cannot be, it is only not known later."""
    note = {"made_by": made_by, "names": names.digest, "table": _content(table), "code": code}
    place = _place(table)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as file:
            file.write(json.dumps(note).encode())


def ended_with(table: Path, made_by: dict[str, Any], names: Iterable[str]) -> int | None:
    """Return the exit code of the run that wrote ``table``, by ``made_by``, for the same names.

    None: it is not known, or the table is no longer as it was written.
    """
    try:
        note = json.loads(_place(table).read_text("utf-8"))
        known = (note["made_by"], note["table"])
        same = known == (made_by, _content(table)) and note["names"] == Names(names).digest
        return int(note["code"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place(table: Path) -> Path:
    key = hashlib.sha256(str(table.resolve()).encode("utf-8", "surrogatepass")).hexdigest()
    return folder_for("tables") / f"{key[:24]}.json"


def _content(table: Path) -> str:
    with table.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
