"""A network ready to run: ONNX bytes → a function from pixels to named outputs.

Dimension key: N photos, H W height and width (pixels), C colour (RGB).
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fursure.engine.libraries import onnxruntime
from fursure.errors import EngineFailed
from fursure.recipe import Engine
from fursure.run import available_threads

Pixels = NDArray[np.uint8]  # (N, H, W, 3)
Outputs = Mapping[str, NDArray[np.float32]]  # name -> (N, ...)

BATCH = 8  # photos a call; batches of 8 on one stream a core were the fastest of those measured
BULK = 200  # photos from which OpenVINO's slower start has paid for itself


class Session(Protocol):
    """A loaded network, safe to call from several threads at once."""

    engine: str  # name, version and precision, as each answer reports it
    bulk: bool  # many threads each run whole batches; otherwise one call at a time is quickest

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""


class OnnxRuntime:
    """ONNX Runtime on the CPU in fp32: the default, and the quickest to start."""

    def __init__(self, model: bytes, *, threads: int, bulk: bool = False) -> None:
        ort = onnxruntime()
        self.bulk = bulk
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1 if bulk else threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # only what is fatal; errors reach us as exceptions
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without this the wrapper prints its fallback notice to stdout, amid the results.
        self._session = ort.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        self._names = [output.name for output in self._session.get_outputs()]
        self.engine = f"onnxruntime {ort.__version__} fp32"
        self.side = int(self._session.get_inputs()[0].shape[1])  # pixels

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""
        values = self._session.run(self._names, {"pixels": pixels_NHWC})
        return dict(zip(self._names, values, strict=True))


def open_session(
    model: bytes, *, engine: Engine = "auto", photos: int = 1, threads: int | None = None
) -> Session:
    """Load a network for about ``photos`` photos into the fastest engine that may run it.

    Raises:
        EngineFailed: the engine asked for is not installed or cannot run this model.
    """
    return next(sessions(model, engine=engine, photos=photos, threads=threads))


def sessions(
    model: bytes, *, engine: Engine = "auto", photos: int = 1, threads: int | None = None
) -> Iterator[Session]:
    """Yield a network loaded by each engine that may run it, the fastest first.

    ``auto`` is ONNX Runtime, or from `BULK` photos on OpenVINO, where that is installed and has
    passed its self-test for this model on this machine: in bf16 or else in f32. In bulk work
    every worker thread runs its own batch on one core; for a few photos one call spreads over
    ``threads`` cores.

    Raises:
        EngineFailed: the engine asked for is not installed or cannot run this model.
    """
    threads = threads or available_threads()
    if engine == "openvino" or (engine == "auto" and photos >= BULK):
        from fursure.engine import openvino, selftest

        verdict = selftest.verdict(model)
        for precision in selftest.trusted(verdict.precision):
            yield openvino.OpenVino(model, threads=threads, precision=precision)
        if engine == "openvino" and verdict.precision is None:
            raise EngineFailed(
                f"OpenVINO cannot be used: {verdict.reason}. --engine onnxruntime can."
            )
    if engine != "openvino":
        yield _onnx_runtime(model, threads, bulk=photos >= BULK)


def _onnx_runtime(model: bytes, threads: int, *, bulk: bool) -> OnnxRuntime:
    try:
        return OnnxRuntime(model, threads=threads, bulk=bulk)
    except Exception as error:  # it raises its own types, and UnicodeDecodeError among others
        reason = str(error).strip().splitlines()[0][:300]
        raise EngineFailed(f"ONNX Runtime cannot load this model: {reason}") from error
