"""The inference libraries, imported without their telemetry: the one way to either of them.

ONNX Runtime (1.32) looks up a host and writes a device's id into the user's cache about 20 seconds
after it loads a network; OpenVINO's ``openvino_telemetry`` looks up another and writes a client's
id into the home folder as soon as it is imported.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

CUDA_PACKAGE = "onnxruntime-gpu"  # which a user installs instead of onnxruntime; the same module
REPORTER = "openvino_telemetry"  # a package of its own, which OpenVINO does without where it lacks

_importing = threading.Lock()


def opt_out() -> None:
    """Forbid ONNX Runtime's telemetry, here and in processes started from here.

    The variable counts only if it is set before ONNX Runtime is imported, by whomever, so
    ``import fursure`` calls this; ``disable_telemetry_events`` comes too late in 1.32.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def onnxruntime() -> Any:
    """Import ONNX Runtime."""
    opt_out()
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows' own, in versions older than the variable
    return onnxruntime


def onnxruntime_version() -> str:
    """Return the version of ONNX Runtime, in whichever of its packages it came."""
    from importlib.metadata import PackageNotFoundError, version  # a start does without

    for package in ("onnxruntime", CUDA_PACKAGE):
        with suppress(PackageNotFoundError):
            return version(package)
    return str(onnxruntime().__version__)


def quantization() -> Any:
    """Import what ONNX Runtime rounds networks with."""
    opt_out()
    import onnxruntime.quantization
    import onnxruntime.quantization.shape_inference

    return onnxruntime.quantization


def openvino() -> Any:
    """Import OpenVINO."""
    with _importing, _hidden(REPORTER):
        import openvino
    return openvino


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Let imports of a module fail as if it were not installed."""
    before = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = None  # type: ignore[assignment]  # documented: the import raises
    try:
        yield
    finally:
        del sys.modules[name]
        sys.modules.update(before)
