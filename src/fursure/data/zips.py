"""A zip file → the index of its members.

The standard library reads the central directory; members are read here, because its reader
makes threads wait for each other and keeps half a kilobyte a member.
"""

import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fursure.data.archives import Index, ReadAt
from fursure.errors import BadData, BadImage

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra (APPNOTE 4.3.7)
_ENCRYPTED = 0x1  # general purpose bit 0 (APPNOTE 4.4.4)
_UTF8 = 0x800  # general purpose bit 11


class _Zipped(NamedTuple):
    """A member of a zip file."""

    header: int  # offset of its local header
    packed: int  # bytes in the file
    size: int  # bytes unpacked, as declared
    crc: int
    method: int
    flags: int

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


def index_zip(path: Path, file: BinaryIO) -> Index:
    """Return where the members of a zip file lie.

    Raises:
        BadData: its directory is damaged or missing.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Exception as error:  # hostile bytes raise a dozen kinds
        raise BadData(
            f"{path} begins like a zip archive but its directory is damaged or missing "
            f"({error}); it may be incomplete: copy or download it again."
        ) from None
    index = Index()
    for info in members:
        name = _name(info)
        if stat.S_ISLNK(info.external_attr >> 16):
            index.skipped["link in the archive"] += 1
        elif name.endswith(("/", "\\")):
            index.add(name, None)
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
    return index


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name as it was typed: macOS writes UTF-8 and forgets to say so."""
    if info.flag_bits & _UTF8:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename
