"""What OpenVINO may be trusted with on this machine, network by network: tried once, in a child.

OpenVINO is 2 to 5 times as fast as ONNX Runtime here, but it does not officially support every
CPU, and a crash inside it (a SIGFPE is reported upstream, openvinotoolkit/openvino#35943) would
take the user's run with it. So a child process compiles the network and compares what its features
say with what ONNX Runtime's do; the verdict is kept for this (test, version, CPU, network).
"""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fursure.engine.openvino import Precision, installed_version
from fursure.engine.runtime import BULK
from fursure.files import replacing
from fursure.home import folder_for
from fursure.run import Engine

# -P: a numpy.py among the photos of the current folder is not what the child should import
SELFTEST_COMMAND = [
    sys.executable,
    "-P",
    "-m",
    "fursure.engine.trial",
]  # takes the network on its stdin
_PATIENCE = 120.0  # seconds the child may take; a large network compiles in a tenth of that
PRECISIONS: tuple[Precision, ...] = ("bf16", "f32")  # the fastest first
TEST = 3  # raised when the test changes, so that earlier verdicts do not count


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """How fast OpenVINO may run a network."""

    precision: Precision | None  # None: not at all
    reason: str = ""  # why not faster


def engine_verdict(model: bytes) -> EngineVerdict:
    """Return what OpenVINO may run ``model`` in here, and why in nothing faster."""
    version = installed_version()
    if version is None:
        return EngineVerdict(None, "OpenVINO is not installed (pip install 'fursure[fast]')")
    key = _key(version, model)
    known = _read()
    if key not in known:
        known[key] = _try(model)
        _remember(key, known[key])
    return known[key]


def vouch(model: bytes, precision: Precision | None, reason: str = "") -> None:
    """Keep a verdict on ``model`` that was found another way.

    Its encoder passed and it adds one dense layer to that, or its own answers were tried.
    """
    if (version := installed_version()) is not None:
        _remember(_key(version, model), EngineVerdict(precision, reason))


def distrust(model: bytes) -> None:
    """Let ``model`` run in the next slower precision: what passed gave wrong golden answers."""
    fastest, *slower = (*trusted(engine_verdict(model).precision), None)
    vouch(model, slower[0] if slower else None, f"{fastest}: its golden answers come out otherwise")


def trusted(precision: Precision | None) -> tuple[Precision, ...]:
    """Return the precisions OpenVINO may use where ``precision`` is the fastest of them."""
    return () if precision is None else PRECISIONS[PRECISIONS.index(precision) :]


def about_engine(engine: str, model: bytes, *, asked: Engine, photos: int) -> Iterator[str]:
    """Yield what ran ``model`` and why nothing faster did, where that was ours to choose."""
    if asked == "auto" and photos >= BULK:
        reason = engine_verdict(model).reason
        yield f"engine: {engine} ({reason})" if reason else f"engine: {engine}"


def _key(version: str, model: bytes) -> str:
    return f"{TEST} | {version} | {_cpu()} | {hashlib.sha256(model).hexdigest()}"


def _remember(key: str, verdict: EngineVerdict) -> None:
    """Keep a verdict; a folder that cannot be written only means another test next time."""
    with suppress(OSError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        newest = list({**_read(), key: verdict}.items())[-1000:]
        with replacing(path) as file:
            file.write(
                json.dumps({name: asdict(verdict) for name, verdict in newest}, indent=1).encode()
            )


def _path() -> Path:
    return folder_for("engines") / "selftest.json"


def _read() -> dict[str, EngineVerdict]:
    """Return the verdicts kept, none where the file is missing, damaged or of an older test."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        kept = json.loads(_path().read_text()).items()
        read = {
            key: EngineVerdict(**values) for key, values in kept if key.startswith(f"{TEST} | ")
        }
        if {verdict.precision for verdict in read.values()} <= {*PRECISIONS, None}:
            return read
    return {}


def _cpu() -> str:
    """Return the processor's name, which decides the code taken."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _try(model: bytes) -> EngineVerdict:
    """Return the fastest precision that passes."""
    reasons: dict[str, str] = {}
    while left := [precision for precision in PRECISIONS if precision not in reasons]:
        reasons |= _ask(model, left)  # a crash in one leaves the next ones to try
        why = ", ".join(f"{precision}: {reason}" for precision, reason in reasons.items() if reason)
        for precision in left:
            if reasons.get(precision) == "":
                return EngineVerdict(precision, why)
    return EngineVerdict(None, f"its self-test failed ({why})")


def _ask(model: bytes, precisions: Sequence[Precision]) -> dict[str, str]:
    """Return what is wrong with each precision the child came to, with the first at least."""
    command = [*SELFTEST_COMMAND, *precisions]
    try:
        run = subprocess.run(
            command, input=model, capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return dict.fromkeys(precisions, f"it took more than {_PATIENCE:.0f} seconds")
    reasons: dict[str, str] = dict(map(json.loads, run.stdout.decode().splitlines()))
    reached = [precision for precision in precisions if precision not in reasons]
    if run.returncode and reached:
        reasons[reached[0]] = _death(run)
    return reasons


def _death(run: "subprocess.CompletedProcess[bytes]") -> str:
    if run.returncode < 0:
        return f"it died of signal {-run.returncode}"
    lines = run.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
    return f"it failed with {lines[-1][:200]}"
