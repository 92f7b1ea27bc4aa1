"""coremltools, imported without its talk of libraries that it would do better with."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from fursure.errors import MissingExtra


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep warnings and bars of progress off the terminal.

    A ResourceWarning is among them: the converter leaves its folder of weights to the collector.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


try:
    with hushed():
        import coremltools
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.frontend.milproto.load import load
except ImportError as error:
    raise MissingExtra("exporting to Core ML", "coreml") from error

__all__ = ["Builder", "coremltools", "hushed", "load"]
