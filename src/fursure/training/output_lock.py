"""An output → the same, held for this run alone."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fursure.errors import OutputBusy
from fursure.files import alone


@contextmanager
def held(output: Path, file: Path | None = None) -> Iterator[None]:
    """Keep other runs from making ``output`` meanwhile; of a folder, ``file`` is one in it.

    Raises:
        OutputBusy: another run is making it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(alone(file or output))
        except BlockingIOError as error:
            raise OutputBusy(output, process=str(error.args[1])) from None
        yield
