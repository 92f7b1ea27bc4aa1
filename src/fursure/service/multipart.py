"""A multipart body, whole in memory → its files: no temporary file, nothing spooled to disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from fursure.service.problems import Problem

LONGEST_NAME = 300  # characters of a file's name that are given back
HEADERS = 8  # lines of a part, at most
HEADER = 2048  # bytes of such a line's name or value


@dataclass(slots=True)
class _Reader:
    """What the parser tells, part by part."""

    most: int  # files
    files: list[tuple[str, bytes]] = field(default_factory=list)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _pieces: list[bytes] = field(default_factory=list)
    ended: bool = False

    def begin(self) -> None:
        self._headers, self._pieces = {}, []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check(self._name)

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check(self._value)

    def header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()
        if len(self._headers) > HEADERS:
            raise Problem(400, f"a part of the form has more than {HEADERS} headers.")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def end(self) -> None:
        name = _file_name(self._headers.get(b"content-disposition", b""))
        if name is None:
            return  # a field of text: nothing here asks for one
        if len(self.files) == self.most:
            raise Problem(413, f"more than {self.most} photos in one request.")
        self.files.append((name[:LONGEST_NAME], b"".join(self._pieces)))

    def finish(self) -> None:
        self.ended = True

    def _check(self, line: bytearray) -> None:
        if len(line) > HEADER:
            raise Problem(400, f"a header of the form is longer than {HEADER} bytes.")


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
    except ValueError:  # an encoding that is none, or not of text
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
    reader = _Reader(most)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reader.begin,
                "on_part_data": reader.data,
                "on_part_end": reader.end,
                "on_header_field": reader.header_name,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_end": reader.finish,
            },
        )
        for piece in _pieces(body):
            parser.write(piece)
        parser.finalize()
    except MultipartParseError as error:
        raise Problem(400, f"the form is damaged: {error}") from None
    if not reader.ended:
        raise Problem(400, "the form ends before its last boundary.")
    if not reader.files:
        raise Problem(400, "the form has no file; send one: curl -F file=@photo.jpg ADDRESS.")
    return reader.files


def _pieces(body: bytes, size: int = 1 << 16) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
