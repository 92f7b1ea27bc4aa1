"""A folder in a bucket or on a web server, or a single photo in it → names and bytes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Self, final
from urllib.parse import unquote

from fursure.errors import BadImage
from fursure.remote.ahead import Ahead
from fursure.remote.facts import Changed, RemoteFacts
from fursure.remote.place import AnyPlace, RemotePath
from fursure.remote.store import RemoteStore

_TYPICAL = 1 << 20  # bytes of a photo whose size no listing tells


@final
class RemoteFolder:
    """What a listing names below a place, or one photo of it, ``only``: a `Source`.

    ``blind``: nobody lists it, as on most web servers; what a table names is believed to be there.
    """

    prefix: str = ""
    notes: Sequence[str] = ()

    def __init__(
        self,
        store: RemoteStore,
        root: RemotePath,
        *,
        only: RemoteFacts | None = None,
        blind: bool = False,
    ) -> None:
        self.root: AnyPlace = root
        self.path: AnyPlace = store.place if only else root
        self._store, self._blind, self._key = store, blind, store.key_of(root)
        self._skipped: Counter[str] = Counter()
        self._listed = {store.place.name: only} if only else None
        self._ahead: Ahead[str] = Ahead(self._fetch, self._size)

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:
        """Yield files and folders in the order of a folder here."""
        entries = self._entries()
        if skipped is not None:
            skipped.update(self._skipped)
        folders = {
            name[: at + 1] for name in entries for at, sign in enumerate(name) if sign == "/"
        }
        yield from sorted([*entries, *folders], key=lambda name: name.split("/"))

    def files(self) -> dict[str, RemoteFacts]:
        """Return every file of the listing by its name, in no order."""
        return self._entries()

    def has(self, name: str) -> bool:
        """Return whether the listing has a file of that name."""
        return self._blind or name in self._entries()

    def expect(self, name: str) -> None:
        """Begin to fetch what will be read soon."""
        if self.has(name):
            self._ahead.expect(name)

    def mark(self, name: str) -> str | None:
        """Return what stands for a file's bytes, if its store vouches for them."""
        facts = self._entries().get(name)
        return None if facts is None else self._store.mark(facts)

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of one file, which may be gone since it was listed.

        Raises:
            BadImage: it is gone or another one, nobody may read it, or it is above ``limit`` bytes.
            RemoteFailed: the server gives nothing any more, of this file or of others.
        """
        if not self.has(name):
            raise BadImage(name, "file is missing")
        if self._size(name) > limit:
            raise BadImage(name, f"larger than {limit:,} bytes")
        try:
            data = self._ahead.take(name)
        except FileNotFoundError:
            raise BadImage(name, "file is missing") from None
        except PermissionError:
            raise BadImage(name, "cannot be read: no permission") from None
        except Changed:
            raise BadImage(name, "changed since it was listed; repeat the command") from None
        if len(data) > limit:
            raise BadImage(name, f"larger than {limit:,} bytes")
        return data

    def close(self) -> None:
        """Fetch nothing more."""
        self._ahead.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _entries(self) -> dict[str, RemoteFacts]:
        if self._listed is None:
            listed: dict[str, RemoteFacts] = {}
            for facts in () if self._blind else self._store.below(self._key):
                name = self._name_of(facts.key)
                if (kind := _passed_over(name)) is None:
                    listed[name] = facts
                elif name:
                    self._skipped[kind] += 1
            self._listed = listed
        return self._listed

    def _name_of(self, key: str) -> str:
        name = key.removeprefix(self._key.rstrip("/") + "/")
        return unquote(name) if self._store.is_web else name

    def _fetch(self, name: str) -> bytes:
        facts = self._entries().get(name)
        return self._store.read(facts or RemoteFacts(f"{self._key.rstrip('/')}/{name}"))

    def _size(self, name: str) -> int:
        facts = self._entries().get(name)
        return _TYPICAL if facts is None or facts.size is None else facts.size


def _passed_over(name: str) -> str | None:
    """Return under which name a file is counted that is not to be read; most are to be."""
    *folders, file = name.split("/")
    if not file or {"", ".", ".."} & {*folders, file} or "?" in file or "\0" in name:
        return "unsafe name"
    return "hidden folder" if any(folder.startswith(".") for folder in folders) else None
