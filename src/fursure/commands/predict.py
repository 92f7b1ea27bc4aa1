"""A model and what the user pointed at → predictions, streamed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.commands.inputs import Photos, announce_photo
from fursure.engine.predictor import Named, Predictor
from fursure.engine.runtime import BULK
from fursure.errors import NoPhotos, some
from fursure.parallel import begun, chunked
from fursure.prediction import Prediction
from fursure.run import Run
from fursure.system import trim_memory

if TYPE_CHECKING:
    from fursure.cluster.answering import Answering

PredictedRow = tuple[Prediction, NDArray[np.float32] | None]  # of a bad photo there are no features
AnsweredChunk = tuple[list[Prediction], NDArray[np.float32] | None]
TRIM_EVERY = 4096  # photos; a trim takes milliseconds


def predict(
    bundle: Bundle,
    photos: Photos,
    run: Run = Run(),
    *,
    max_error: float | None = None,
    skip: Callable[[str], bool] = lambda _name: False,
    features: bool = True,
) -> Iterator[PredictedRow]:
    """Yield a prediction and the features of each photo, in order, in flat memory.

    ``skip`` says which names an interrupted run has already answered; ``run`` hears what runs the
    network, where there are many photos, and says where: from a cluster ``features`` come only
    where they are asked for. A photo, a folder or an archive that cannot be read is a
    row with its reason.

    Raises:
        NoPhotos: there is nothing at all to answer.
        FursureError: the model or the engine cannot be used.
    """
    with ExitStack() as stack:
        opened = photos.opened_on(stack)
        unanswered = ((name, photo) for name, photo in opened if not skip(name))
        named = begun(unanswered, announce_photo) if run.on is None else unanswered
        head = list(islice(named, BULK))  # enough to know whether this is bulk work
        if not photos.count:
            raise _nothing_in(photos)
        if not head:
            return
        if len(head) == BULK:
            head += islice(named, _more_to_count(bundle, run))
        predictor = Predictor.open(
            bundle,
            engine=run.engine,
            photos=len(head),
            threads=run.threads,
            max_error=max_error,
            gpu=run.on is None,
            say=run.say,
        )
        if len(head) >= BULK:
            from fursure.engine.selftest import about_engine  # one photo starts without it

            name = predictor.network.session.engine
            for sentence in about_engine(name, bundle.model, asked=run.engine, photos=len(head)):
                run.say(sentence)
        every = chain(head, named)
        chunks: Iterator[AnsweredChunk]
        if run.on is None:
            chunks = (
                (predictions, outputs.get("features"))
                for predictions, outputs in predictor.worked(every)
            )
        else:
            from fursure.cluster.answering import Answering  # most never need a cluster

            job = Answering.like(
                predictor, run, photos=len(head), max_error=max_error, features=features
            )
            chunks = _elsewhere(run, job, chunked(every, predictor.at_once))
        for predictions, features_ND in _trimmed(chunks):
            vectors = iter(() if features_ND is None else features_ND)
            for prediction in predictions:
                yield prediction, None if prediction.error is not None else next(vectors, None)


def _trimmed(chunks: Iterator[AnsweredChunk]) -> Iterator[AnsweredChunk]:
    """Yield the chunks, and give back now and then what photos of many sizes left in pieces.

    The C library keeps freed pieces that lie between others, and its heap grows a step whenever
    none of them is large enough: slowly, but for as long as there are photos.
    """
    since = TRIM_EVERY  # what opening the model left goes back as well, after the first chunk
    for chunk in chunks:
        yield chunk
        since += len(chunk[0])
        if since >= TRIM_EVERY:
            trim_memory()
            since = 0


def _more_to_count(bundle: Bundle, run: Run) -> int:
    """Return how many more photos tell whether a graphics processor pays; they are only listed."""
    if run.engine != "auto" or run.on is not None:
        return 0
    from fursure.engine.selftest import photos_to_count

    return photos_to_count(bundle.model) - BULK


def _elsewhere(
    run: Run, job: "Answering", chunks: Iterable[list[Named]]
) -> Iterator[AnsweredChunk]:
    """Yield the predictions and the features of each chunk, in order, from a cluster."""
    from fursure.cluster.answering import answered_on_cluster
    from fursure.cluster.places import by_name

    named = ([by_name(*photo) for photo in chunk] for chunk in chunks)
    for answered in answered_on_cluster(run, job, named):
        yield answered.predictions, answered.features_ND


def _nothing_in(photos: Photos) -> NoPhotos:
    kinds = some(f"{kind}: {count}" for kind, count in photos.passed_over.most_common())
    return NoPhotos(
        some(photos.without, most=3),
        kinds or "nothing at all",
        "name a file itself to have it tried whatever its ending, or another folder or archive.",
    )
