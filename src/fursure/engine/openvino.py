"""OpenVINO as a `Session`: bf16 where the chip has it, fixed batches, one stream a thread.

Dimension key: N photos, B photos of a batch, H W height and width (pixels), C colour (RGB).
"""

import threading
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from fursure.engine.session import BATCH, Outputs, Pixels


def installed_version() -> str | None:
    """Return the version of OpenVINO, or None where it is not installed."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


class OpenVino:
    """A network compiled for this CPU.

    Every call runs whole batches of `BATCH`, padded with black, so that an answer does not depend
    on its neighbours: in bf16 another batch size may round differently.
    """

    bulk = True

    def __init__(self, model: bytes, *, threads: int) -> None:
        import openvino as ov

        core = ov.Core()
        graph = core.read_model(model, b"")
        graph.reshape({0: [BATCH, *graph.inputs[0].partial_shape[1:]]})
        bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._compiled = core.compile_model(
            graph,
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "NUM_STREAMS": threads,
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            },
        )
        self._names = [output.get_any_name() for output in self._compiled.outputs]
        self._local = threading.local()  # an infer request serves one caller at a time
        self.engine = f"openvino {installed_version()} {'bf16' if bf16 else 'fp32'}"

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""
        parts = [
            self._batch(pixels_NHWC[start : start + BATCH])
            for start in range(0, len(pixels_NHWC), BATCH)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def _batch(self, pixels_BHWC: Pixels) -> Outputs:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        count = len(pixels_BHWC)
        if count < BATCH:
            padded_BHWC = np.zeros((BATCH, *pixels_BHWC.shape[1:]), np.uint8)
            padded_BHWC[:count] = pixels_BHWC
            pixels_BHWC = padded_BHWC
        values = self._local.request.infer({0: pixels_BHWC}, share_inputs=True)
        return {
            name: np.array(values[index][:count], np.float32)
            for index, name in enumerate(self._names)
        }
