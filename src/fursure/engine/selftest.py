"""What faster engines may be trusted with here, network by network: tried once, in a child.

OpenVINO is 2 to 5 times as fast as ONNX Runtime here, but it does not officially support every
CPU, and a crash inside it (a SIGFPE is reported upstream, openvinotoolkit/openvino#35943) would
take the user's run with it; drivers of graphics processors are no better. So a child process
compiles the network and compares what its features say with what ONNX Runtime's do; the verdict is
kept for this (test, version, CPU and devices, network).
"""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fursure.engine.gpu import GPU_KINDS, GPU_PRECISIONS, GpuKind, gpu_version
from fursure.engine.openvino import Precision, installed_version
from fursure.engine.runtime import BULK
from fursure.files import replacing
from fursure.home import folder_for
from fursure.run import Engine
from fursure.system import gpu_devices

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
_MOST_COUNTED = 20_000  # photos that are listed to see whether a slow start pays


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """How fast an engine may run a network."""

    precision: Precision | None  # None: not at all
    reason: str = ""  # why not faster
    pays: int | None = BULK  # photos from which its start has paid; None: the processor is faster


def engine_verdict(model: bytes) -> EngineVerdict:
    """Return what OpenVINO may run ``model`` in here, and why in nothing faster."""
    version = installed_version()
    if version is None:
        return EngineVerdict(None, "OpenVINO is not installed (pip install 'fursure[fast]')")
    key = _key(version, model)
    known = _read()
    if key not in known:
        known[key] = _try(model)
        _remember({key: known[key]})
    return known[key]


def gpu_verdict(model: bytes, kind: GpuKind, *, again: bool = False) -> EngineVerdict:
    """Return what a graphics processor may run ``model`` in here, why in nothing faster, and when.

    What did not even start did so for every network, and is not tried for the next; ``again``
    tries what failed once more, for libraries may have been installed meanwhile.
    """
    known = known_gpu_verdict(model, kind)
    if known is None or (again and known.precision is None and gpu_version(kind) is not None):
        known, started = _try_gpu(model, kind)
        every, this = _gpu_key(kind, b""), _gpu_key(kind, model)
        _remember({this: known} if started else {every: known}, forget=(every, this))
    return known


def known_gpu_verdict(model: bytes, kind: GpuKind) -> EngineVerdict | None:
    """Return what is known without a trial: that there is nothing, or what an earlier one found."""
    if gpu_version(kind) is None:
        return EngineVerdict(None)
    known = _read()
    return known.get(_gpu_key(kind, b"")) or known.get(_gpu_key(kind, model))


def paying_gpus(model: bytes, photos: int) -> list[tuple[GpuKind, Precision]]:
    """Return the graphics processors that are quicker for so many photos, the soonest first."""
    verdicts = [(gpu_verdict(model, kind), kind) for kind in GPU_KINDS]
    paying = [
        (verdict.pays, kind, verdict.precision)
        for verdict, kind in verdicts
        if verdict.precision is not None and verdict.pays is not None and verdict.pays <= photos
    ]
    return [(kind, precision) for _, kind, precision in sorted(paying)]


def photos_to_count(model: bytes) -> int:
    """Return how many photos have to be counted before it is clear what runs them quickest."""
    verdicts = [gpu_verdict(model, kind) for kind in GPU_KINDS]
    pays = [verdict.pays or 0 for verdict in verdicts if verdict.precision is not None]
    return max([BULK, *(photos for photos in pays if photos <= _MOST_COUNTED)])


def vouch(model: bytes, precision: Precision | None, reason: str = "") -> None:
    """Keep a verdict on ``model`` that was found another way.

    Its encoder passed and it adds one dense layer to that, or its own answers were tried.
    """
    if (version := installed_version()) is not None:
        _remember({_key(version, model): EngineVerdict(precision, reason)})


def distrust(model: bytes, engine: str) -> None:
    """Let ``model`` run in something slower: what passed gave wrong golden answers."""
    kind, *_ = engine.split(" ")
    why = "its golden answers come out otherwise"
    if kind in GPU_KINDS:
        _remember({_gpu_key(kind, model): EngineVerdict(None, why)})
    elif kind == "openvino":
        fastest, *slower = (*trusted(engine_verdict(model).precision), None)
        vouch(model, slower[0] if slower else None, f"{fastest}: {why}")


def dismiss(kind: GpuKind, reason: str) -> None:
    """Keep in mind that a graphics processor does not start any more, until it is tried again."""
    _remember({_gpu_key(kind, b""): EngineVerdict(None, reason)})


