"""A table that is made here, so that an interrupted run continues → the same table elsewhere."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fursure.home import folder_for
from fursure.remote.place import RemotePath
from fursure.remote.store import RemoteStore, store_of

_RECEIPT = '{"sent": '


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where a table waits that belongs elsewhere; once sent, a receipt takes its place here."""

    place: RemotePath
    local: Path
    store: RemoteStore

    @classmethod
    def of(cls, place: RemotePath) -> "Outbox":
        """Return the outbox for a place, always the same one.

        Raises:
            RemoteFailed, MissingExtra, MissingPackage: nothing can be sent there.
        """
        store = store_of(place)
        folder = (
            folder_for("tables") / "outbox" / hashlib.sha256(str(place).encode()).hexdigest()[:24]
        )
        folder.mkdir(parents=True, exist_ok=True)
        return cls(place, folder / (place.name or "table"), store)

    def state(self) -> Literal["empty", "waiting", "delivered", "taken"]:
        """Return whether a table waits here, has arrived, or something else lies there."""
        there = self._receipt()
        if self.local.is_file():
            with self.local.open("rb") as file:
                here = file.read(1024).decode("utf-8", "replace")
            if not here.startswith(_RECEIPT):
                return "waiting" if there is None else "taken"
            if here == there:
                return "delivered"
            self.local.unlink()
        return "empty" if there is None else "taken"

    def send(self) -> None:
        """Copy the table there, whole or not at all, and keep a receipt of it.

        Raises:
            RemoteFailed: it is not taken; the table stays here for the next try.
        """
        self.store.upload(self.local, self.store.key_of(self.place))
        self.local.write_text(self._receipt() or _RECEIPT, "utf-8")

    def _receipt(self) -> str | None:
        key = self.store.key_of(self.place)
        facts = self.store.facts(key) if self.store.exists(key) else None
        return None if facts is None else _RECEIPT + json.dumps([facts.size, facts.version]) + "}"
