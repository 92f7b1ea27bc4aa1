"""Photos in, answers out: "cat, 99.3 % sure", "unsure", or "stranger".

Dimension key: N photos, K classes, h w cells of a class activation map.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.bundle.bundle import Bundle
from fursure.engine.first_run import check_first_run
from fursure.engine.network import Network
from fursure.engine.parity import check_answers, check_pixels
from fursure.engine.pictures import is_several, named_photo, named_photos
from fursure.engine.runtime import BULK, Outputs, Session
from fursure.engine.session import sessions
from fursure.errors import BadImage, EngineFailed
from fursure.parallel import chunked, in_order
from fursure.photos.decode import LIMITS, Decoded, decode, from_array, from_pil
from fursure.recipe import Engine
from fursure.run import available_threads
from fursure.stages import stage

_CHUNK = 32  # photos a worker takes at a time in bulk work: whole batches, one look for familiars


class SupportsRead(Protocol):
    """An open file."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""


PhotoLike = str | PathLike[str] | bytes | SupportsRead | Image.Image | NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says about one photo; of a bad photo, only ``path`` and ``error``."""

    path: str
    answer: str = ""  # a label, "unsure" or "stranger"
    label: str = ""  # the most probable class, whatever the answer
    confidence: float = float("nan")  # calibrated probability of ``label``, in [0, 1]
    probabilities: dict[str, float] = field(default_factory=dict)  # of every label
    familiarity: float = float("nan")  # share of known photos that are at most as familiar
    engine: str = ""
    error: str | None = None  # why there is no answer

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: of a bad photo only path and error."""
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        return {
            "path": self.path,
            "answer": self.answer,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
            "familiarity": self.familiarity,
            "engine": self.engine,
        }


class Decode(Protocol):
    """What turns bytes into a photo: `decode`, or the same done elsewhere."""

    def __call__(self, data: bytes, *, name: str, min_side: int) -> Decoded:
        """Return the photo, or raise `BadImage`."""


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
    ) -> "Predictor":
        """Load the network for about ``photos`` photos and prove it on the golden inputs.

        ``max_error`` is the share of wrong answers accepted among those given; None takes the
        bundle's own default.

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
        session = _proven(bundle, engine, photos, threads)
        network = Network(session, bundle.meta.preprocess)
        return cls(bundle, network, threshold, threads)

    def __repr__(self) -> str:
        """Return what it is, on one line."""
        return f"Predictor({self.bundle!r}, {self.network.session.engine})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a copy is made: a session cannot be pickled, what opens one can."""
        session = self.network.session
        engine, photos = session.engine.split(" ")[0], BULK if session.bulk else 1
        return _reopened, (self.bundle, engine, photos, self.threads, self.threshold)

    @overload
    def predict(self, photos: PhotoLike) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, photos: Iterable[PhotoLike]) -> list[Prediction]: ...
    def predict(self, photos: PhotoLike | Iterable[PhotoLike]) -> Prediction | list[Prediction]:
        """Classify one photo, or any iterable of them in order.

        A photo is a path, bytes, an open binary file, a Pillow image, an array or a tensor of
        uint8 or of floats in [0, 1]. An array of four dimensions is several. A photo that cannot
        be used comes back with its ``error``.

        Raises:
            TypeError: something is no photo at all.
        """
        if is_several(photos):
            return list(self.stream(named_photos(photos)))  # type: ignore[arg-type]
        return self.batch([named_photo(photos)])[0][0]

    def stream(self, photos: Iterable[tuple[str, Any]], *, watch: Watch = _nobody) -> Stream:
        """Yield a prediction for each (name, photo), in order, in flat memory.

        A photo may also be a function that returns its bytes; it is called on a worker thread.
        There ``watch`` is called too, with the predictions of each chunk and what the network put
        out for those without an error, a row each.
        """

        def work(some: Sequence[tuple[str, Any]]) -> list[Prediction]:
            predictions, outputs = self.batch(some)
            if outputs:
                watch(predictions, outputs)
            return predictions

        size = _CHUNK if self.network.session.bulk else 1
        workers = self.threads + 1 if self.network.session.bulk else 1
        for answers in in_order(work, chunked(photos, size), threads=workers):
            yield from answers

    def batch(
        self, photos: Sequence[tuple[str, Any]], *, decode: Decode = decode
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
                yield self._decode(name, photo, decode).image
            except BadImage as error:
                errors[row] = error.reason

    def _decode(self, name: str, photo: Any, decode: Decode) -> Decoded:
        match photo:
            case Image.Image():
                return from_pil(photo, name=name)
            case np.ndarray():
                return from_array(photo, name=name)
            case _:
                with stage("read", 1):
                    data = _bytes(name, photo)
                with stage("decode", 1):
                    return decode(data, name=name, min_side=self.network.preprocess.min_side)

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


def _proven(bundle: Bundle, engine: Engine, photos: int, threads: int) -> Session:
    """Return the fastest session that gives the trainer's answers to the golden inputs."""
    failures: list[EngineFailed] = []
    for session in sessions(bundle.model, engine=engine, photos=photos, threads=threads):
        try:
            check_answers(session, bundle)
            return session
        except EngineFailed as error:
            failures.append(error)
            if session.engine.startswith("openvino"):
                from fursure.engine import selftest  # it loads what many never use

                selftest.distrust(bundle.model)  # let it run in something slower from now on
    raise failures[0]


def _reopened(
    bundle: Bundle, engine: Engine, photos: int, threads: int, threshold: float
) -> Predictor:
    """Return a predictor as it was when it was pickled."""
    predictor = Predictor.open(bundle, engine=engine, photos=photos, threads=threads)
    return replace(predictor, threshold=threshold)


def _bytes(name: str, photo: Any) -> bytes:
    match photo:
        case BadImage():  # its reader has failed already
            raise photo
        case bytes():
            return photo
        case str() | PathLike():
            return _read(Path(photo))
        case _ if callable(photo):
            return bytes(photo())
    raise TypeError(f"{name} is a {type(photo).__name__}, no path, bytes, image or array")


def _read(path: Path) -> bytes:
    """Return the bytes of a file, refusing what is none or is too large to be a photo."""
    try:
        if not path.is_file():
            raise BadImage(str(path), _why_no_file(path))
        if path.stat().st_size > LIMITS.bytes:
            raise BadImage(str(path), f"larger than {LIMITS.bytes // 2**20} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise BadImage(str(path), f"cannot be read: {error}") from None


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "a folder, not a photo"
    if path.is_symlink():
        return "a broken link: the file it leads to is gone"
    return "a device or a pipe, not a photo" if path.exists() else "no such file"
