"""What runs on a node: one core, one engine, chunk after chunk."""

import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Protocol

from fursure.dataset.zips import ENCODING
from fursure.errors import EngineFailed, FursureError

_CARRIED = (ENCODING,)  # settings of this machine that change what a photo is


class Job(Protocol):
    """Work that can be sent to a node and begun there."""

    def open(self) -> Callable[[Any], Any]:
        """Return what does one chunk.

        Raises:
            FursureError: it cannot be done there.
        """
        ...


def carried() -> dict[str, str]:
    """Return the settings that a worker takes over from this machine."""
    return {name: os.environ[name] for name in _CARRIED if name in os.environ}


class Workbench:
    """One core of a node at work. Ray makes an actor of it."""

    def __init__(self) -> None:
        self._work: Callable[[Any], Any] | None = None

    def open(self, job: Job, wanted: str, settings: Mapping[str, str]) -> str | None:
        """Load what ``job`` needs; return None, or the sentence why this node cannot do it."""
        from threadpoolctl import threadpool_limits

        if (here := version("fursure")) != wanted:
            return f"it has fursure {here}, and this machine has {wanted}"
        os.environ.update(settings)
        threadpool_limits(1, user_api="blas")  # the other cores have workers of their own
        try:
            self._work = job.open()
        except FursureError as error:
            return str(error)  # as words: not every error can be pickled
        return None

    def work(self, item: Any) -> Any:
        """Return the result of one chunk."""
        if self._work is None:
            raise RuntimeError("a worker was given photos before it was opened")
        return self._work(item)


def check_engine(here: str, there: str) -> None:
    """Refuse a node whose rows would come from another engine, or in another precision.

    Raises:
        EngineFailed: they differ in more than the version.
    """
    kind, _, precision = here.split(" ")
    if [kind, precision] != there.split(" ")[::2]:
        raise EngineFailed(
            f"it would run the network on {here}, and this machine on {there}: rows would not be "
            "the same. --engine onnxruntime runs everywhere."
        )
