"""A tar file, compressed or not → the index of its members."""

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO, cast

from fursure.dataset.archives import Index, StoredMember
from fursure.errors import BadData
from fursure.remote.place import AnyPlace

Decompressing = gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
COMPRESSIONS: Mapping[bytes, Callable[[BinaryIO], Decompressing]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_LARGEST_HEADER = 1 << 20  # bytes; a long name needs a few hundred
_BLOCK = 1 << 20  # bytes decompressed at a time
_FREE = 1 << 30  # bytes any archive may grow to; beyond, a bomb is what grows more than ...
_RATIO = 20  # ... so many times: photos hardly shrink at all


class _Headers:
    """Shows ``tarfile`` headers only, and each once.

    A header that claims to be gigabytes long would be read whole, and one of negative size would
    be read for ever (CVE-2025-8194).
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell, self.close, self.write = file.tell, file.close, file.write

    def read(self, size: int, /) -> bytes:
        if size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)

    def seek(self, position: int, /) -> None:
        if position < self._file.tell() - 1:  # one byte is reread, to see whether it is there
            raise tarfile.ReadError("a member of negative size")
        self._file.seek(position)


def index_tar(path: AnyPlace, file: BinaryIO) -> Index:
    """Return where the members of an uncompressed tar file lie.

    Raises:
        BadData: it is damaged, or ends too early.
    """
    index = Index()
    file.seek(0)
    try:
        with tarfile.open(fileobj=_Headers(file), mode="r:", errors="surrogateescape") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or 100,000 stay in memory
                _add(index, info)
            file.seek(archive.offset)
            if file.read(512).strip(b"\0"):  # tarfile takes a damaged header for the end
                raise tarfile.ReadError(f"no header at byte {archive.offset:,}")
    except Exception as error:  # hostile bytes raise a dozen kinds
        raise BadData(
            f"{path} is not a whole tar archive ({error}); "
            "it may be incomplete: copy or download it again."
        ) from None
    return index


def _add(index: Index, info: tarfile.TarInfo) -> None:
    if info.isdir():
        index.add(info.name, None)
    elif info.issparse():
        index.skipped["sparse file"] += 1
    elif info.isfile():
        index.add(info.name, StoredMember(info.offset_data, info.size))
    else:
        links = info.issym() or info.islnk()
        index.skipped["link in the archive" if links else "not a regular file"] += 1


def decompressed(path: AnyPlace, magic: bytes, file: BinaryIO) -> BinaryIO:
    """Return the tar inside a compressed file, as a temporary file that vanishes when closed.

    Raises:
        BadData: it is damaged, holds no tar, or grows as no photos would.
    """
    tar = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - its reader closes it
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        with file, COMPRESSIONS[magic](file) as stream:
            _copy(path, size, stream, tar)
    except BaseException as error:
        tar.close()
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the data's
            raise BadData(
                f"{path} cannot be decompressed to {tempfile.gettempdir()} ({error}); "
                "unpack it yourself and give the folder, or set TMPDIR to a disk with space."
            ) from None
        if isinstance(error, EOFError | OSError | zlib.error | lzma.LZMAError):
            raise BadData(
                f"{path} cannot be decompressed ({error}); "
                "it may be incomplete: copy or download it again."
            ) from None
        raise
    return tar


def _copy(path: AnyPlace, size: int, stream: Decompressing, tar: BinaryIO) -> None:
    most, written = _FREE + _RATIO * size, 0
    while block := stream.read(_BLOCK):
        if not written and not is_tar(block):
            raise BadData(
                f"{path} is a compressed file but no tar archive is inside; "
                "give a .zip, a .tar, or the unpacked folder."
            )
        written += len(block)
        if written > most:
            raise BadData(
                f"{path} grows beyond {most:,} bytes when decompressed, as photos never do; "
                "unpack it yourself and give the folder."
            )
        tar.write(block)


def is_tar(head: bytes) -> bool:
    """Return whether the first bytes are those of a tar archive, of the old kind too."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
