"""A small Hugging Face Hub on this machine, with the headers, errors and redirects of the real one.

What is stored in git (`*.json`, `*.md`) comes from the hub itself and is announced by its git
digest; everything else lies on a second host, is announced by its sha256, and the hub redirects to
it. Whoever has the token may write to `org`: files go to the second host first, by the LFS
protocol, then a commit names them. Data sets are called `datasets/org/name` here.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import unquote

TOKEN = "hf_of_a_friend"  # noqa: S105 - it opens nothing
READER = "hf_of_a_reader"  # may read what is private, and write nothing
IN_GIT = (".json", ".md")


@dataclass
class Repo:
    """The files of a repository, and who may have them."""

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    messages: list[str] = field(default_factory=list)  # of the commits
    tags: list[str] = field(default_factory=list)
    past: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by commit, what was pushed on

    def push(self, files: dict[str, bytes]) -> None:
        """Replace the files of those names; what was there stays at its commit."""
        self.past[self.commit] = self.files
        self.files = self.files | files

    def at(self, revision: str) -> dict[str, bytes] | None:
        """Return the files at a branch, a tag or a commit."""
        current = revision in {"main", self.commit, *self.tags}
        return self.files if current else self.past.get(revision)

    @property
    def commit(self) -> str:
        """Return what the commit of these files is named: other files, another commit."""
        names = [f"{name} {etag(name, data)}" for name, data in sorted(self.files.items())]
        return hashlib.sha1("\n".join(names).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    host: str  # hub or cdn
    method: str
    path: str
    range: str | None
    authorised: bool


@lru_cache(maxsize=512)
def etag(name: str, data: bytes) -> str:
    """Return what the hub announces of a file: git's digest, or the sha256 of what git lacks."""
    if name.endswith(IN_GIT):
        blob = b"blob %d\0" % len(data) + data
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest()
    return hashlib.sha256(data).hexdigest()


def tree_below(files: dict[str, bytes], folder: str, *, deep: bool) -> Iterator[dict[str, Any]]:
    """Yield how the hub lists what lies in a folder, folders too."""
    folders = set()
    for name, data in files.items():
        if not name.startswith(folder):
            continue
        rest = name.removeprefix(folder).split("/")
        depths = range(1, len(rest)) if deep else range(1, min(2, len(rest)))
        folders |= {folder + "/".join(rest[:depth]) for depth in depths}
        if deep or len(rest) == 1:
            lfs = announced(name, data).get("lfs")
            oid = etag(name, data) if lfs is None else hashlib.sha1(data).hexdigest()  # noqa: S324
            entry = {"type": "file", "path": name, "size": len(data), "oid": oid}
            yield entry | ({"lfs": {**lfs, "oid": lfs["sha256"]}} if lfs else {})
    for path in sorted(folders):
        yield {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}


def announced(name: str, data: bytes) -> dict[str, Any]:
    """Return how the hub lists a file."""
    listed = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
    if name.endswith(IN_GIT):
        return listed
    return listed | {"lfs": {"sha256": etag(name, data), "size": len(data), "pointerSize": 134}}


