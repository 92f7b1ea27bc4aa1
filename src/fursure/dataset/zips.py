"""A zip file → the index of its members.

The standard library reads the central directory; members are read here, because its reader
makes threads wait for each other and keeps half a kilobyte a member.
"""

import codecs
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from fursure.dataset.archives import Index, ReadAt
from fursure.errors import BadData, BadImage, RemoteFailed
from fursure.remote.place import AnyPlace

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra (APPNOTE 4.3.7)
_USUAL_NAMES = 256  # bytes of name and extra field, hardly ever more
_ENCRYPTED = 0x1  # general purpose bit 0 (APPNOTE 4.4.4)
_UTF8 = 0x800  # general purpose bit 11
_UNICODE_PATH = 0x7075  # extra field (APPNOTE 4.6.9)
ENCODING = "FURSURE_ZIP_ENCODING"


class _Zipped(NamedTuple):
    """A member of a zip file."""

    header: int  # offset of its local header
    packed: int  # bytes in the file
    size: int  # bytes unpacked, as declared
    crc: int
    method: int
    flags: int

    @property
    def span(self) -> tuple[int, int]:
        """Its header, whose length stands in it, and its bytes."""
        return self.header, _LOCAL_HEADER.size + _USUAL_NAMES + self.packed

    def content(self, name: str, read_at: ReadAt) -> bytes:
        """Return the unpacked bytes, which must have the declared size and checksum."""
        if self.flags & _ENCRYPTED:
            raise BadImage(name, "encrypted; unpack the archive with its password first")
        if self.method not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise BadImage(name, f"packed by method {self.method}; unpack the archive first")
        # What is packed hardly outgrows its content (by 5 bytes in 16 KiB), unless on purpose.
        if self.packed <= self.size + self.size // 64 + 64:
            data = self._unpacked(read_at)
            if len(data) == self.size and zlib.crc32(data) == self.crc:
                return data
        raise BadImage(name, "damaged in the archive: size or checksum differ")

    def _unpacked(self, read_at: ReadAt) -> bytes:
        header = read_at(self.header, _LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            return b""
        _, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        packed = read_at(self.header + _LOCAL_HEADER.size + name_size + extra_size, self.packed)
        if self.method == zipfile.ZIP_STORED:
            return packed
        try:  # one byte more than declared is enough to see a lie
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, self.size + 1)
        except zlib.error:
            return b""


def index_zip(path: AnyPlace, file: BinaryIO) -> Index:
    """Return where the members of a zip file lie.

    Raises:
        BadData: its directory is damaged or missing.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except RemoteFailed:
        raise
    except Exception as error:  # hostile bytes raise a dozen kinds
        raise BadData(
            f"{path} begins like a zip archive but its directory is damaged or missing "
            f"({error}); it may be incomplete: copy or download it again."
        ) from None
    index = Index()
    names, unknown = _names(members)
    inside = _inside_others(members)
    for row, (name, info) in enumerate(zip(names, members, strict=True)):
        if stat.S_ISLNK(info.external_attr >> 16):
            index.skipped["link in the archive"] += 1
        elif name.endswith(("/", "\\")):
            index.add(name, None)
        elif row in inside:
            index.skipped["member inside another, as in a zip bomb"] += 1
        elif info.header_offset < 0:
            index.skipped["member outside the archive"] += 1
        else:
            member = _Zipped(
                info.header_offset,
                info.compress_size,
                info.file_size,
                info.CRC,
                info.compress_type,
                info.flag_bits,
            )
            index.add(name, member)
    if unknown:
        index.notes.append(
            f"{unknown} names in {path.name} are in no known encoding and are read as cp437; "
            "labels may come from them: --zip-encoding gbk says which, or cp932, cp866 …"
        )
    return index


def _inside_others(members: Sequence[zipfile.ZipInfo]) -> set[int]:
    """Return the rows of members that begin within an earlier one (Fifield, WOOT 2019).

    Thousands of names for the same packed bytes unpack to terabytes, and each of them is small.
    """
    inside, end = set(), 0
    for row in sorted(range(len(members)), key=lambda row: members[row].header_offset):
        start = members[row].header_offset
        if start < end:
            inside.add(row)
        end = max(end, start + _LOCAL_HEADER.size + members[row].compress_size)
    return inside


def _zip_encoding() -> str | None:
    """Return the encoding that the user says names are in: `ENCODING`, an environment variable.

    Raises:
        BadData: there is no such encoding.
    """
    if not (chosen := os.environ.get(ENCODING)):
        return None
    try:
        codecs.lookup(chosen)
    except LookupError:
        raise BadData(
            f"there is no encoding {chosen!r}; names in a zip are often in gbk, cp932, big5, "
            "cp949, cp866 or cp1252."
        ) from None
    return chosen


def _names(members: Sequence[zipfile.ZipInfo]) -> tuple[list[str], int]:
    """Return the names as they were typed, and how many of them nobody says how to read.

    macOS writes UTF-8 and forgets to say so; then every name is UTF-8, while a word in GBK may be
    UTF-8 by chance.
    """
    names = [_told(info) for info in members]
    written = {
        row: info.orig_filename.encode("cp437")
        for row, info in enumerate(members)
        if names[row] is None
    }
    for encoding in (_zip_encoding(), "utf-8"):
        if encoding is not None:
            with suppress(UnicodeError):
                read = {row: name.decode(encoding) for row, name in written.items()}
                return [read.get(row) or name or "" for row, name in enumerate(names)], 0
    raw = (info.orig_filename for info in members)
    return [name or other for name, other in zip(names, raw, strict=True)], len(written)


def _told(info: zipfile.ZipInfo) -> str | None:
    """Return a name whose encoding the archive states, in one of two ways."""
    name = info.orig_filename
    if info.flag_bits & _UTF8 or name.isascii():
        return name
    return _unicode_path(info.extra, name.encode("cp437"))


def _unicode_path(extra: bytes, written: bytes) -> str | None:
    """Return the name in Info-ZIP's Unicode Path field, if it belongs to the one ``written``."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(body) > 5:
            with suppress(UnicodeError):
                if int.from_bytes(body[1:5], "little") == zlib.crc32(written):
                    return body[5:].decode()
    return None
