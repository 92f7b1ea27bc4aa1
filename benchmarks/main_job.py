"""Photos → model → answer, measured: the table of docs/experiments.md.

    make bench          (about nine minutes on two cores, six of them the peer's; --no-peer)

Every figure is a whole process, start to exit. The network alone, at its measured peak in the
same run, is the physical limit that the ratios are taken against.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.machine import Timed, described, fastest_of, megabytes, run
from benchmarks.peers.photos import unpack

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("FURSURE_DATA", ROOT.parent / "shared"))
PHOTOS = SHARED / "data" / "cats-vs-dogs-12000.zip"
ELSEWHERE = SHARED / "data" / "elsewhere-300.zip"
BACKBONE = "lite0"  # the default: what a newcomer waits for
WEIGHTS = SHARED / "weights" / "mobilenetv2_100.tf_in1k"  # what the peer can load
FURSURE = [Path(sys.executable).with_name("fursure")]
COUNT = 12_000


@dataclass(slots=True)
class Table:
    """Rows of what was asked and what was found, printed as they come."""

    rows: list[str] = field(default_factory=list)

    def add(self, what: str, target: str, found: str, *, met: bool) -> None:
        """Print one row."""
        row = f"| {what} | {target} | {found} | {'yes' if met else '**no**'} |"
        self.rows.append(row)
        print(row, flush=True)


def main() -> None:
    """Measure everything."""
    if not PHOTOS.is_file():
        sys.exit(f"no photos at {PHOTOS}; set FURSURE_DATA")
    print(f"{described()}\n\n| what | target | measured | met |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "home"
        env = {"FURSURE_HOME": str(home)}
        table = Table()
        peak = _peak(env)
        model = folder / "pets.fursure"
        _train(table, folder, model, env, peak)
        _quality(table, model, env)
        _cold_starts(table, folder, model, env)
        _bulk(table, folder, model, env, peak)
        _scan(table, folder)
        _install(table, folder)


def _peak(env: dict[str, str]) -> float:
    """Return what the network alone reaches, in photos a second."""
    command = [sys.executable, "-m", "benchmarks.engine_peak", BACKBONE]
    # Its engine is tested in another home: that belongs to a first training, not to the limit.
    env = env | {"FURSURE_HOME": f"{env['FURSURE_HOME']}-peak"}
    _checked(run(command, env=env))
    engine, rate = _checked(run(command, env=env)).stdout.strip().split("|")
    print(f"| the network alone, {engine} | | {float(rate):.0f} photos/s | |", flush=True)
    return float(rate)


def _train(table: Table, folder: Path, model: Path, env: dict[str, str], peak: float) -> None:
    command = [*FURSURE, "train", PHOTOS, "-q"]
    cold = _checked(run([*command, "-o", model], env=env))
    limit = COUNT / peak
    table.add(
        "train on 12,000 photos, nothing cached, the engine's self-test and the page included",
        "≤ 1.25 × the network alone",
        f"{cold.wall:.1f} s, {cold.wall / limit:.2f} × the network alone ({limit:.1f} s); "
        f"{cold.cpu / cold.wall:.2f} cores busy; {cold.peak:.0f} MB at most",
        met=cold.wall <= 1.25 * limit and cold.peak <= 700,
    )
    if "--no-peer" not in sys.argv:
        _peer(table, folder, cold)
    warm = [
        _checked(run([*command, "-o", folder / f"again{number}.fursure"], env=env)).wall
        for number in range(5)
    ]
    again = sorted(warm)[2]
    table.add(
        "train again, features cached, another name, the page included",
        "≤ 2.5 s, or 9 % of the first, whichever is longer",
        f"{again:.2f} s ({min(warm):.2f} to {max(warm):.2f}), {again / cold.wall:.1%}",
        met=again <= max(2.5, 0.09 * cold.wall),
    )


def _peer(table: Table, folder: Path, cold: Timed) -> None:
    photos = unpack(PHOTOS, folder / "photos", COUNT)
    script = [sys.executable, "-m", "benchmarks.peers.timm_sklearn", "train"]
    peer = _checked(run([*script, photos, folder / "peer", WEIGHTS]))
    shutil.rmtree(photos)
    result = json.loads(peer.stdout)
    table.add(
        "the same by timm eager fp32 + scikit-learn",
        "≥ 5 × slower",
        f"{peer.wall:.0f} s, {peer.wall / cold.wall:.1f} × "
        f"(accuracy {result['accuracy']:.4f}, n = {result['n']})",
        met=peer.wall >= 5 * cold.wall,
    )


def _quality(table: Table, model: Path, env: dict[str, str]) -> None:
    from fursure.bundle.bundle import Bundle
    from fursure.metrics.classification import Evaluation

    figures = {k: v for k, v in Bundle.read(model).meta.figures.items() if k != "basis"}
    own = Evaluation.from_json(figures)
    told = _checked(run([*FURSURE, "evaluate", model, ELSEWHERE, "--json", "-q"], env=env))
    values: dict[str, Any] = json.loads(told.stdout)
    other = Evaluation.from_json({name: values[name] for name in figures})
    for name, one in (("its own test photos", own), ("elsewhere-300", other)):
        table.add(
            f"accuracy, log loss on {name}",
            "≥ 98.5 %, ≤ 0.042",
            f"{one.accuracy}; {one.log_loss}",
            met=one.accuracy.value >= 0.985 and one.log_loss.value <= 0.042,
        )


def _cold_starts(table: Table, folder: Path, model: Path, env: dict[str, str]) -> None:
    photo = folder / "one.jpg"
    with zipfile.ZipFile(ELSEWHERE) as archive:
        photo.write_bytes(archive.read(archive.namelist()[0]))
    bare = _bare_start(folder)
    for name, command in [
        ("`fursure predict one.jpg`, pets", [*FURSURE, "predict", photo]),
        ("the same, the model above", [*FURSURE, "predict", "-m", model, photo]),
        ("`fursure --help`", [*FURSURE, "--help"]),
    ]:
        low, middle, high = fastest_of(command, 9, env)
        table.add(
            name,
            "≤ 1.25 × the bare start",
            f"{middle:.3f} s ({low:.3f} to {high:.3f}), {middle / bare:.2f} ×",
            met=middle <= 1.25 * bare,
        )


def _bare_start(folder: Path) -> float:
    """Return the seconds in which Python, NumPy and ONNX Runtime load the graph of `pets`."""
    from fursure.bundle.named import shipped

    graph = folder / "pets.onnx"
    graph.write_bytes(shipped("pets").model)
    code = "import sys, numpy, onnxruntime as o; o.InferenceSession(open(sys.argv[1], 'rb').read())"
    env = {"ORT_DISABLE_TELEMETRY": "1"}
    low, middle, high = fastest_of([sys.executable, "-c", code, graph], 9, env)
    print(f"| the bare start | | {middle:.3f} s ({low:.3f} to {high:.3f}) | |", flush=True)
    return middle


def _bulk(table: Table, folder: Path, model: Path, env: dict[str, str], peak: float) -> None:
    command = [*FURSURE, "predict", "-m", model, "--csv", folder / "all.csv", "-q", PHOTOS]
    bulk = _checked(run(command, env=env))
    rate = COUNT / bulk.wall
    table.add(
        "predict 12,000 photos of a zip",
        "≥ 88 % of the peak",
        f"{rate:.0f} photos/s, {rate / peak:.0%}, the start included; "
        f"{bulk.cpu / bulk.wall:.2f} cores busy",
        met=rate >= 0.88 * peak,
    )
    settled = [one for one in bulk.rss[len(bulk.rss) // 4 :] if one]
    table.add(
        "its memory",
        "≤ 300 MB, flat",
        f"{bulk.peak:.0f} MB at most; {settled[0]:.0f} MB after a quarter, "
        f"{settled[-2]:.0f} MB at the end",
        met=bulk.peak <= 300 and settled[-2] <= 1.1 * settled[0],
    )


def _scan(table: Table, folder: Path) -> None:
    copy = folder / "re-encoded.zip"
    with zipfile.ZipFile(PHOTOS) as archive, zipfile.ZipFile(copy, "w") as target:
        for name in archive.namelist():
            with io.BytesIO() as buffer:
                Image.open(io.BytesIO(archive.read(name))).save(buffer, "JPEG", quality=70)
                target.writestr(name, buffer.getvalue())
    command = [sys.executable, "-m", "benchmarks.scan_photos", PHOTOS, copy]
    env = {"FURSURE_HOME": str(folder / "scan-home")}
    cold = _checked(run(command, env=env))
    warm = sorted(_checked(run(command, env=env)).wall for _ in range(3))
    table.add(
        "scan, hash and group 24,000 photos, cold",
        "≤ 20 s",
        f"{cold.wall:.1f} s ({cold.stdout.strip()})",
        met=cold.wall <= 20,
    )
    table.add(
        "the same, warm",
        "≤ 3 s",
        f"{warm[1]:.2f} s ({warm[0]:.2f} to {warm[-1]:.2f})",
        met=warm[1] <= 3,
    )


def _install(table: Table, folder: Path) -> None:
    for extras, most in (("", 190), ("[train,fast]", 420)):
        wall, size, torch = _installed(folder / "venv", extras)
        table.add(
            f"base{extras} in a new venv, package cache warm",
            f"≤ {most} MB, no torch",
            f"{wall:.1f} s, {size:.0f} MB, {'with' if torch else 'no'} torch",
            met=size <= most and not torch,
        )


def _installed(venv: Path, extras: str) -> tuple[float, float, bool]:
    """Return the seconds an installation takes, its megabytes, and whether torch came along."""
    uv = Path(sys.executable).with_name("uv")
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", venv / "bin" / "python",
         "-c", ROOT / "requirements.lock", f"{ROOT}{extras}"],
        check=True,
    )  # fmt: skip
    wall = time.perf_counter() - began
    size = megabytes(venv)
    torch = any((venv / "lib").glob("python*/site-packages/torch"))
    shutil.rmtree(venv)
    return wall, size, torch


def _checked(timed: Timed) -> Timed:
    if timed.code != 0:
        sys.exit(f"a measured command failed with code {timed.code}: {timed.stdout}")
    return timed


if __name__ == "__main__":
    main()
