"""A model and what the user pointed at → predictions, streamed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path

from fursure.bundle import Bundle
from fursure.data.destinations import safe_name
from fursure.engine.predictor import Prediction, Predictor
from fursure.engine.session import BULK
from fursure.errors import NoPhotos, some
from fursure.recipe import Engine
from fursure.workflows.inputs import Photos


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
    network, where there are many photos. A photo, a folder or an archive that cannot be read is a
    row with its reason.

    Raises:
        NoPhotos: there is nothing at all to answer.
        FursureError: the model or the engine cannot be used.
    """
    with ExitStack() as stack:
        found = photos.opened_on(stack)
        named = ((name, photo) for name, photo in found if not skip(name))
        head = list(islice(named, BULK))  # enough to know whether this is bulk work
        if not photos.count:
            raise _nothing_in(photos)
        if not head:
            return
        predictor = Predictor.open(
            bundle, engine=engine, photos=len(head), threads=threads, max_error=max_error
        )
        if len(head) >= BULK:
            from fursure.workflows.notes import about_engine  # one photo starts without it

            name = predictor.network.session.engine
            for sentence in about_engine(name, bundle.model, asked=engine, photos=len(head)):
                say(sentence)
        yield from predictor.stream(chain(head, named))


def _nothing_in(photos: Photos) -> NoPhotos:
    kinds = some(f"{kind}: {count}" for kind, count in photos.passed_over.most_common())
    return NoPhotos(
        some(photos.without, most=3),
        kinds or "nothing at all",
        "name a file itself to have it tried whatever its ending, or another folder or archive.",
    )


class Sorter:
    """Links each photo into ``folder``/answer/, so that a file manager shows the result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, prediction: Prediction) -> str | None:
        """Link one photo, or return why it cannot be.

        Nothing of the user's is moved or copied, and nothing overwritten.
        """
        path = Path(prediction.path)
        if prediction.error is not None:
            return None
        if not path.is_file():
            return "it is no file of its own"
        try:
            self._link(path, self.folder / safe_name(prediction.answer))
        except OSError as error:
            return str(error.strerror or error)
        return None

    def _link(self, path: Path, place: Path) -> None:
        target = path.resolve()
        place.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            stem = path.stem if number == 1 else f"{path.stem}~{number}"
            link = place / f"{stem}{path.suffix}"
            if link.is_symlink() and link.resolve() == target:
                return  # an earlier run made it
            if not link.is_symlink() and not link.exists():
                link.symlink_to(target)
                return


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
