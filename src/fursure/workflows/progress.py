"""How a workflow says how far it is, without knowing who listens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]  # told how many more photos are done


class Progress(Protocol):
    """Opens a stage of work; `silent` is one, the command line's bar is another."""

    def __call__(self, title: str, total: int | None) -> AbstractContextManager[Advance]:
        """Begin a stage of ``total`` photos (None: nobody knows) and return its counter."""


@contextmanager
def silent(title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG001 - a Progress
    """Report nothing."""
    yield lambda _done: None
