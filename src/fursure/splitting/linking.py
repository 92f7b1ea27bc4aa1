"""A photo and a path → the same photo under that path: linked, or copied where that cannot be."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, final

from fursure.dataset.listing import Source
from fursure.errors import BadData
from fursure.photos.decode import LIMITS
from fursure.rows.photo import Photo

Link = Literal["hard", "symbolic", "copy"]

# What systems say where a link cannot be: another disk, a file of another user, FAT, too many.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EINVAL}
_NO_LINKS |= {errno.ENOTSUP, errno.EOPNOTSUPP}


def content(source: Source, photo: Photo) -> bytes:
    """Return the bytes of a photo that was scanned before.

    Raises:
        FursureError: it is gone, or they are others now.
    """
    data = source.read(photo.path, LIMITS.bytes)
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise changed(photo)
    return data


def changed(photo: Photo) -> BadData:
    """Return the error for a photo that is not what its scan found."""
    return BadData(f"{photo.path} changed while it was being read; run the command again.")


def link_to(origin: Path, target: Path, *, symbolic: bool) -> str | None:
    """Make ``target`` a link to a photo, or return why the system allows none there.

    Raises:
        OSError: the target cannot be written for another reason.
    """
    real = origin.resolve()  # of an original that is itself a link, the file
    try:
        if symbolic:
            target.symlink_to(real)
        else:
            target.hardlink_to(real)
    except NotImplementedError as error:  # a system without such links
        return str(error)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return str(error.strerror)
    return None


@final
class Placer:
    """Puts photos of a source under other paths, and counts how; the source is never changed.

    A member of an archive is no file of its own, so it is always copied.
    """

    def __init__(self, source: Source, link: Link) -> None:
        self.linked = self.copied = 0  # photos
        self.obstacle = ""  # why the first of those that could not be linked was copied
        self._source, self._link = source, link

    def __call__(self, photo: Photo, target: Path) -> None:
        """Make ``target`` this photo, unless it is so already.

        Raises:
            FursureError: the photo is gone, or is no longer what it was.
            OSError: the target cannot be written.
        """
        root = self._source.root
        inside = self._source.prefix or not isinstance(root, Path)
        origin = None if inside else Path(root) / photo.path
        with _naming(target):
            if _is_there(target, photo, origin if self._link != "copy" else None):
                return
            # Never written through: it may be a link to an original.
            target.unlink(missing_ok=True)
            if origin is not None and self._link != "copy" and self._links(origin, target):
                self.linked += 1
                return
            self._copy(photo, target)
            self.copied += 1

    def _links(self, origin: Path, target: Path) -> bool:
        """Make a link, or note why there can be none."""
        obstacle = link_to(origin, target, symbolic=self._link == "symbolic")
        self.obstacle = self.obstacle or obstacle or ""
        return obstacle is None

    def _copy(self, photo: Photo, target: Path) -> None:
        data = content(self._source, photo)
        with target.open("xb") as file:
            file.write(data)


def _is_there(target: Path, photo: Photo, origin: Path | None) -> bool:
    """Return whether ``target`` is a link to ``origin``, or a whole copy of the photo."""
    try:
        if origin is not None and target.samefile(origin):
            return True
        if target.is_symlink():
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == photo.sha256
    except FileNotFoundError:
        return False


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Let an error of the system say which file could not be made, not which one it was to be."""
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise
