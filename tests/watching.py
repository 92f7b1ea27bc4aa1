"""What Python is seen to do meanwhile: files written, pickles opened, commands run, connections."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_seen: list[list[tuple[str, Any]]] = []  # of each `watched` that is open
RUNNING = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn",
           "socket.connect", "socket.getaddrinfo")  # fmt: skip
WRITING = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "shutil.copyfile")


def _hook(event: str, args: Any) -> None:
    if not _seen:
        return
    if event == "open" and isinstance(args[0], str | bytes) and set(args[1] or "") & set("wax+"):
        note: tuple[str, Any] = ("write", str(args[0]))
    elif event in RUNNING or event in WRITING:
        note = (event, tuple(map(str, args)))
    else:
        return
    for events in _seen:
        events.append(note)


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[tuple[str, Any]]]:
    """Return the list to which each event of those kinds is added until the end of the block."""
    events: list[tuple[str, Any]] = []
    _seen.append(events)
    try:
        yield events
    finally:
        _seen.remove(events)
