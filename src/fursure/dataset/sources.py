"""A path the user typed → an open `Source`."""

import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO, cast

from fursure.annotations.columnar import ColumnTable, is_columnar
from fursure.annotations.exports import export_names, export_of
from fursure.annotations.opening import is_text_of_exports
from fursure.annotations.pictures import ColumnPictures
from fursure.annotations.shards import (
    copied_tables,
    file_name,
    is_lone_table,
    names_in,
    shards_below,
    shards_in,
    tables_in,
)
from fursure.dataset.archives import Archive, Index, RowMember, Shards, StoredMember
from fursure.dataset.folders import Folder
from fursure.dataset.listing import Source
from fursure.dataset.naming import RAW_SUFFIXES, TABLE_SUFFIXES, junk, suffix
from fursure.dataset.tables import Table
from fursure.dataset.tars import COMPRESSIONS, decompressed, index_tar, is_tar
from fursure.dataset.zips import index_zip
from fursure.errors import BadData, SourceNotFound
from fursure.formats.table import is_photo_suffix, recognise
from fursure.formats.tiff import TIFF
from fursure.remote.blocks import RemoteFile
from fursure.remote.folder import RemoteFolder
from fursure.remote.place import AnyPlace, RemotePath, remote_place
from fursure.remote.store import RemoteStore, pinned_place, store_of
from fursure.webdataset import shard_names, tars_among

_PART = re.compile(  # some.zip.001, some.tar.gz.00, some.z01, some.part1.rar
    r"\.(?:(?:zip|7z|rar|tar|tgz|gz|bz2|xz)\.(\d{2,4})|[zr](\d{2})|part(\d+)\.rar)$", re.IGNORECASE
)
_OPENING = 16 << 20  # bytes of a file that tell whose export it is
_FOREIGN = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"%PDF": "a PDF document",
    b"FEA1": "an Arrow table of the oldest kind (write it anew with pyarrow)",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"SQLite format 3": "a SQLite database",
}


def open_source(path: str | PathLike[str]) -> Source:
    """Open a folder, a table, an archive, numbered shards or a single photo for reading.

    A URL means what lies in a bucket or on a web server.

    A file is what its content says; an extension only tells tables from other texts, and a
    photo's extension is believed, so that the decoder is the one to say what is wrong with it.
    Close the source, or use ``with``.

    Raises:
        SourceNotFound: nothing lies at that path.
        BadData: it is of no kind fursure can read, or damaged.
        RemoteFailed: it lies elsewhere and cannot be had.
    """
    if (names := shard_names(fspath(path))) is not None and not Path(path).exists():
        if (place := remote_place(path)) is None:
            return _shards(Path(path), Path(path).parent, names)
        place = pinned_place(place)
        shards = [replace(place, path=name) for name in shard_names(place.path) or ()]
        return _shards(place, place.parent, shards)
    if (place := remote_place(path)) is not None:
        store = store_of(place).pinned()
        return _open_remote(store.place, store)
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _folder(path)
        if not stat.S_ISREG(mode):
            raise BadData(f"{path} is a device or a pipe; give a file or a folder.")
        if is_photo_suffix(path.suffix.lower()):
            return Folder(path.parent, only=path.name)
        with path.open("rb") as file:
            head = file.read(512)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFound(path) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise BadData(f"{path} cannot be opened ({error}); give a file you may read.") from None
    return _open_file(path, head)


