"""Bundles by name, opened, each with its workers; swapped whole or not at all."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model, short_name
from fursure.connections.limits import ServiceLimits
from fursure.connections.memory import Memory
from fursure.connections.problems import Problem
from fursure.connections.turns import Desk
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import BATCH, BULK, Pixels, Session
from fursure.errors import BadData, EngineFailed
from fursure.photos.apart import LARGE_PHOTO, ChildDecoder
from fursure.photos.cost import cost
from fursure.photos.decode import Decoded, decode
from fursure.photos.handed import Decode
from fursure.prediction import Prediction
from fursure.run import Engine
from fursure.service.batching import Batcher

# A photo takes 5.1 ms of a core so, and 5.3 by eight a call; one alone 10 instead of 41.
_A_CALL = 2  # photos of OpenVINO
_FEW = 3  # photos of a batch that shows what each more takes
_LONGER = 0.5  # how much longer than one photo's a batch may take where several clients are about


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one photo, and what its network put out for it."""

    prediction: Prediction | None  # None of raw pixels
    outputs: Mapping[str, NDArray[np.float32]]  # a row each; empty where the photo is bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How bundles are opened."""

    engine: Engine = "auto"
    threads: int = 1
    max_error: float | None = None


Work = bytes | Pixels  # a photo as it came, or pixels (N, H, W, 3) as the network takes them


class Model:
    """One bundle being served."""

    def __init__(
        self,
        name: str,
        path: str,
        opening: Opening,
        limits: ServiceLimits,
        memory: Memory | None = None,
    ) -> None:
        memory = memory or Memory(limits.memory, limits.memory_share)
        self.name, self.path, self.opening = name, path, opening
        self._decode_apart = ChildDecoder()
        self.batcher: Batcher[Work, Answer] = Batcher(
            self._answer,
            size=BATCH,
            workers=opening.threads,
            deadline=limits.deadline,
            queued=limits.queued,
            least=limits.least_queue,
            weigh=self._weight,
            call_heavy=partial(self._answer, decode=self._decode_heavy),
            charge=partial(memory.decoding, wait=limits.deadline),
        )
        self._serve(self._opened())

    def _opened(self) -> Predictor:
        bundle = find_model(self.path)
        predictor = Predictor.open(
            bundle,
            engine=self.opening.engine,
            photos=BULK,
            threads=self.opening.threads,
            max_error=self.opening.max_error,
            batch=_A_CALL,
            gpu=False,  # batches of one or eight leave it idle; who asks for it has it
        )
        size = bundle.meta.preprocess.size
        predictor.predict(np.zeros((size, size, 3), np.uint8))  # whatever is lazy happens now
        return predictor

    @property
    def bundle(self) -> Bundle:
        """Return what is being served now."""
        return self.predictor.bundle

    def swap(self) -> None:
        """Read the bundle again and serve it from the next batch on.

        Raises:
            FursureError: it is damaged or cannot be run; the old one goes on.
        """
        self._serve(self._opened())

    def _serve(self, predictor: Predictor) -> None:
        # the digest is of megabytes: computed here once, and not for each who asks for the facts
        digest = predictor.bundle.digest
        self.predictor, self.digest = predictor, digest
        self.batcher.beside = self.batcher.floor = _beside(predictor)

    def _weight(self, item: Work) -> int:
        if not isinstance(item, bytes):
            return 0
        return cost(item, min_side=self.predictor.network.preprocess.min_side)

    def close(self) -> None:
        """Stop the workers, once they have answered what waits; large photos are given up."""
        self._decode_apart.close()  # first: the lane would wait for its child
        self.batcher.close()

    def _decode_heavy(self, data: bytes, *, name: str, min_side: int) -> Decoded:
        large = cost(data, min_side=min_side) > LARGE_PHOTO
        return (self._decode_apart if large else decode)(data, name=name, min_side=min_side)

    def _answer(self, items: Sequence[Work], *, decode: Decode = decode) -> list[Answer]:
        """Answer a batch, all of it by the same predictor, whatever is swapped meanwhile."""
        predictor = self.predictor
        photos = [("", item) for item in items if isinstance(item, bytes)]
        predictions, outputs = predictor.batch(photos, decode=decode) if photos else ([], {})
        rows, answered = iter(range(len(photos))), []
        for prediction in predictions:
            row = None if prediction.error is not None else next(rows)
            own = {} if row is None else {name: values[row] for name, values in outputs.items()}
            answered.append(Answer(prediction, own))
        results = iter(answered)
        return [
            next(results)
            if isinstance(item, bytes)
            else Answer(None, predictor.network.session(_checked(item, predictor)))
            for item in items
        ]


def _beside(predictor: Predictor) -> int:
    """Return how many photos the network takes in half as long again as it takes for one.

    An engine that fills up its batches takes eight; one that counts photos takes one.

    Raises:
        EngineFailed: it cannot run full batches here.
    """
    size = predictor.network.preprocess.size
    pixels_NHWC = np.zeros((BATCH, size, size, 3), np.uint8)
    session = predictor.network.session
    try:
        with ThreadPoolExecutor(predictor.threads) as pool:  # what full batches take is taken now
            list(pool.map(session, [pixels_NHWC] * predictor.threads))
    except Exception as error:  # engines have errors of their own
        raise EngineFailed(
            f"{predictor.threads} batches of {BATCH} photos at once cannot be run here "
            f"({str(error).splitlines()[0][:100]}); is memory short? --threads 1 takes less."
        ) from error
    single, few = (_quickest(session, pixels_NHWC[:count]) for count in (1, _FEW))
    each = max(1e-9, (few - single) / (_FEW - 1))
    return min(BATCH, int(1 + _LONGER * single / each))


def _quickest(session: Session, pixels_NHWC: Pixels) -> float:
    """Return the least seconds of five calls: what else runs only ever adds to them."""
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        session(pixels_NHWC)
        seconds.append(time.monotonic() - began)
    return min(seconds)


def _checked(pixels_NHWC: Pixels, predictor: Predictor) -> Pixels:
    size = predictor.network.preprocess.size
    if pixels_NHWC.shape[1:] != (size, size, 3):  # a swap between the check and the batch
        raise Problem(400, f"pixels have to be N, {size}, {size}, 3.")
    return pixels_NHWC


class Models:
    """The bundles being served; the first one answers where no name is given."""

    def __init__(self, paths: Sequence[str], opening: Opening, limits: ServiceLimits) -> None:
        named: dict[str, str] = {}
        for path in paths:
            name = short_name(path)
            if name in named:
                raise BadData(f"two models are called {name!r}; rename one of the files.")
            named[name] = path
        self.memory = Memory(limits.memory, limits.memory_share)
        self.by_name = {
            name: Model(name, path, opening, limits, self.memory) for name, path in named.items()
        }
        self.desk = Desk()
        self.stopping = False

    def __getitem__(self, name: str | None) -> Model:
        if name is None:
            return next(iter(self.by_name.values()))
        if name not in self.by_name:
            raise Problem(404, f"no model of that name; there are {', '.join(self.by_name)}.")
        return self.by_name[name]

    @property
    def ready(self) -> bool:
        """Return whether every model answers."""
        return not self.stopping and all(model.batcher.healthy for model in self.by_name.values())

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the workers of every model.

        Raises:
            EngineFailed: this process may have no more threads.
        """
        for name, model in self.by_name.items():
            try:
                model.batcher.start(loop)
            except RuntimeError as error:
                raise EngineFailed(
                    f"no worker can be started for {name} ({error}); is memory short, or the "
                    "number of processes (ulimit -u)?"
                ) from error

    def close(self) -> None:
        """Stop the workers, once they have answered what waits."""
        self.stopping = True
        for model in self.by_name.values():
            model.close()

    def full(self, address: str) -> int | None:
        """Return how many photos wait where no model has room for an address's, else None."""
        if all(model.batcher.full(address) for model in self.by_name.values()):
            return sum(model.batcher.waiting for model in self.by_name.values())
        return None

    def swap(self) -> list[tuple[str, str | None]]:
        """Read every bundle again; return the names with why one could not be taken."""
        results: list[tuple[str, str | None]] = []
        for name, model in self.by_name.items():
            try:
                model.swap()
                results.append((name, None))
            except Exception as error:  # whatever it is: the old one goes on, and that is counted
                results.append((name, str(error) or type(error).__name__))
        return results


def described(model: Model) -> dict[str, Any]:
    """Return what a client may want to know of a model."""
    meta = model.bundle.meta
    accuracy = meta.figures.get("accuracy")
    return {
        "name": model.name,
        "labels": list(meta.labels),
        "digest": model.digest,
        "engine": model.predictor.network.session.engine,
        "threshold": model.predictor.threshold,
        "max_error": meta.max_error,
        "risks": meta.risks.to_json(),
        "preprocess": meta.preprocess.to_json(),
        "features": meta.features,
        "backbone": meta.backbone,
        "licence": meta.licence,
        "accuracy": accuracy,
        "basis": meta.figures.get("basis"),
    }


def report_of(model: Model) -> Path | None:
    """Return the report page that lies beside a model's file, if one does."""
    path = Path(model.path)
    page = path.with_name(f"{path.name.removesuffix('.fursure')}.report.html")
    return page if path.suffix == ".fursure" and page.is_file() else None
