"""A request's first line and headers → whether it is worth receiving, and from whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from secrets import compare_digest

from fursure.connections.admission import Admission
from fursure.connections.problems import Problem

ANY_ADDRESS = "*"  # among the names of a service: every address, and no other name
OPEN = ("/v2/health/", "/page/")  # paths that need no token: they tell nothing
OPEN_PAGES = frozenset({"/", "/docs", "/openapi.json", "/favicon.ico", "/healthz"})
HEALTH = ("/v2/health/", "/healthz", "/metrics")  # answered whatever else is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHead:
    """What is known of a request before its body."""

    method: bytes
    url: bytes
    path: str
    headers: Sequence[tuple[bytes, bytes]]  # names in lower case
    address: str  # of the client
    inside: bool  # not a connection beyond all limits

    def get(self, name: bytes, default: bytes = b"") -> bytes:
        """Return the last header of that name."""
        return dict(self.headers).get(name, default)

    def count(self, name: bytes) -> int:
        """Return how often that header is there."""
        return sum(key == name for key, _ in self.headers)

    @property
    def size(self) -> int:
        """Return its bytes, about."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What the service goes by, and whom it lets in."""

    admission: Admission
    hosts: frozenset[str]  # names it goes by
    token: str | None  # what a client has to know; None: nothing

    def refusal(self, head: RequestHead) -> Problem | None:
        """Return why a request is refused, or None: first its form, then its sender."""
        problem = self._misshapen(head)
        if problem is not None:
            return problem
        if head.count(b"host") > 1 or not self._meant(_host(head.get(b"host"))):
            self.admission.refused("host")
            return Problem(421, "this service does not go by that name (--allow-host).")
        if not head.inside and not head.path.startswith(HEALTH):
            return Problem(503, "too many connections.", retry_after=1)
        if self.token is not None and not self._known(head, self.token):
            self.admission.refused("token")
            return Problem(401, "send the token: Authorization: Bearer ….")
        if head.method == b"POST":
            return self.admission.ask(head.address)
        return None

    def long_headers(self) -> Problem:
        """Return the refusal of a request whose headers do not end in time."""
        self.admission.refused("headers")
        return Problem(431, f"the headers are longer than {self.admission.limits.headers} bytes.")

    def _misshapen(self, head: RequestHead) -> Problem | None:
        limits = self.admission.limits
        if head.size > limits.headers:
            return self.long_headers()
        lengths = head.count(b"content-length")
        if lengths > 1 or (lengths and head.count(b"transfer-encoding")):
            return Problem(400, "the length of the body is given twice.")
        length = head.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > limits.body:
            self.admission.refused("body")
            return Problem(413, f"the body is larger than {limits.body // 2**20} MiB.")
        if head.get(b"content-encoding", b"identity").lower() != b"identity":
            self.admission.refused("encoding")
            return Problem(415, "a packed body is not taken; send it as it is.")
        return None

    def _meant(self, host: str) -> bool:
        """Return whether the service goes by that name."""
        if ANY_ADDRESS in self.hosts and _is_address(host):
            return True
        return host in self.hosts and host != ANY_ADDRESS

    def _known(self, head: RequestHead, token: str) -> bool:
        if head.path in OPEN_PAGES or head.path.startswith(OPEN):
            return True
        given = head.get(b"authorization").removeprefix(b"Bearer ").strip()
        return compare_digest(given, token.encode())


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _host(given: bytes) -> str:
    """Return the name in a Host header, without its port."""
    name = given.decode("ascii", "replace").lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]