def holds_photos(path: Path) -> bool:
    """Return whether ``path`` is a folder, an archive or a table, not one photo to be tried.

    A photo's extension is believed; of any other file the content decides. What cannot even be
    opened is to be tried as a photo: that says why.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or is_photo_suffix(path.suffix.lower()):
            return stat.S_ISDIR(mode)
        if path.suffix.lower() in TABLE_SUFFIXES or _PART.search(path.name):
            return True
        with path.open("rb") as file:
            head = file.read(512)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    packed = _is_zip(head) or head.startswith(tuple(COMPRESSIONS)) or is_tar(head)
    return packed or is_columnar(head) or _is_export(path, head)


def is_camera_raw(path: Path) -> bool:
    """Return whether a file is a camera's raw one: by its extension, unless its bytes deny it.

    Raw photos are TIFFs or of a format of their own; what is a JPEG was given a wrong name.
    """
    try:
        if path.suffix.lower() not in RAW_SUFFIXES or not path.is_file():
            return False
        with path.open("rb") as file:
            return recognise(file.read(512)) in {None, TIFF}
    except (OSError, ValueError):
        return False


def _open_file(path: Path, head: bytes) -> Source:
    """Open the file that begins with ``head``."""
    if recognise(head) or head[4:8] == b"ftyp":  # of a video, the decoder says so
        return Folder(path.parent, only=path.name)
    if _is_zip(head):
        return _zip(path)
    for magic in COMPRESSIONS:
        if head.startswith(magic):
            return _archive(path, decompressed(path, magic, path.open("rb")), index_tar)
    if is_tar(head):
        return _archive(path, path.open("rb"), index_tar)
    if is_columnar(head):
        return _columnar(ColumnTable([(path, "")], str(path)), path)
    if path.suffix.lower() in TABLE_SUFFIXES or _is_export(path, head):
        return _table(path)
    if part := _PART.search(path.name):
        raise _only_a_part(path, part)
    raise BadData(
        f"{path} holds {_described(head)}, which is no data set; give a folder, a .zip, a .tar, "
        f"a .csv, .tsv, .jsonl, .parquet or .arrow table, or an export: {export_names()}."
    )


def _table(path: Path, columnar: ColumnTable | None = None) -> Table:
    folders = [f"{child.name}/" for child in sorted(path.parent.iterdir()) if child.is_dir()]
    inner = Folder(path.parent, anywhere=True)
    return Table(inner, path.name, folders, anywhere=True, columnar=columnar)


def _folder(path: Path) -> Source:
    """Open a folder of photos, or of the shards of a set."""
    if shards := shards_in(path):
        whole = path.absolute()
        columnar = ColumnTable(shards, str(whole))
        if columnar.pictures is not None:
            return _columnar(columnar, whole)
        if not any(map(is_lone_table, shards)):  # one of paths, which counts after class folders
            return _table(whole / file_name(shards[0]), columnar)
    if tars := _tars_alone(names_in(path)):
        return _shards(path, path, [path / name for name in tars])
    return Folder(path)


def _zip(path: Path) -> Source:
    """Open a zip of photos, or of tables that hold them."""
    archive = _archive(path, path.open("rb"), index_zip)
    try:
        names = [name.removeprefix(archive.prefix) for name in archive.names()]
        photos = any(not name.endswith("/") and junk(name) is None for name in names)
        if photos or not (tables := tables_in(names, path)):
            return archive
    except BadData:
        archive.close()
        raise
    archive.close()
    copies = tempfile.TemporaryDirectory(prefix="fursure-")
    try:
        return _columnar(ColumnTable(copied_tables(path, tables, copies), str(path), copies), path)
    except BaseException:
        copies.cleanup()
        raise


def _columnar(columnar: ColumnTable, path: Path) -> Table:
    """Open a table whose rows hold photos, or only their paths."""
    if columnar.pictures is None:
        return _table(path, columnar)
    return Table(_copied_pictures(path, columnar), path.name, columnar=columnar)


def _copied_pictures(path: AnyPlace, columnar: ColumnTable) -> Archive:
    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - its reader closes it
    return _archive(path, copy, lambda _path, file: _copied(columnar, file))


def _copied(columnar: ColumnTable, file: BinaryIO) -> Index:
    """Write every picture of a table to ``file``, where it can be read in any order."""
    index = Index()
    for name, data in columnar.photos():
        index.add(name, StoredMember(file.tell(), len(data)))
        try:
            file.write(data)
        except OSError as error:
            raise BadData(
                f"the photos of the table cannot be written to {tempfile.gettempdir()} ({error}); "
                "set TMPDIR to a disk with space."
            ) from None
    file.flush()
    return index


def _is_export(path: Path, head: bytes) -> bool:
    """Return whether a file labels photos, as far as its first part tells."""
    if not is_text_of_exports(head):
        return False
    with path.open("rb") as file:
        return export_of(file.read(_OPENING)) is not None


def _tars_alone(names: Iterable[str]) -> list[str]:
    """Return the shards of a divided set, if neither photos nor folders lie beside them."""
    shown = [name for name in names if not name.startswith(".")]
    others = any("/" in name or is_photo_suffix(suffix(name)) for name in shown)
    return [] if others else tars_among(shown)


def _shards(path: AnyPlace, root: AnyPlace, names: Sequence[str | AnyPlace]) -> Shards:
    """Open every shard of a numbered row, or of a folder.

    Raises:
        BadData: one is missing, cut short, or no archive.
    """
    with ExitStack() as stack:
        archives = []
        for name in names:
            source = stack.enter_context(open_source(name))
            if not isinstance(source, Archive):
                raise BadData(f"{source.path} is no archive; a row of shards is of .tar or .zip.")
            archives.append(source)
        stack.pop_all()
    return Shards(path, root, archives)


def _open_remote(place: RemotePath, store: RemoteStore) -> Source:
    """Open what lies in a bucket or on a web server: by its content, as `open_source` does."""
    key = store.key_of(place)
    is_photo = is_photo_suffix(place.suffix.lower())
    if place.suffix.lower() in TABLE_SUFFIXES:
        return _remote_table(place, store)
    if (facts := None if store.is_web and key.endswith("/") else store.facts(key)) is None:
        return _remote_folder(place, store)
    if is_photo:
        return RemoteFolder(store, place.parent, only=facts)
    file = RemoteFile(store, facts)
    try:
        head = file.read_at(0, 512)
        if store.is_web and _is_page(head):
            file.close()
            return _remote_folder(place, store)
        if recognise(head) or head[4:8] == b"ftyp":
            file.close()
            return RemoteFolder(store, place.parent, only=facts)
        if is_columnar(head):
            source: Source = _remote_columnar(ColumnTable([(file, "")], str(place)), place, store)
        else:
            source = Archive(place, *_remote_index(place, file, head))
    except BaseException:
        file.close()
        raise
    return source


def _remote_folder(place: RemotePath, store: RemoteStore) -> Source:
    """Open a folder elsewhere: of photos, or of a table's shards."""
    folder = RemoteFolder(store, place)
    files = folder.files()
    if shards := shards_below(files, place):
        ranged = [(RemoteFile(store, files[name], place / name), part) for name, part in shards]
        columnar = ColumnTable(ranged, str(place))
        if columnar.pictures is not None:
            folder.close()
            return _remote_columnar(columnar, place, store)
        if not any(map(is_lone_table, ranged)):  # one of paths, which counts after class folders
            folder.close()
            return _remote_table(place / file_name(ranged[0]), store, columnar)
        columnar.close()
    if tars := _tars_alone(files):
        folder.close()
        return _shards(place, place, [place / name for name in tars])
    return folder


