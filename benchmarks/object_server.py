"""A folder → a bucket of S3 on loopback, read only, at little cost: one process, nothing signed.

    python -m benchmarks.object_server FOLDER PORT

At its end it prints how many requests it answered and how long it kept a core busy.
"""

import asyncio
import hashlib
import signal
import sys
import time
from html import escape
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_PAGE = 1000  # names of one listing


def main() -> None:
    """Serve until SIGTERM."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    objects = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    answered = asyncio.run(_serve(objects, port))
    print(f"  the server: {answered:,} requests, {time.process_time():.1f} s of a core")


async def _serve(objects: dict[str, bytes], port: int) -> int:
    etags = {
        key: f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        for key, data in objects.items()
    }
    answered = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in _split(lines[1:])}
                method, target, _ = lines[0].split(" ")
                writer.write(_answer(method, urlsplit(target), headers, objects, etags))
                answered += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    await asyncio.start_server(talk, "127.0.0.1", port)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    return answered


def _split(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(": ") for line in lines if line]


def _answer(
    method: str,
    target: SplitResult,
    headers: dict[str, str],
    objects: dict[str, bytes],
    etags: dict[str, str],
) -> bytes:
    """Return what is sent to one request."""
    query = parse_qs(target.query, keep_blank_values=True)
    if "list-type" in query:
        return _response("200 OK", _listing(query, objects, etags))
    _, _, key = unquote(target.path).lstrip("/").partition("/")
    if key not in objects:
        return _response("404 Not Found", b"")
    data, status, told = objects[key], "200 OK", [f"ETag: {etags[key]}"]
    if asked := headers.get("range"):
        first, last = asked.removeprefix("bytes=").split("-")
        end = min(int(last) + 1, len(data))
        told.append(f"Content-Range: bytes {first}-{end - 1}/{len(data)}")
        data, status = data[int(first) : end], "206 Partial Content"
    return _response(status, data, *told, body=method != "HEAD")


def _response(status: str, data: bytes, *told: str, body: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *told]
    return "\r\n".join([*lines, "", ""]).encode() + data * body


def _listing(
    query: dict[str, list[str]], objects: dict[str, bytes], etags: dict[str, str]
) -> bytes:
    """Return a page of names, as ListObjectsV2 has them."""
    prefix, after = (query.get(name, [""])[0] for name in ("prefix", "continuation-token"))
    most = min(_PAGE, int(query.get("max-keys", [str(_PAGE)])[0]))
    keys = [key for key in objects if key.startswith(prefix) and key > after]
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><ETag>{escape(etags[key])}</ETag>"
        f"<Size>{len(objects[key])}</Size></Contents>"
        for key in keys[:most]
    )
    more = len(keys) > most
    token = f"<NextContinuationToken>{escape(keys[most - 1])}</NextContinuationToken>" * more
    flag = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
    return f"<ListBucketResult>{flag}{token}{entries}</ListBucketResult>".encode()


if __name__ == "__main__":
    main()
