"""Whether OpenVINO may be trusted with a model on this machine: tried once, in a child process.

OpenVINO is 2 to 5 times as fast as ONNX Runtime here, but it does not officially support every
CPU, and a crash inside it (a SIGFPE is reported upstream, openvinotoolkit/openvino#35943) would
take the user's run with it. So a child process compiles the model and compares its answers with
ONNX Runtime's, and the verdict is kept for this (version, CPU, model).
"""

import hashlib
import json
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from fursure.files import home, replacing

COMMAND = [sys.executable, "-m", "fursure.engine.selftest"]  # takes the model on its stdin
PATIENCE = 120.0  # seconds the child may take; a large network compiles in a tenth of that
LEAST_COSINE = 0.99  # between the two engines' features; bf16 costs about 0.001


def problem(model: bytes) -> str | None:
    """Return why OpenVINO cannot run ``model`` here, or None when it can."""
    from fursure.engine.openvino import installed_version

    version = installed_version()
    if version is None:
        return "it is not installed (pip install 'fursure[fast]')"
    key = _key(version, model)
    verdicts = _read()
    if key not in verdicts:
        verdicts[key] = _try(model)
        _remember(key, verdicts[key])
    return verdicts[key] or None


def vouch(model: bytes) -> None:
    """Note that ``model`` passes, for one whose encoder did and that adds a dense layer to it."""
    from fursure.engine.openvino import installed_version

    if (version := installed_version()) is not None:
        _remember(_key(version, model), "")


def _key(version: str, model: bytes) -> str:
    return f"{version} | {_cpu()} | {hashlib.sha256(model).hexdigest()}"


def _remember(key: str, verdict: str) -> None:
    """Keep a verdict; a folder that cannot be written only means another test next time."""
    with suppress(OSError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        newest = dict(list({**_read(), key: verdict}.items())[-1000:])
        with replacing(path) as file:
            file.write(json.dumps(newest, indent=1).encode())


def _path() -> Path:
    return home() / "selftest.json"


def _read() -> dict[str, str]:
    with suppress(OSError, ValueError):
        verdicts = json.loads(_path().read_text())
        if isinstance(verdicts, dict):
            return {str(key): str(value) for key, value in verdicts.items()}
    return {}


def _cpu() -> str:
    """Return the processor's name, which decides the code taken."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _try(model: bytes) -> str:
    """Return what went wrong in the child, or an empty string."""
    try:
        run = subprocess.run(
            COMMAND, input=model, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"its self-test took more than {PATIENCE:.0f} seconds"
    if run.returncode == 0:
        return ""
    if run.returncode < 0:
        return f"its self-test died of signal {-run.returncode}"
    lines = run.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
    return f"its self-test failed with: {lines[-1][:200]}"


def _child(model: bytes) -> None:
    """Compare both engines on noise and on a smooth ramp; raise when they disagree."""
    from fursure.engine.openvino import OpenVino
    from fursure.engine.session import OnnxRuntime

    reference = OnnxRuntime(model, threads=1)
    size = reference.side
    ramp_W = np.linspace(0, 255, size)
    ramp_HWC = np.repeat((ramp_W[:, None] + ramp_W) / 2, 3).reshape(size, size, 3)
    noise_HWC = np.random.default_rng(0).integers(0, 256, (size, size, 3))
    pixels_NHWC = np.stack([ramp_HWC, noise_HWC]).astype(np.uint8)
    a_ND = reference(pixels_NHWC)["features"]
    b_ND = OpenVino(model, threads=1)(pixels_NHWC)["features"]
    scale_N = np.linalg.norm(a_ND, axis=1) * np.linalg.norm(b_ND, axis=1)
    cosine_N = (a_ND * b_ND).sum(axis=1) / np.maximum(scale_N, 1e-12)
    if not (cosine_N >= LEAST_COSINE).all():
        raise SystemExit(f"features differ from ONNX Runtime's (cosine {cosine_N.min():.4f})")


if __name__ == "__main__":
    _child(sys.stdin.buffer.read())
