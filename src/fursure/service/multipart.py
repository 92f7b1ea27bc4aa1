"""A multipart body, whole in memory → its files: no temporary file, nothing spooled to disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field

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
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"filename" not in options:
            return  # a field of text: nothing here asks for one
        if len(self.files) == self.most:
            raise Problem(413, f"more than {self.most} photos in one request.")
        name = options[b"filename"].decode("utf-8", "replace")[:LONGEST_NAME]
        self.files.append((name, b"".join(self._pieces)))

    def finish(self) -> None:
        self.ended = True

    def _check(self, line: bytearray) -> None:
        if len(line) > HEADER:
            raise Problem(400, f"a header of the form is longer than {HEADER} bytes.")


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
        raise Problem(400, "the form has no file; send one as files=@photo.jpg.")
    return reader.files


def _pieces(body: bytes, size: int = 1 << 16) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
