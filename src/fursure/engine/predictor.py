"""Photos in, answers out: "cat, 99.3 % sure", "unsure", or "stranger".

Dimension key: N photos, K classes, h w cells of a class activation map.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.bundle.bundle import Bundle
from fursure.engine.batches import is_several, named_photos, pandas_index
from fursure.engine.first_run import check_first_run
from fursure.engine.network import Network
from fursure.engine.parity import check_answers, check_pixels
from fursure.engine.pictures import named_photo
from fursure.engine.runtime import BATCH, BULK, Outputs, Session
from fursure.engine.session import sessions
from fursure.errors import BadImage, EngineFailed
from fursure.parallel import chunked, in_order, tapered
from fursure.photos.decode import decode
from fursure.photos.handed import Decode, opened_photo
from fursure.prediction import Prediction
from fursure.report.answers import SHOWN_ANSWERS, Predictions
from fursure.run import Engine, Say, available_threads, to_nobody
from fursure.stages import stage

_CHUNK = 32  # photos a worker takes at a time in bulk work: whole batches, one look for familiars


class SupportsRead(Protocol):
    """An open file."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""


PhotoLike = str | PathLike[str] | bytes | SupportsRead | Image.Image | NDArray[Any]


Named = tuple[str, Any]  # what a photo is called, and a path, bytes, an image or an array
Stream = Iterator[Prediction]
Watch = Callable[[Sequence[Prediction], Outputs], None]