def _remote_table(
    place: RemotePath, store: RemoteStore, columnar: ColumnTable | None = None
) -> Table:
    """Open a table elsewhere; beside one on a web server, photos are believed to be there."""
    folder = RemoteFolder(store, place.parent, blind=store.is_web)
    tops = [] if store.is_web else [name for name in folder.names() if name.count("/") == 1]
    folders = [name for name in tops if name.endswith("/")]
    return Table(folder, place.name, folders, columnar=columnar)


def _remote_columnar(columnar: ColumnTable, place: RemotePath, store: RemoteStore) -> Table:
    """Open a table of columns elsewhere, whose pictures are fetched when they are read.

    Arrow's files do not say where their rows lie, so their pictures are copied.
    """
    if columnar.pictures is None:
        return _remote_table(place, store, columnar)
    pictures = ColumnPictures(columnar, columnar.row_groups())
    if not pictures.rows:
        return Table(_copied_pictures(place, columnar), place.name, columnar=columnar)
    index = Index()
    for row, name in enumerate(columnar.names(pictures.rows)):
        index.add(name or "", RowMember(pictures, row))
    return Table(Archive(place, pictures, index), place.name, columnar=columnar)


def _remote_index(
    place: RemotePath, file: RemoteFile, head: bytes
) -> tuple[BinaryIO | RemoteFile, Index]:
    """Return what an archive's members are read from, and where they lie.

    A zip says at its end what lies where. A tar is walked from one end to the other, so it is
    copied: reading its headers by ranges, and then its photos, would cost more.
    """
    if _is_zip(head):
        return file, index_zip(place, file.reader())
    for magic in COMPRESSIONS:
        if head.startswith(magic):
            tar = decompressed(place, magic, file.copied())
            file.close()
            return tar, index_tar(place, tar)
    if is_tar(head):
        return file, index_tar(place, file.copied())
    raise BadData(
        f"{place} holds {_described(head)}, which is no data set; "
        "give a folder, a .zip, a .tar, or a .csv, .tsv, .jsonl, .parquet or .arrow table."
    )


def _is_page(head: bytes) -> bool:
    return head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))


def _archive(
    path: AnyPlace, file: BinaryIO, index: Callable[[AnyPlace, BinaryIO], Index]
) -> Archive:
    try:
        return Archive(path, file, index(path, file))
    except BaseException as error:
        file.close()
        if isinstance(error, BadData) and (part := _PART.search(path.name)):
            raise _only_a_part(path, part) from None
        raise


def _only_a_part(path: AnyPlace, part: re.Match[str]) -> BadData:
    number = next(filter(None, part.groups()))
    return BadData(
        f"{path} is part {int(number)} of a split archive; join the parts first, as in "
        f"cat {path.name[: part.start(part.lastindex or 0)]}* > whole.zip (on Windows: copy /b), "
        "or unpack them with the program that made them."
    )


def _is_zip(head: bytes) -> bool:
    return head.startswith((b"PK\3\4", b"PK\5\6"))  # the second one is an empty archive


def _described(head: bytes) -> str:
    """Say what a file begins with, for someone whose download went wrong."""
    if not head:
        return "nothing (it is empty)"
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            return kind
    text = head[:40].decode("utf-8", "ignore").split("\n")[0].strip()
    return f"text ({text!r} …)" if text.isprintable() and text else "bytes of an unknown kind"
