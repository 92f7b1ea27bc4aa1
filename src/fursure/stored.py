"""A zip of a few uncompressed files → an open archive, refused before much of it is read.

Python's own reader takes in the whole directory first: a million names are 7 seconds and half a
gigabyte. What it says about itself stands at its end, and is looked at before.
"""

import os
import struct
import zipfile
from typing import BinaryIO

_END = struct.Struct(
    "<4s4xHHIIH"
)  # signature, members here, members, directory, its place, comment
_LOCATOR = 20  # bytes of what leads to a directory of more than 4 GB (APPNOTE 4.3.15)
A_NAME = 512  # bytes of the directory for a member: far more than our names take


def opened(file: BinaryIO, *, most: int) -> zipfile.ZipFile:
    """Return the archive in ``file``: at most ``most`` members, none compressed or encrypted.

    Raises:
        ValueError: it has more, or other ones.
        zipfile.BadZipFile: it is no zip.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size - _LOCATOR))
    tail = file.read()
    if len(tail) < _END.size or not tail[-_END.size :].startswith(b"PK\5\6"):
        raise zipfile.BadZipFile("its end is missing")
    _, _, members, directory, _, _ = _END.unpack(tail[-_END.size :])
    if tail.startswith(b"PK\6\7") or members > most or directory > most * A_NAME:
        raise ValueError(f"it holds more than the {most} files it may hold")
    archive = zipfile.ZipFile(file)
    for entry in archive.infolist():
        stored = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 0x1
        if not stored or entry.file_size != entry.compress_size:
            raise ValueError(f"{entry.filename[:100]} in it is compressed or encrypted")
        if entry.file_size > size:
            raise ValueError(f"{entry.filename[:100]} in it claims to be larger than the file")
    return archive
