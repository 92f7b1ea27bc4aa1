"""What the user pointed at → predictions, streamed: files, folders, globs, archives, stdin."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from fursure.bundle import Bundle
from fursure.data.destinations import safe_name
from fursure.data.layout import iter_photos
from fursure.data.listing import Source
from fursure.data.naming import PHOTO_SUFFIXES
from fursure.data.sources import open_source
from fursure.engine.predictor import Prediction, Predictor
from fursure.engine.session import BULK
from fursure.errors import BadData, FursureError
from fursure.images.decode import LIMITS
from fursure.recipe import Engine
from fursure.workflows.notes import about_engine

Named = tuple[str, Any]  # what a photo is called, and what `Predictor.stream` takes


@dataclass(frozen=True, slots=True)
class Photos:
    """The photos behind a command line's arguments, found as they are read."""

    inputs: Sequence[str]
    stdin: BinaryIO | None = None  # read for the input "-"

    def opened_on(self, stack: ExitStack) -> Iterator[Named]:
        """Yield every photo; what must be open to read it closes with ``stack``."""
        for given in self.inputs:
            yield from self._one(given, stack)

    def _one(self, given: str, stack: ExitStack) -> Iterator[Named]:
        if given == "-":
            if self.stdin is None:
                raise BadData("'-' reads one photo from standard input, and there is none.")
            yield "-", self.stdin.read(LIMITS.bytes + 1)
            return
        path = Path(given)
        if not path.exists() and (found := sorted(glob.glob(given, recursive=True))):  # noqa: PTH207 - absolute too
            for match in found:
                yield from self._one(match, stack)
        elif _is_photo_file(path):
            yield given, path
        else:
            source = stack.enter_context(open_source(path))
            for name in iter_photos(source):
                yield _shown(given, source, name), partial(source.read, name, LIMITS.bytes)


def _is_photo_file(path: Path) -> bool:
    """Return whether ``path`` is taken as a photo: by its extension, also where it is missing."""
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.is_dir()


def _shown(given: str, source: Source, name: str) -> str:
    """Return how a photo of a source is named: reachable from here, or ``archive!member``."""
    if source.prefix:
        return str(Path(given).parent / name) if Path(given).parent != Path() else name
    return os.path.join(given, name) if Path(given).is_dir() else str(source.root / name)  # noqa: PTH118


def predict(
    bundle: Bundle,
    photos: Photos,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    skip: Callable[[str], bool] = lambda _name: False,
    say: Callable[[str], None] = lambda _sentence: None,
) -> Iterator[Prediction]:
    """Yield a prediction for each photo, in order, in flat memory.

    ``skip`` says which names an interrupted run has already answered; ``say`` hears what runs the
    network, where there are many photos.

    Raises:
        FursureError: an input is missing or cannot be read at all; a bad photo is a row.
    """
    with ExitStack() as stack:
        found = photos.opened_on(stack)
        named = ((name, photo) for name, photo in found if not skip(name))
        head = list(islice(named, BULK))  # enough to know whether this is bulk work
        if not head:
            return
        predictor = Predictor.open(
            bundle, engine=engine, photos=len(head), threads=threads, max_error=max_error
        )
        name = predictor.network.session.engine
        for sentence in about_engine(name, bundle.model, asked=engine, photos=len(head)):
            say(sentence)
        yield from predictor.stream(chain(head, named))


class Sorter:
    """Links each photo into ``folder``/answer/, so that a file manager shows the result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, prediction: Prediction) -> None:
        """Link one photo; nothing of the user's is moved or copied, and nothing overwritten.

        Raises:
            FursureError: the photo is no file of its own, or the link cannot be made.
        """
        path = Path(prediction.path)
        if prediction.error is not None:
            return
        if not path.is_file():
            raise BadData(
                f"{prediction.path} is no file of its own, so it cannot be linked into "
                f"{self.folder}; unpack the archive, or leave --sort-into out."
            )
        target = path.resolve()
        place = self.folder / safe_name(prediction.answer)
        try:
            place.mkdir(parents=True, exist_ok=True)
            for number in range(1, 10_000):
                stem = path.stem if number == 1 else f"{path.stem}~{number}"
                link = place / f"{stem}{path.suffix}"
                if link.is_symlink() and link.resolve() == target:
                    return  # an earlier run made it
                if not link.is_symlink() and not link.exists():
                    link.symlink_to(target)
                    return
        except OSError as error:
            raise FursureError(f"cannot link {path} into {place}: {error}.") from None


def find_model(name: str | None) -> Bundle:
    """Return the bundle of that path, or of that name in the package; None is `pets`.

    Raises:
        BadBundle: there is none, or it is damaged.
    """
    from fursure.bundle import shipped, shipped_names

    if name is None:
        return shipped("pets")
    if name in shipped_names() and not Path(name).exists():
        return shipped(name)
    return Bundle.read(Path(name))
