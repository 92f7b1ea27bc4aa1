"""What a loaded network is, and ONNX Runtime, which loads it everywhere.

Dimension key: N photos, H W height and width (pixels), C colour (RGB).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fursure.engine.libraries import onnxruntime

Pixels = NDArray[np.uint8]  # (N, H, W, 3)
Outputs = Mapping[str, NDArray[np.float32]]  # name -> (N, ...)

BATCH = 8  # photos a call; batches of 8 on one stream a core were the fastest of those measured
BULK = 200  # photos from which OpenVINO's slower start has paid for itself


class Session(Protocol):
    """A loaded network, safe to call from several threads at once."""

    engine: str  # name, version and precision, as each answer reports it
    bulk: bool  # many threads each run whole batches; otherwise one call at a time is quickest
    batch: int  # photos a call that it is given, where there are as many

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""


def inference_session(model: bytes, *, threads: int, providers: Sequence[Any]) -> Any:
    """Return ONNX Runtime's own session, silent, with idle threads that do not spin."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # only what is fatal; errors reach us as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without the last one the wrapper prints its fallback notice to stdout, amid the results.
    return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)


class OnnxRuntime:
    """ONNX Runtime on the CPU in fp32: the default, and the quickest to start."""

    batch = BATCH

    def __init__(self, model: bytes, *, threads: int, bulk: bool = False) -> None:
        self.bulk = bulk
        self._session = inference_session(
            model, threads=1 if bulk else threads, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]
        self.engine = f"onnxruntime {onnxruntime().__version__} fp32"
        self.side = int(self._session.get_inputs()[0].shape[1])  # pixels

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""
        values = self._session.run(self._names, {"pixels": pixels_NHWC})
        return dict(zip(self._names, values, strict=True))
