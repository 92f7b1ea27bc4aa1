"""A file that a listing named → its bytes, all of that one version, by one request.

Each request carries the condition that the file is still the one listed, and the answer's own
words are compared as well: not every server knows conditions. So whatever is put together of
several ranges is of one version.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fursure.remote.facts import Changed, CutShort, NoRanges, RemoteFacts
from fursure.remote.refusals import code_of

Span = tuple[int, int]  # the first byte, and the one behind the last
_PIECE = 1 << 20  # bytes written at a time
_OTHERS = {"PreconditionFailed", "InvalidRange", "412", "416"}  # what S3 calls another version


async def object_of_s3(files: Any, facts: RemoteFacts, span: Span | None) -> bytes:
    """Return an object or a range of it, asked for once."""
    bucket, key, version = files.split_path(facts.key)
    wanted = {"Range": _range(span), "IfMatch": facts.version, "VersionId": version}
    wanted = {name: value for name, value in wanted.items() if value}
    try:
        answer = await files._call_s3("get_object", Bucket=bucket, Key=key, **wanted)
    except OSError as error:
        if code_of(error) in _OTHERS:
            raise Changed from error
        raise
    async with answer["Body"] as body:
        facts.check(size=None, version=answer.get("ETag", ""), modified="")
        return _whole(await body.read(), facts, span)


async def file_of_web(files: Any, facts: RemoteFacts, span: Span | None) -> bytes:
    """Return a file or a range of it from a web server, asked for once."""
    async with await _asked(files, facts, span) as answer:
        return _whole(await answer.read(), facts, span)


async def copy_of_web(files: Any, facts: RemoteFacts, target: Path) -> None:
    """Write a whole file of a web server, asked for once, to ``target``."""
    async with await _asked(files, facts, None) as answer:
        with target.open("wb") as file:
            async for piece in answer.content.iter_chunked(_PIECE):
                file.write(piece)
            size = file.tell()
    if facts.size not in {None, size}:
        raise CutShort(got=size, wanted=facts.size or 0)


async def _asked(files: Any, facts: RemoteFacts, span: Span | None) -> Any:
    """Return a web server's answer, before its body, if it is about the file that was listed."""
    wanted = {"Range": _range(span), "If-Match": facts.version if facts.is_strong else ""}
    headers = {name: value for name, value in wanted.items() if value}
    headers["Accept-Encoding"] = "identity"  # a range is one of the file, not of a packed one
    session = await files.set_session()
    answer = await session.get(files.encode_url(facts.key), headers=headers)
    try:
        _judge(files, answer, facts, span)
    except BaseException:
        answer.close()  # perhaps gigabytes are on their way
        raise
    return answer


def _judge(files: Any, answer: Any, facts: RemoteFacts, span: Span | None) -> None:
    """Decide by status and headers whether the body is what was asked for.

    Raises:
        Changed, NoRanges: it is of another version; or all of it, or another part.
        FileNotFoundError, ClientResponseError: there is none.
    """
    first, total = _told_range(answer.headers)
    if answer.status == 412:
        raise Changed
    if answer.status == 416:
        facts.check(size=total, version="", modified="")
        raise NoRanges
    files._raise_not_found_for_status(answer, facts.key)
    size = answer.content_length if answer.status == 200 and not _is_packed(answer) else total
    etag, modified = (answer.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    facts.check(size=size, version=etag, modified=modified)
    if span is not None and (first if answer.status == 206 else 0) != span[0]:
        raise NoRanges
    if span is not None and answer.status != 206 and span[1] != facts.size:
        raise NoRanges


def _told_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return where a part begins and how large its file is, where ``Content-Range`` says so."""
    part, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = part.partition("-")[0]
    return int(first) if first.isdecimal() else None, int(total) if total.isdecimal() else None


def _whole(data: bytes, facts: RemoteFacts, span: Span | None) -> bytes:
    """Return what an answer brought if it is all of it; some connections end silently."""
    wanted = facts.size if span is None else span[1] - span[0]
    if wanted is not None and len(data) < wanted:
        raise CutShort(got=len(data), wanted=wanted)
    return data


def _range(span: Span | None) -> str:
    return "" if span is None else f"bytes={span[0]}-{span[1] - 1}"


def _is_packed(answer: Any) -> bool:
    return answer.headers.get("Content-Encoding", "identity") not in {"", "identity"}
