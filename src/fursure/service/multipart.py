"""A multipart body, whole in memory → its files: no temporary file, nothing spooled to disk.

Its parts are found by their boundary alone, in one pass: a parser that looks at each byte took
seconds over a form of 400,000 empty fields, or one that nearly repeats its boundary.
"""

from email.message import Message

from python_multipart.multipart import parse_options_header

from fursure.connections.problems import Problem

LONGEST_NAME = 300  # characters of a file's name that are given back
FIELDS = 16  # parts of a form that are no files, at most
HEADERS = 8  # lines of a part, at most
_HEADER = 2048  # bytes of such a line
_LINE = b"\r\n"


def _file_name(disposition: bytes) -> str | None:
    """Return what a part's file is called, None where the part is no file.

    Browsers and curl write ``filename=``; ``filename*=`` alone (RFC 5987), which forms ought not to
    have, is what some clients write for a name beyond ASCII.
    """
    kind, options = parse_options_header(disposition)
    if kind != b"form-data":
        return None
    if b"filename" in options:
        return options[b"filename"].decode("utf-8", "replace")
    message = Message()
    message["content-disposition"] = disposition.decode("latin-1")
    try:
        return message.get_filename()
    except Exception:  # an encoding that is none; pieces of a name with and without a number …
        return "photo"


def files_in(body: bytes, content_type: str, *, most: int) -> list[tuple[str, bytes]]:
    """Return the name and the bytes of every file in a form.

    Raises:
        Problem: the form is damaged, or has more than ``most`` files or none.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:  # RFC 2046
        raise Problem(400, "the form names no boundary of 1 to 70 characters.")
    files: list[tuple[str, bytes]] = []
    for part in _parts(body, boundary, most + FIELDS):
        name, start = _head(body, part)
        if name is None:
            continue  # a field of text: nothing here asks for one
        if len(files) == most:
            raise Problem(413, f"more than {most} photos in one request.")
        files.append((name[:LONGEST_NAME], body[start : part.stop]))
    if not files:
        raise Problem(400, "the form has no file; send one: curl -F file=@photo.jpg ADDRESS.")
    return files


def _parts(body: bytes, boundary: bytes, most: int) -> list[slice]:
    """Return where each part of a form lies, headers included."""
    between = _LINE + b"--" + boundary
    at = len(between) - len(_LINE) if body.startswith(between[2:]) else _after(body, between, 0)
    parts: list[slice] = []
    while not body.startswith(b"--", at):
        if len(parts) == most:
            raise Problem(413, f"more than {most} parts in one form.")
        next_ = _after(body, between, at)
        part = slice(at + len(_LINE), next_ - len(between))
        if not body.startswith(_LINE, at) or part.stop < part.start:
            raise Problem(400, "the form is damaged: a boundary is not a line of its own.")
        parts.append(part)
        at = next_
    return parts


def _after(body: bytes, between: bytes, at: int) -> int:
    place = body.find(between, at)
    if place < 0:
        raise Problem(400, "the form ends before its last boundary.")
    return place + len(between)


def _head(body: bytes, part: slice) -> tuple[str | None, int]:
    """Return a part's file name, if it has one, and where its bytes begin."""
    if body.startswith(_LINE, part.start):  # no headers
        return None, part.start + len(_LINE)
    end = body.find(2 * _LINE, part.start, min(part.stop, part.start + HEADERS * _HEADER))
    if end < 0:
        raise Problem(400, f"a part's headers do not end within {HEADERS * _HEADER} bytes.")
    lines = body[part.start : end].split(_LINE)
    if len(lines) > HEADERS or max(map(len, lines)) > _HEADER:
        raise Problem(400, f"a part has over {HEADERS} headers, or one over {_HEADER} bytes.")
    headers = {key.strip().lower(): value.strip() for key, _, value in (
        line.partition(b":") for line in lines
    )}  # fmt: skip
    return _file_name(headers.get(b"content-disposition", b"")), end + 2 * len(_LINE)
