"""coremltools, imported without its talk of libraries that it would do better with."""

import contextlib
import io
import logging
from collections.abc import Iterator

from fursure.errors import MissingExtra


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and bars of progress off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


try:
    with quiet():
        import coremltools
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.frontend.milproto.load import load
except ImportError as error:
    raise MissingExtra("exporting to Core ML", "coreml") from error

__all__ = ["Builder", "coremltools", "load", "quiet"]