def _nobody(predictions: Sequence[Prediction], outputs: Outputs) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Predictor:
    """A bundle opened for prediction; safe to share between threads.

    A pickled one opens a session of its own where it is unpickled.
    """

    bundle: Bundle
    network: Network
    threshold: float  # confidence below which the answer is "unsure"
    threads: int

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        engine: Engine = "auto",
        photos: int = 1,
        threads: int | None = None,
        max_error: float | None = None,
        batch: int = BATCH,
        gpu: bool = True,
        say: Say = to_nobody,
    ) -> "Predictor":
        """Load the network for about ``photos`` photos and prove it on the golden inputs.

        ``max_error`` is the share of wrong answers accepted among those given; None takes the
        bundle's own default. OpenVINO takes ``batch`` photos a call, so in small batches a single
        photo is answered sooner. Without ``gpu``, ``auto`` stays on the main processor; ``say``
        hears it if a graphics processor fails later.

        Raises:
            EngineFailed: the engine cannot be used, its golden outputs are wrong, or the network
                asks for too much.
            RiskNotCertified: the model keeps no risk as low as ``max_error``.
        """
        threads = threads or available_threads()
        threshold = bundle.threshold(max_error)
        check_pixels(bundle)
        if not bundle.shipped:
            check_first_run(bundle.model)
        every = sessions(
            bundle.model,
            engine=engine,
            photos=photos,
            threads=threads,
            batch=batch,
            gpu=gpu,
            say=say,
        )
        session = _proven(bundle, every)
        network = Network(session, bundle.meta.preprocess)
        return cls(bundle, network, threshold, threads)

    def __repr__(self) -> str:
        """Return what it is, on one line."""
        return f"Predictor({self.bundle!r}, {self.network.session.engine})"

    def _repr_html_(self) -> str:
        """Return its card, as a notebook shows it."""
        from fursure.report.notebook import model_html

        return model_html(self.bundle.meta, {"engine": self.network.session.engine})

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a copy is made: a session cannot be pickled, what opens one can."""
        session = self.network.session
        engine, photos = session.engine.split(" ")[0], BULK if session.bulk else 1
        return _reopened, (self.bundle, engine, photos, self.threads, self.threshold)

    @overload
    def predict(self, photos: PhotoLike) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, photos: Iterable[Any]) -> Predictions: ...
    def predict(self, photos: PhotoLike | Iterable[Any]) -> Prediction | Predictions:
        """Classify one photo, or any iterable of them in order.

        A photo is a path, bytes, an open binary file, a Pillow image, an array or a tensor of
        uint8 or of floats in [0, 1]. An array of four dimensions is several, and so is a table
        with one column of photos. A photo that cannot be used comes back with its ``error``.

        Raises:
            TypeError: something is no photo at all.
        """
        if not is_several(photos):
            return self.batch([named_photo(photos)])[0][0]
        first: list[Any] = []

        def noted() -> Iterator[Named]:
            for name, photo in named_photos(photos):
                if len(first) < SHOWN_ANSWERS:
                    first.append(photo)
                yield name, photo

        return Predictions(self.stream(noted()), first, pandas_index(photos))

    def predict_proba(self, photos: PhotoLike | Iterable[Any]) -> NDArray[np.float64]:
        """Return the calibrated probabilities (N, K) of ``classes_``, a row a photo.

        Raises:
            BadImage: a photo cannot be used; `predict` would give it a row with its error.
            TypeError: something is no photo at all.
        """
        return self._rows("probs", (len(self.classes_),), photos).astype(np.float64)

    def features(self, photos: PhotoLike | Iterable[Any]) -> NDArray[np.float32]:
        """Return what the encoder sees (N, D), a row a photo.

        Raises:
            BadImage, TypeError: as `predict_proba`.
        """
        return self._rows("features", (self.bundle.meta.features,), photos)

    def heat(self, photos: PhotoLike | Iterable[Any]) -> NDArray[np.float32]:
        """Return the class activation maps (N, h, w): what spoke for each photo's first class.

        The mean of one is that class's logit above the average class's, less the bias.

        Raises:
            EngineFailed: the model has none: its head or its encoder is of another kind.
            BadImage, TypeError: as `predict_proba`.
        """
        return self._rows("heat", (0, 0), photos)

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The labels (K,), in the order of the probabilities."""
        return np.array(self.bundle.meta.labels)

    def _rows(
        self, output: str, shape: tuple[int, ...], photos: PhotoLike | Iterable[Any]
    ) -> NDArray[np.float32]:
        """Return one of the network's outputs, a row a photo; ``shape`` is that of none."""
        named = named_photos(photos) if is_several(photos) else iter([named_photo(photos)])
        parts: list[NDArray[np.float32]] = []
        for predictions, outputs in self.worked(named):
            for prediction in predictions:
                if prediction.error is not None:
                    raise BadImage(prediction.path, prediction.error)
            if output not in outputs:
                raise EngineFailed(
                    f"the model {self.bundle.meta.name!r} has no output {output!r}: only a linear "
                    "head on a convolutional encoder has a class activation map."
                )
            parts.append(outputs[output])
        return np.concatenate(parts) if parts else np.zeros((0, *shape), np.float32)

    def stream(self, photos: Iterable[Named], *, watch: Watch = _nobody) -> Stream:
        """Yield a prediction for each (name, photo), in order, in flat memory.

        A photo may also be a function that returns its bytes; it is called on a worker thread.
        There ``watch`` is called too, with the predictions of each chunk and what the network put
        out for those without an error, a row each.
        """
        for predictions, _ in self.worked(photos, watch):
            yield from predictions

    def worked(
        self, photos: Iterable[Named], watch: Watch = _nobody
    ) -> Iterator[tuple[list[Prediction], Outputs]]:
        """Yield the predictions and the outputs of each chunk, in order."""

        def work(some: Sequence[Named]) -> tuple[list[Prediction], Outputs]:
            predictions, outputs = self.batch(some)
            if outputs:
                watch(predictions, outputs)
            return predictions, outputs

        if not self.network.session.bulk:
            yield from in_order(work, chunked(photos, 1), threads=1)
            return
        workers = self.threads + 1
        chunks = tapered(photos, _CHUNK, least=self.network.session.batch, threads=workers)
        yield from in_order(work, chunks, threads=workers)

    @property
    def at_once(self) -> int:
        """How many photos a worker takes at a time."""
        return _CHUNK if self.network.session.bulk else 1

    def batch(
        self, photos: Sequence[Named], *, decode: Decode = decode
    ) -> tuple[list[Prediction], Outputs]:
        """Classify a few photos on the calling thread; return the network's outputs as well.

        Those have a row for each photo that has no error.
        """
        errors: dict[int, str] = {}
        outputs = self.network(self._decoded(photos, errors, decode))
        with stage("answer", len(photos)):
            answers = iter(list(self.answers(outputs)) if outputs else [])
        predictions = [
            Prediction(path=name, error=errors[row])
            if row in errors
            else Prediction(path=name, **next(answers))
            for row, (name, _) in enumerate(photos)
        ]
        return predictions, outputs

    def _decoded(
        self, photos: Sequence[tuple[str, Any]], errors: dict[int, str], decode: Decode
    ) -> Iterator[Image.Image]:
        """Yield the photos that can be decoded, and note why the others cannot."""
        for row, (name, photo) in enumerate(photos):
            try:
                side = self.network.preprocess.min_side
                yield opened_photo(name, photo, min_side=side, decode=decode).image
            except BadImage as error:
                errors[row] = error.reason

    def answers(self, outputs: Outputs) -> Iterator[dict[str, Any]]:
        """Yield what a `Prediction` says, but for its path, for each row of a network's outputs."""
        probs_NK = np.asarray(outputs["probs"], np.float64)
        familiarity_N = self.bundle.familiar.familiarity(outputs["features"])
        labels = self.bundle.meta.labels
        for probs_K, familiarity in zip(probs_NK, familiarity_N, strict=True):
            top = int(probs_K.argmax())
            confidence = float(probs_K[top])
            yield {
                "answer": self.bundle.answer(
                    labels[top], confidence, float(familiarity), self.threshold
                ),
                "label": labels[top],
                "confidence": confidence,
                "probabilities": dict(zip(labels, probs_K.tolist(), strict=True)),
                "familiarity": float(familiarity),
                "engine": self.network.session.engine,
            }


def _proven(bundle: Bundle, every: Iterable[Session]) -> Session:
    """Return the first session, the fastest, that gives the trainer's answers to golden inputs."""
    failures: list[EngineFailed] = []
    for session in every:
        try:
            check_answers(session, bundle)
            return session
        except EngineFailed as error:
            failures.append(error)
            if not session.engine.startswith("onnxruntime "):
                from fursure.engine import selftest  # it loads what many never use

                # let it run in something slower from now on
                selftest.distrust(bundle.model, session.engine)
    raise failures[0]


def _reopened(
    bundle: Bundle, engine: Engine, photos: int, threads: int, threshold: float
) -> Predictor:
    """Return a predictor as it was when it was pickled."""
    predictor = Predictor.open(bundle, engine=engine, photos=photos, threads=threads)
    return replace(predictor, threshold=threshold)
