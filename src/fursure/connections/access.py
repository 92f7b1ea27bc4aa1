"""Requests → lines on standard error: who asked for what, and how it was answered.

Never what was sent: no name of a photo, nothing of a body or a query.
"""

import logging
from urllib.parse import quote

REQUEST = '%s - "%s %s HTTP/%s" %d'  # as uvicorn has it: client, method, path, version, status
LOGGER = "uvicorn.access"
_LONGEST = 200  # characters of a path


class _Line(logging.Formatter):
    """A request as uvicorn logs it, with the time and without its query."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        client, method, path, version, status = record.args or ("-", "-", "-", "-", 0)
        path = str(path).partition("?")[0][:_LONGEST]
        line = REQUEST % (client, method, path, version, status)
        return f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S%z')} {line}"


def log_requests() -> None:
    """Write a line for each request to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    logger = logging.getLogger(LOGGER)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)


def refused(client: tuple[str, int] | None, method: bytes, url: bytes, status: int) -> None:
    """Log a request that was answered at the door; what could not be read is a dash."""
    address = f"{client[0]}:{client[1]}" if client else "-"
    path = quote(url.decode("latin-1"), safe="/%?")
    logging.getLogger(LOGGER).info(
        REQUEST, address, method.decode("ascii", "replace") or "-", path or "-", "1.1", status
    )
