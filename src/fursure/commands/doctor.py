"""What is at hand on this machine: versions, engines, folders."""

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fursure.bundle.named import shipped
from fursure.drawings.draw import draw, jpeg
from fursure.engine import selftest
from fursure.engine.gpu import GPU_KINDS, why_no_gpu
from fursure.engine.libraries import onnxruntime_version
from fursure.engine.openvino import installed_version
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import BULK
from fursure.errors import FursureError
from fursure.files import offline
from fursure.home import homes
from fursure.photos.decode import jpeg_decoder
from fursure.run import available_threads


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One thing looked at by the doctor."""

    what: str
    found: str
    good: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def examine() -> Iterator[MachineFinding]:
    """Yield what matters about this machine, one finding at a time."""
    yield MachineFinding("python", f"{platform.python_version()} on {platform.platform()}")
    yield MachineFinding("fursure", version("fursure"))
    for package in ("numpy", "pillow"):
        yield MachineFinding(package, version(package))
    yield MachineFinding("onnxruntime", onnxruntime_version())
    for package, extra in [
        ("onnx", "train"), ("openvino", "fast"),
        ("simplejpeg", "fast"), ("torch", "torch"), ("timm", "torch"), ("pillow-heif", "heic"),
    ]:  # fmt: skip
        try:
            yield MachineFinding(package, version(package))
        except PackageNotFoundError:
            yield MachineFinding(package, f"not installed (extra {extra})")
    yield MachineFinding("threads", f"{available_threads()} of {os.cpu_count()} cores")
    yield MachineFinding("jpeg decoder", jpeg_decoder())
    yield MachineFinding(
        "network", "forbidden (offline)" if offline() else "used by hub: and timm: only"
    )
    yield _caches()
    bundle = shipped("pets")
    yield _engines(bundle.model)
    yield from _gpus(bundle.model)
    yield _test_photo()


def _engines(model: bytes) -> MachineFinding:
    """Say what runs few photos and what runs many, and why nothing faster does."""
    few = f"onnxruntime up to {BULK - 1} photos"
    verdict = selftest.engine_verdict(model)
    why = f" ({verdict.reason})" if verdict.reason else ""
    if verdict.precision is None:
        return MachineFinding("engines", f"onnxruntime{why}", installed_version() is None)
    return MachineFinding("engines", f"{few}, openvino in {verdict.precision} from {BULK} on{why}")


def _gpus(model: bytes) -> Iterator[MachineFinding]:
    """Say what graphics processors are for, or why not; what failed once is tried again."""
    for kind in GPU_KINDS:
        verdict = selftest.gpu_verdict(model, kind, again=True)
        broken = verdict.precision is None and verdict.reason
        if verdict.precision is None:
            yield MachineFinding(kind, verdict.reason or why_no_gpu(kind), not broken)
            continue
        when = (
            "slower here than the main processor: only by --engine"
            if verdict.pays is None
            else f"from {verdict.pays} photos on"
        )
        why = f" ({verdict.reason})" if verdict.reason else ""
        yield MachineFinding(kind, f"in {verdict.precision}, {when}{why}")


def _caches() -> MachineFinding:
    folder, *named = homes()
    if named:
        why = f"{named[0]} cannot be written; {folder} stands in for it"
        return MachineFinding("caches", why, False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return MachineFinding("caches", f"{folder} cannot be written: {error.strerror}", False)
    return MachineFinding("caches", f"{folder} (FURSURE_HOME)")


def _test_photo() -> MachineFinding:
    try:
        predictor = Predictor.open(shipped("pets"))
        data = jpeg(draw("cat", seed=3))
        began = time.perf_counter()
        prediction = predictor.predict(data)
    except FursureError as error:
        return MachineFinding("test photo", str(error), False)
    milliseconds = (time.perf_counter() - began) * 1e3
    return MachineFinding(
        "test photo",
        f"{prediction.answer} in {milliseconds:.0f} ms by {prediction.engine}",
        not prediction.error,
    )
