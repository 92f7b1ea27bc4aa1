"""OpenVINO as a `Session`: bf16 where the chip has it, fixed batches, one stream a thread.

Dimension key: N photos, B photos of a batch, H W height and width (pixels), C colour (RGB).
"""

import os
import threading
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np

from fursure.engine.libraries import openvino
from fursure.engine.runtime import BATCH, Outputs, Pixels
from fursure.errors import EngineFailed
from fursure.system import cores_allowed

Precision = Literal["bf16", "f16", "f32"]
_NAMES = {
    "bf16": "bf16",
    "f16": "fp16",
    "f32": "fp32",
}  # OpenVINO's word -> the one in every answer
Device = Literal["CPU", "GPU"]

_making = threading.Lock()
_cores: dict[int, Any] = {}  # the process that made it -> the one that is used


def installed_version() -> str | None:
    """Return the version of OpenVINO, or None where it is not installed."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def core() -> Any:
    """Return OpenVINO's ``Core``: one for the whole process, kept until that ends.

    Its CPU plugin gives the thread that makes the first one a stack for signal handlers, and frees
    it with the last one. Where another thread drops that, the next signal that is handled writes
    into freed memory (openvinotoolkit/openvino#11894): a service died of its second reload.

    Raises:
        EngineFailed: this process was forked from one that had made its own.
    """
    with _making:
        if not _cores:
            _cores[os.getpid()] = openvino().Core()
        check_not_forked()
        return _cores[os.getpid()]


def check_not_forked() -> None:
    """Refuse to wait for ever for threads that stayed in the process this one was forked from.

    Raises:
        EngineFailed: OpenVINO runs there.
    """
    if _cores and os.getpid() not in _cores:
        raise EngineFailed(
            "OpenVINO does not work in a process that was forked from one that uses it: start "
            "processes by 'spawn' or 'forkserver', or load the model with engine='onnxruntime'."
        )


def has_bf16() -> bool:
    """Return whether this processor computes in bf16 itself."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVino:
    """A network compiled for this CPU, or for a GPU of Intel's.

    Every call runs whole batches, padded with black, so that an answer does not depend
    on its neighbours: in bf16 another batch size may round differently.
    """

    bulk = True

    def __init__(
        self,
        model: bytes,
        *,
        threads: int,
        precision: Precision = "bf16",
        device: Device = "CPU",
        batch: int = BATCH,
    ) -> None:
        self._model, self._threads, self._precision = model, threads, precision
        self._device, self.batch = device, batch
        self._lock = threading.Lock()
        self._names: list[str] = []  # of the outputs, once it is compiled
        self._local = threading.local()  # an infer request serves one caller at a time
        kind = "openvino" if device == "CPU" else "openvino-gpu"
        self.engine = f"{kind} {installed_version()} {_NAMES[precision]}"

    @cached_property
    def _compiled(self) -> Any:
        """Compile the network: only when the first photo comes, for there may be none to run.

        Names of outputs are taken before: where a node changes nothing (a temperature of 1), the
        compiled network knows its input and its output as one tensor, by either name.
        """
        graph = core().read_model(self._model, b"")
        self._names = [output.get_any_name() for output in graph.outputs]
        graph.reshape({0: [self.batch, *graph.inputs[0].partial_shape[1:]]})
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": self._threads,
            "INFERENCE_PRECISION_HINT": self._precision,
        }
        if self._device == "CPU":
            # Threads tied to a core are a sixth faster where they fill the machine. Where they do
            # not, every process ties its own to the first cores: two, of a thread each, share one.
            fills = self._threads >= cores_allowed()
            settings |= {"INFERENCE_NUM_THREADS": self._threads, "ENABLE_CPU_PINNING": fills}
        return core().compile_model(graph, self._device, settings)

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""
        parts = [
            self._batch(pixels_NHWC[start : start + self.batch])
            for start in range(0, len(pixels_NHWC), self.batch)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _batch(self, pixels_BHWC: Pixels) -> Outputs:
        check_not_forked()
        slot = self._slot()
        count = len(pixels_BHWC)
        slot.pixels_BHWC[:count] = pixels_BHWC
        slot.pixels_BHWC[count:] = 0
        slot.request.infer()
        return {
            name: np.array(tensor.data[:count], np.float32) for name, tensor in slot.outputs.items()
        }

    def _slot(self) -> "_Slot":
        """Return this thread's request, with its input and outputs bound once and for all.

        Arrays are never passed to ``infer``: where threads compiled lazily and passed them, 16 of
        30 starts hung for ever inside the bindings' dispatch of the first arrays. Bound tensors
        end that; the lock lets one thread compile and the others wait for it.
        """
        if not hasattr(self._local, "slot"):
            with self._lock:
                self._local.slot = _Slot.of(self._compiled, self._names)
        slot: _Slot = self._local.slot
        return slot


@dataclass(frozen=True, slots=True)
class _Slot:
    request: Any
    pixels_BHWC: Pixels  # the memory the request reads
    outputs: dict[str, Any]  # name -> the tensor the request writes

    @classmethod
    def of(cls, compiled: Any, names: list[str]) -> "_Slot":
        """Create a request and run it once."""
        request = compiled.create_infer_request()
        pixels_BHWC = np.zeros(tuple(compiled.inputs[0].shape), np.uint8)
        request.set_input_tensor(openvino().Tensor(pixels_BHWC, shared_memory=True))
        request.infer()
        outputs = {
            name: request.get_tensor(output)
            for name, output in zip(names, compiled.outputs, strict=True)
        }
        return cls(request, pixels_BHWC, outputs)