class Hub:
    """A running hub and the host of its large files; what it does wrong can be set."""

    def __init__(self) -> None:
        """Open both hosts, on ports that are free."""
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.served = 0  # bytes of files
        self.cuts: list[int] = []  # bytes after which each next transfer breaks off
        self.uploaded: dict[str, bytes] = {}  # by their sha256
        self.refused_card = ""  # what the hub has against every card
        self.swapped: dict[str, bytes] = {}  # what is sent in the place of a large file
        self.ranges = True  # whether a range is answered with that range
        self.broken: int | bytes | None = None  # a status, or a page, in answer to everything
        self.silent = False
        self.closing = Event()
        self._servers = {name: Host(self, name) for name in ("hub", "cdn")}

    def url(self, host: str = "hub") -> str:
        """Return where a host answers."""
        return f"http://127.0.0.1:{self._servers[host].server_port}"

    def __enter__(self) -> Self:
        """Start answering."""
        self._threads = [
            Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            for server in self._servers.values()
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering; from here on a connection is refused."""
        if self.closing.is_set():
            return
        self.closing.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()

    close = __exit__


class Host(ThreadingHTTPServer):
    """One of the two hosts, on a port that is free."""

    def __init__(self, hub: Hub, name: str) -> None:
        """Open the port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.name = hub, name


_REPO = r"(?P<name>(?:models|datasets)/[^/]+/[^/]+)"


class Handler(BaseHTTPRequestHandler):
    """One request to either host."""

    server: Host

    @property
    def hub(self) -> Hub:
        return self.server.hub

    @property
    def authorised(self) -> bool:
        return self.headers.get("Authorization") in {f"Bearer {TOKEN}", f"Bearer {READER}"}

    @property
    def may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def log_message(self, *_: Any) -> None:
        """Stay silent: the tests read what was asked."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Request(self.server.name, self.command, path, None, self.authorised)
        self.hub.requests.append(asked)
        if isinstance(self.hub.broken, int):
            self.answer(self.hub.broken, b"{}", {})
        elif self.server.name == "cdn":
            self.hub.uploaded[path.rpartition("/")[2]] = body
            self.answer(200, b"", {})
        elif path == "/api/validate-yaml":
            errors = [{"message": self.hub.refused_card}] if self.hub.refused_card else []
            self.say({"errors": errors, "warnings": []}, status=400 if errors else 200)
        elif not self.authorised:
            said = "Invalid credentials in Authorization header"
            self.answer(401, b"{}", {"X-Error-Message": said})
        elif not self.may_write:
            self.answer(403, b"{}", {"X-Error-Message": "you have no write permission"})
        else:
            self.write(path, body)

    do_PUT = do_POST

    def write(self, path: str, body: bytes) -> None:
        """Do what only who may write can ask for."""
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/branch/(.+)", path):
            self.hub.repos[match[1]].tags.append(match[2])
            self.say({})
        elif re.fullmatch(r"/api/models/[^/]+/[^/]+/preupload/.+", path):
            self.say({"files": [_mode(file["path"]) for file in json.loads(body)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.say({"objects": [self.place(asked) for asked in json.loads(body)["objects"]]})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/.+", path):
            self.commit(self.hub.repos[match[1]], [json.loads(line) for line in body.splitlines()])
        else:
            self.answer(404, b"{}", {})

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        private = asked["visibility"] == "private"
        self.hub.repos[name] = Repo({".gitattributes": b""}, private=private)
        self.say({"url": f"{self.hub.url()}/{name}"})

    def place(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return where a large file is to be sent, unless it is there."""
        if asked["oid"] in self.hub.uploaded:
            return asked
        href = f"{self.hub.url('cdn')}/files/{asked['oid']}"
        return asked | {"actions": {"upload": {"href": href}}}

    def commit(self, repo: Repo, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header":
                    repo.messages.append(value["summary"])
                case "file":
                    repo.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    repo.files[value["path"]] = self.hub.uploaded[value["oid"]]
                case "deletedFile":
                    del repo.files[value["path"]]
        url = f"{self.hub.url()}/org/pets/commit/{repo.commit}"
        self.say({"success": True, "commitOid": repo.commit, "commitUrl": url})

    def say(self, value: dict[str, Any], *, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        part = self.headers.get("Range")
        asked = Request(self.server.name, self.command, path, part, self.authorised)
        self.hub.requests.append(asked)
        if self.hub.silent:
            self.hub.closing.wait(10)
        elif isinstance(self.hub.broken, int):
            self.answer(self.hub.broken, b"", {})
        elif self.hub.broken is not None:
            self.answer(200, self.hub.broken, {"Content-Type": "text/html"})
        elif self.server.name == "cdn":
            self.send_file(_content(self.hub, path.rpartition("/")[2]), {})
        elif match := re.fullmatch(rf"/api/{_REPO}(?:/revision/(.+))?", path):
            self.listing(match["name"].removeprefix("models/"), match[2] or "main")
        elif match := re.fullmatch(rf"/api/{_REPO}/tree/([^/]+)(?:/(.+))?", path):
            name = match["name"].removeprefix("models/")
            self.tree(name, unquote(match[2]), unquote(match[3] or ""))
        elif match := re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(match[1], match[2], unquote(match[3]))
        else:
            self.answer(404, b"", {})

    def found(self, name: str, revision: str) -> Repo | None:
        """Return the repository at a revision, or say as the hub does what there is not."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and not self.authorised):
            # strangers are not told whether it is private
            self.answer(404 if self.authorised else 401, b"", {"X-Error-Code": "RepoNotFound"})
            return None
        if repo.at(revision) is None:
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return None
        return repo

    def listing(self, name: str, revision: str) -> None:
        if repo := self.found(name, revision.replace("%2F", "/")):
            revision = revision.replace("%2F", "/")
            siblings = [announced(path, data) for path, data in (repo.at(revision) or {}).items()]
            sha = revision if revision in repo.past else repo.commit
            self.say({"id": name, "sha": sha, "siblings": siblings, "private": repo.private})

    def tree(self, name: str, revision: str, folder: str) -> None:
        if repo := self.found(name, revision):
            below = f"{folder}/" if folder else ""
            deep = "recursive=true" in self.path.lower()
            files = repo.at(revision) or {}
            if not any(path.startswith(below) for path in files):
                self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
                return
            found = json.dumps(list(tree_below(files, below, deep=deep))).encode()
            self.answer(200, found, {"Content-Type": "application/json"})

    def resolve(self, name: str, revision: str, path: str) -> None:
        repo = self.found(name, revision)
        if repo is None:
            return
        if repo.gated and not self.authorised:
            self.answer(401, b"", {"X-Error-Code": "GatedRepo"})
        elif path not in (files := repo.at(revision) or {}):
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            data = files[path]
            headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{etag(path, data)}"'}
            if path.endswith(IN_GIT):
                self.send_file(data, headers)
            else:
                self.redirect(etag(path, data), len(data), headers)

    def redirect(self, digest: str, size: int, headers: dict[str, str]) -> None:
        """Send on to the other host, and offer the file in chunks too: a client need not care."""
        linked = {
            "Location": f"{self.hub.url('cdn')}/files/{digest}",
            "ETag": '"of-the-redirect"',
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(size),
            "X-Xet-Hash": digest,
            "Link": f'<{self.hub.url()}/api/xet-token>; rel="xet-auth"',
        }
        self.answer(302, b"", headers | linked)

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        status, part = 200, data
        if self.hub.ranges and (asked := self.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            status, part = 206, data[int(first) : int(last) + 1 if last else None]
            end = int(first) + len(part) - 1
            headers |= {"Content-Range": f"bytes {first}-{end}/{len(data)}"}
        self.answer(status, part, headers, cut=self.server.name == "cdn")

    def answer(
        self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            sent = body[: self.hub.cuts.pop(0)] if cut and self.hub.cuts else body
            self.hub.served += len(sent) if cut else 0  # before the client has all and looks
            self.wfile.write(sent)


def _content(hub: Hub, digest: str) -> bytes:
    return next(
        hub.swapped.get(name, data)
        for repo in hub.repos.values()
        for files in (repo.files, *repo.past.values())
        for name, data in files.items()
        if etag(name, data) == digest
    )


def _mode(path: str) -> dict[str, Any]:
    mode = "regular" if path.endswith(IN_GIT) else "lfs"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}
