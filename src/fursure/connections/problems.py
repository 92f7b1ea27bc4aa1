"""What went wrong → a problem document (RFC 9457), the one shape of every error."""

import json
from http import HTTPStatus
from typing import Any

from fursure.errors import counted


class Problem(Exception):
    """A request that is refused; ``detail`` says what was found and what is needed."""

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after

    @property
    def body(self) -> bytes:
        """Return the document as JSON."""
        return json.dumps(self.to_json()).encode()

    def to_json(self) -> dict[str, Any]:
        """Return the document's members."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers it is sent with."""
        headers = {"content-type": "application/problem+json"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        return headers


def busy(waiting: int) -> Problem:
    """Return the refusal of a request that would have to wait too long."""
    detail = f"{counted(waiting, 'photo is', 'photos are')} waiting already; try again in a second."
    return Problem(503, detail, retry_after=1)
