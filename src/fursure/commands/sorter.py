"""Predictions → a folder with one folder an answer, for a file manager to show the result."""

import filecmp
import shutil
from collections import Counter
from pathlib import Path

from fursure.errors import counted
from fursure.files import replacing
from fursure.prediction import Prediction
from fursure.splitting.destinations import safe_name
from fursure.splitting.linking import link_to


class Sorter:
    """Links each photo into ``folder``/answer/: symbolically, else as a hard link, else as a copy.

    Windows lets few users make symbolic links, and FAT knows no links at all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instead: Counter[str] = Counter()  # photos that got no symbolic link, by what they got
        self.obstacle = ""  # why the first of them did not

    def __call__(self, prediction: Prediction) -> str | None:
        """Link one photo, or return why it cannot be.

        Nothing of the user's is moved or changed, and nothing overwritten.
        """
        path = Path(prediction.path)
        if prediction.error is not None:
            return None
        if not path.is_file():
            return "it is no file of its own"
        try:
            place = self.folder / safe_name(prediction.answer)
            place.mkdir(parents=True, exist_ok=True)
            self._put(path, place)
        except OSError as error:
            return str(error.strerror or error)
        return None

    def sentence(self) -> str | None:
        """Return what those got that could not be linked symbolically, None where all were."""
        if not self.instead:
            return None
        links, copies = self.instead["hard link"], self.instead["copy"]
        parts = [counted(links, "hard link")] * bool(links)
        parts += [counted(copies, "copy", "copies")] * bool(copies)
        made = " and ".join(parts)
        return f"no symbolic links in {self.folder} ({self.obstacle}): made {made} instead"

    def _put(self, path: Path, place: Path) -> None:
        for number in range(1, 10_000):
            stem = path.stem if number == 1 else f"{path.stem}~{number}"
            target = place / f"{stem}{path.suffix}"
            if target.is_symlink() or target.exists():
                if _is_same(target, path):
                    return  # an earlier run put it there
                continue
            self._make(path, target)
            return

    def _make(self, path: Path, target: Path) -> None:
        obstacle = link_to(path, target, symbolic=True)
        if obstacle is None:
            return
        how = "hard link"
        if link_to(path, target, symbolic=False) is not None:
            _copy(path, target)
            how = "copy"
        self.instead[how] += 1
        self.obstacle = self.obstacle or obstacle


def _is_same(target: Path, photo: Path) -> bool:
    """Return whether ``target`` is a link to the photo, or a copy of it."""
    try:
        return target.samefile(photo) or (not target.is_symlink() and filecmp.cmp(target, photo))
    except OSError:  # a link whose photo is gone
        return False


def _copy(photo: Path, target: Path) -> None:
    with photo.open("rb") as source, replacing(target) as part:
        shutil.copyfileobj(source, part, 2**20)
    shutil.copystat(photo, target)  # its date, by which the next run knows it