def trusted(precision: Precision | None) -> tuple[Precision, ...]:
    """Return the precisions OpenVINO may use where ``precision`` is the fastest of them."""
    return () if precision is None else PRECISIONS[PRECISIONS.index(precision) :]


def about_engine(engine: str, model: bytes, *, asked: Engine, photos: int) -> Iterator[str]:
    """Yield what ran ``model`` and why nothing faster did, where that was ours to choose."""
    if asked == "auto" and photos >= BULK:
        reasons = [*about_gpus(model, engine), *_about_processor(model, engine)]
        yield f"engine: {engine} ({'; '.join(reasons)})" if reasons else f"engine: {engine}"


def about_gpus(model: bytes, engine: str = "") -> Iterator[str]:
    """Yield what is known of each graphics processor, but for the one that is ``engine``."""
    for kind in GPU_KINDS:
        verdict = known_gpu_verdict(model, kind) or EngineVerdict(None)
        if verdict.reason:
            yield f"{kind}: {verdict.reason}"
        if verdict.precision is not None and not engine.startswith(f"{kind} "):
            yield f"{kind} is slower" if verdict.pays is None else f"{kind} from {verdict.pays} on"


def _about_processor(model: bytes, engine: str) -> Iterator[str]:
    if engine.partition(" ")[0] not in GPU_KINDS and (reason := engine_verdict(model).reason):
        yield reason


def _key(version: str, model: bytes) -> str:
    return f"{TEST} | {version} | {_cpu()} | {hashlib.sha256(model).hexdigest()}"


def _gpu_key(kind: str, model: bytes) -> str:
    """Return the key of a verdict on ``model``, or of none, on every network."""
    version = gpu_version(kind)  # type: ignore[arg-type]
    return _key(f"{kind} {version} | {gpu_devices()}", model)


def _remember(verdicts: Mapping[str, EngineVerdict], forget: Iterable[str] = ()) -> None:
    """Keep verdicts; a folder that cannot be written only means another test next time."""
    with suppress(OSError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: verdict for name, verdict in _read().items() if name not in {*forget}}
        newest = list({**kept, **verdicts}.items())[-1000:]
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
        if {verdict.precision for verdict in read.values()} <= {*PRECISIONS, "f16", None}:
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
        for precision in left:
            if reasons.get(precision) == "":
                return EngineVerdict(precision, _listed(reasons))
    return EngineVerdict(None, f"its self-test failed ({_listed(reasons)})")


def _ask(model: bytes, precisions: Sequence[Precision]) -> dict[str, str]:
    """Return what is wrong with each precision the child came to, with the first at least."""
    lines, death = _child(model, precisions)
    reasons: dict[str, str] = dict(lines)
    reached = [precision for precision in precisions if precision not in reasons]
    if death and reached:
        reasons[reached[0]] = death
    return reasons


def _try_gpu(model: bytes, kind: GpuKind) -> tuple[EngineVerdict, bool]:
    """Return the fastest precision that passes, and whether the device started at all."""
    processor = engine_verdict(model).precision or "none"
    reasons: dict[str, str] = {}
    while left := [precision for precision in GPU_PRECISIONS[kind] if precision not in reasons]:
        lines, death = _child(model, [kind, processor, *left])
        for precision, reason, pays in lines:
            if not precision:
                return EngineVerdict(None, reason), False
            if not reason:
                return EngineVerdict(precision, _listed(reasons), pays), True
            reasons[precision] = reason
        reasons.setdefault(left[0], death)  # a crash in one leaves the next ones to try
    return EngineVerdict(None, f"its self-test failed ({_listed(reasons)})"), True


def _listed(reasons: Mapping[str, str]) -> str:
    return ", ".join(f"{precision}: {reason}" for precision, reason in reasons.items() if reason)


def _child(model: bytes, asked: Sequence[str]) -> tuple[list[Any], str]:
    """Return what the child said, line by line, and what ended it before it was done, or ""."""
    try:
        run = subprocess.run(
            [*SELFTEST_COMMAND, *asked],
            input=model,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [], f"it took more than {_PATIENCE:.0f} seconds"
    lines = list(_findings(run.stdout))
    return lines, "" if lines and not run.returncode else _death(run)


def _findings(stdout: bytes) -> Iterator[Any]:
    """Yield the child's findings; drivers and their libraries print there too."""
    for line in stdout.splitlines():
        with suppress(ValueError):
            if isinstance(finding := json.loads(line), list):
                yield finding


def _death(run: "subprocess.CompletedProcess[bytes]") -> str:
    if run.returncode < 0:
        return f"it died of signal {-run.returncode}"
    lines = run.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
    return f"it failed with {lines[-1][:200]}"
