"""A graphics processor as a `Session`: ONNX Runtime on CUDA, or OpenVINO on Intel's.

Whatever happens there, no photo is lost: where memory is short batches get smaller, and where that
does not help, or anything else breaks, the main processor goes on and says so.
"""

import io
import os
import re
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from fursure.engine.libraries import CUDA_PACKAGE, onnxruntime
from fursure.engine.network import in_batches
from fursure.engine.openvino import OpenVino, Precision, core, installed_version
from fursure.engine.runtime import Outputs, Pixels, Session, inference_session
from fursure.errors import EngineFailed
from fursure.run import Say, to_nobody
from fursure.system import gpu_devices

GpuKind = Literal["cuda", "openvino-gpu"]
GPU_KINDS: tuple[GpuKind, ...] = ("cuda", "openvino-gpu")
GPU_PRECISIONS: dict[GpuKind, tuple[Precision, ...]] = {  # the fastest first
    "cuda": ("f32",),
    "openvino-gpu": ("f16", "f32"),
}
GPU_BATCH = 32  # photos a call: the chunk that each preparing thread takes

_PROVIDER = "CUDAExecutionProvider"
_ARENA = 4 * 2**30  # bytes of the card's memory at most, and twice the weights: others use it too
_OPTIONS = {
    "use_tf32": "0",  # 10 bits of a product's factors, where the trainer's answers have 24
    "cudnn_conv_algo_search": "HEURISTIC",  # the search by trial takes another one each time
    "arena_extend_strategy": "kSameAsRequested",  # not the next power of two
}
_SHORT_OF_MEMORY = (  # as CUDA, cuBLAS, cuDNN, ONNX Runtime's arena and OpenVINO say it
    "out of memory", "failed to allocate", "alloc_failed", "allocation_failure",
    "exceeded max size of memory", "smaller than requested bytes",
)  # fmt: skip


def gpu_version(kind: GpuKind) -> str | None:
    """Return the version of what would run ``kind``, or None where there is no such thing.

    Nothing is imported or started for it: OpenVINO counts where the system shows a device at all.
    """
    if kind == "openvino-gpu":
        return installed_version() if gpu_devices() else None
    try:
        return version(CUDA_PACKAGE)
    except PackageNotFoundError:
        return None


def why_no_gpu(kind: GpuKind) -> str:
    """Return what lacks where `gpu_version` or `lists_gpu` says that there is none."""
    if kind == "cuda":
        return (
            f"{CUDA_PACKAGE} is not installed (pip uninstall -y onnxruntime, then "
            f"pip install '{CUDA_PACKAGE}[cuda,cudnn]')"
        )
    if installed_version() is None:
        return "OpenVINO is not installed (pip install 'fursure[fast]')"
    return "OpenVINO finds no graphics processor of Intel's, or no driver for it"


def lists_gpu(kind: GpuKind) -> bool:
    """Return whether the library itself knows of such a device; OpenVINO loads plugins for it."""
    if kind == "openvino-gpu":
        return any(device.split(".")[0] == "GPU" for device in core().available_devices)
    return _PROVIDER in onnxruntime().get_available_providers()


def gpu_session(
    kind: GpuKind, model: bytes, precision: Precision, batch: int = GPU_BATCH
) -> Session:
    """Load a network there.

    Raises:
        EngineFailed: it did not start, in words; libraries may raise errors of their own.
    """
    if kind == "cuda":
        return Cuda(model, batch=batch)
    return OpenVino(model, threads=1, precision=precision, device="GPU", batch=batch)


class Cuda:
    """ONNX Runtime on an NVIDIA card, in the fp32 of the main processor: without TF32."""

    bulk = True

    def __init__(self, model: bytes, *, batch: int = GPU_BATCH) -> None:
        ort = onnxruntime()
        missing = _load_libraries(ort)
        options = _OPTIONS | {"gpu_mem_limit": str(_ARENA + 2 * len(model))}
        providers = [(_PROVIDER, options), "CPUExecutionProvider"]
        self._session = inference_session(model, threads=1, providers=providers)
        if _PROVIDER not in self._session.get_providers():  # it falls back without a word
            raise EngineFailed(missing or "CUDA does not start; does nvidia-smi list a card?")
        self._names = [output.name for output in self._session.get_outputs()]
        self.batch = batch
        self.engine = f"cuda {ort.__version__} fp32"

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""
        values = self._session.run(self._names, {"pixels": pixels_NHWC})
        return dict(zip(self._names, values, strict=True))


def _load_libraries(ort: Any) -> str:
    """Load CUDA's libraries out of NVIDIA's wheels; return what lacks, which is only printed."""
    if not hasattr(ort, "preload_dlls"):  # before 1.21
        return ""
    printed = io.StringIO()
    with redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ort.preload_dlls()
    names = [
        re.split(r"[\\/]", name)[-1]
        for name in re.findall(r"Failed to load (\S+?): ", printed.getvalue())
    ]
    if not names:
        return ""
    return f"{names[0]} cannot be loaded (pip install '{CUDA_PACKAGE}[cuda,cudnn]')"


class OnGpu:
    """A network on a graphics processor, and on the main one from the first failure on.

    One batch at a time is there, so its memory does not grow with the threads that prepare.
    """

    bulk = True
    batch = GPU_BATCH

    def __init__(
        self,
        make: Callable[[int], Session],
        processor: Callable[[], Session],
        say: Say = to_nobody,
    ) -> None:
        """Load the network by ``make``, which hears how many photos a call brings."""
        self._make, self._processor, self._say = make, processor, say
        self._lock = threading.Lock()
        self._session: Session = make(GPU_BATCH)
        self._on_gpu, self._process = True, os.getpid()
        self.engine = self._session.engine

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output of the network for ``pixels_NHWC``, in order."""
        while self._on_gpu:
            with self._lock:
                if not self._on_gpu:  # another thread's batch has failed
                    break
                try:
                    return self._tried(pixels_NHWC)
                except Exception as error:  # each library has its own types
                    short, reason = _short_of_memory(error), first_words(error)
                self._step_back(reason, short=short)  # the error, and what it held there, are gone
        return self._session(pixels_NHWC)

    def _tried(self, pixels_NHWC: Pixels) -> Outputs:
        if os.getpid() != self._process:
            raise EngineFailed("a process forked from one that uses it cannot use it")
        return in_batches(self._session, pixels_NHWC)

    def _step_back(self, reason: str, *, short: bool) -> None:
        """Take half the photos a call where memory is short, else leave the device."""
        half = self._session.batch // 2
        self._session = _Nothing()
        if short and half:
            try:
                self._session = self._make(half)
            except Exception as error:
                short, reason = _short_of_memory(error), first_words(error)
            else:
                return
        self._session, self._on_gpu = self._processor(), False
        broken, self.engine = self.engine, self._session.engine
        why = "its memory is too short for one photo" if short else reason
        self._say(f"{broken} failed ({why}); {self.engine} goes on")


class _Nothing:
    """No network: what a device held is gone, and nothing has taken its place yet, or can."""

    engine, bulk, batch = "", True, 0

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:  # noqa: ARG002
        raise EngineFailed("no network is loaded")


def _short_of_memory(error: Exception) -> bool:
    """Return whether it says so anywhere: ONNX Runtime begins with the node that wanted more."""
    return any(words in str(error).lower() for words in _SHORT_OF_MEMORY)


def first_words(error: BaseException) -> str:
    """Return what an error says first, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
