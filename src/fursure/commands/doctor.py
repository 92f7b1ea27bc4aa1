"""What is at hand on this machine: versions, engines, folders, and the settings that hold here."""

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Mapping
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
from fursure.terminal.text import printable

SETTINGS = {  # every variable of the environment that changes what a command does, and how
    "FURSURE_HOME": "the folder of caches, backbones and fetched models",
    "XDG_CACHE_HOME": "where that folder lies unless FURSURE_HOME names it",
    "FURSURE_OFFLINE": "forbids the network unless it is 0",
    "HF_HUB_OFFLINE": "forbids the network unless it is 0",
    "FURSURE_ZIP_ENCODING": "how names in zips are written; --zip-encoding",
    "HF_TOKEN": "what the hub knows you by",
    "HF_ENDPOINT": "the hub that hub: and push mean",
    "MLFLOW_TRACKING_URI": "where train --log mlflow sends runs",
    "WANDB_MODE": "whether train --log wandb sends runs",
    "WANDB_API_KEY": "what Weights & Biases knows you by",
    "RAY_ADDRESS": "the cluster of --on ray",
    "CUDA_VISIBLE_DEVICES": "which graphics processors there are, for all programs",
    "NO_COLOR": "no colour",
    "FORCE_COLOR": "colour in pipes too",
    "NODE_PATH": "where onnxruntime-web is looked for; export --to web",
}
_SECRET = {"HF_TOKEN", "WANDB_API_KEY"}  # a report of a fault is no place for them


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
        "network", "forbidden (offline)" if offline() else "used by hub:, timm:, push and URLs only"
    )
    yield _caches()
    yield from _settings()
    bundle = shipped("pets")
    yield _engines(bundle.model)
    yield from _gpus(bundle.model)
    yield _test_photo()


def _settings(environment: Mapping[str, str] = os.environ) -> Iterator[MachineFinding]:
    """Yield the variables that are set, and what decides where none is."""
    yield MachineFinding(
        "settings", "flags first, then environment variables, then the recipe; there is no file"
    )
    for name, about in SETTINGS.items():
        if value := environment.get(name):
            shown = "(set, not shown)" if name in _SECRET else printable(_without_password(value))
            yield MachineFinding("setting", f"{name}={shown}: {about}")


def _without_password(value: str) -> str:
    """Return an address without the name, the password and the query that may stand in it."""
    shown = re.sub(r"//.*@", "//…@", value)  # to the last @: a password may hold others, and /
    return re.sub(r"(?<=\?).*", "…", shown) if "://" in shown else shown


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
        free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return MachineFinding("caches", f"{folder} cannot be written: {error.strerror}", False)
    said = (
        "FURSURE_HOME" if os.environ.get("FURSURE_HOME") else "the default; FURSURE_HOME moves it"
    )
    return MachineFinding("caches", f"{folder} ({said}), {free:.1f} GB free; see `fursure cache`")


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
