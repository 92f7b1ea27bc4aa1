"""A peer → its row: installed, trained and judged, asked once from a cold start, asked for all.

Every figure is a whole process, start to exit, in a folder of its own: nothing is cached when it
trains, and no weights come from a network. Whatever goes wrong becomes the row.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import Timed, megabytes, run
from benchmarks.peers.catalogue import ROOT, Environment, Peer

UV: tuple[str | Path, ...] = (Path(sys.executable).with_name("uv"),)
CORES = str(len(os.sched_getaffinity(0)))
COLD_ANSWERS = 3


class Failed(Exception):
    """A peer that has no figures, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one peer needed; without a reason, all of it was measured."""

    peer: str
    reason: str = ""  # why there are no figures
    installed: float = 0.0  # MB, its environment
    train: float = 0.0  # seconds
    cores: float = 0.0  # busy while it trained
    peak: float = 0.0  # MB, children's included
    accuracy: float = 0.0
    n: int = 0  # photos it was judged on
    answer: float = 0.0  # seconds, median of `COLD_ANSWERS`
    rate: float = 0.0  # photos a second, the start included


def measured(peer: Peer, environments: Path, photos: Path, work: Path, limit: float) -> Row:
    """Return the row of ``peer``, whose commands get ``limit`` seconds each.

    Its environment is made in ``environments``, or found there; ``work`` is a new folder.
    """
    try:
        environment = installed(peer.environment, environments, limit)
        return _timed(peer, environment, photos, work, limit)
    except Failed as failure:
        return Row(peer=peer.name, reason=str(failure))


def installed(environment: Environment, folder: Path, limit: float) -> Path:
    """Return the virtual environment with exactly these packages, made now or earlier.

    Raises:
        Failed: they cannot be installed here.
    """
    venv = folder / environment.name
    packages, note = "\n".join(environment.packages), venv / "packages.txt"
    ours = str(ROOT) in packages  # our own code changes without its version
    if note.is_file() and note.read_text() == packages and not ours:
        return venv
    shutil.rmtree(venv, ignore_errors=True)
    _install(["venv", "--quiet", "--python", sys.executable, venv], limit)
    # Compiled, as pip does it: else the first process to start would do it on its own time.
    install: list[str | Path] = [
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        venv / "bin/python",
    ]
    _install([*install, *environment.packages], limit)
    note.write_text(packages)
    return venv


def _install(arguments: Sequence[str | Path], limit: float) -> None:
    try:
        done = subprocess.run(
            [*UV, *arguments], check=False, capture_output=True, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"its installation took more than {limit / 60:.0f} minutes") from error
    if done.returncode != 0:
        raise Failed(f"it cannot be installed here: {_last_words(done.stderr)}")


def _timed(peer: Peer, venv: Path, photos: Path, work: Path, limit: float) -> Row:
    work.mkdir()
    photo = min((photos / "test").rglob("*.jpg"))
    trained, result = _done(peer, venv, "train", photos, work, limit)
    answers = [_done(peer, venv, "answer", photo, work, limit)[0].wall for _ in range(COLD_ANSWERS)]
    count = sum(1 for _ in (photos / "test").rglob("*.jpg"))
    bulk, answered = _done(peer, venv, "bulk", photos / "test", work, limit)
    if answered.get("n", count) != count:
        raise Failed(f"`bulk` answered {answered['n']} of {count} photos")
    return Row(
        peer=peer.name,
        installed=megabytes(venv),
        train=trained.wall,
        cores=trained.cpu / trained.wall,
        peak=max(trained.peak, trained.family),
        accuracy=result["accuracy"],
        n=result["n"],
        answer=median(answers),
        rate=count / bulk.wall,
    )


def _done(
    peer: Peer, venv: Path, task: str, subject: Path, work: Path, limit: float
) -> tuple[Timed, dict[str, Any]]:
    """Return how a task went and what it said, or raise why it did not."""
    log = work / f"{task}.log"
    timed = run(
        command(peer, venv, task, subject, work / "model"),
        env=_surroundings(work) | dict(peer.env),
        log=log,
        limit=limit,
        family=True,
    )
    if timed.wall > limit:
        raise Failed(f"`{task}` took more than {limit / 60:.0f} minutes")
    if timed.code != 0:
        raise Failed(f"`{task}` failed: {_last_words(log.read_text(errors='replace'))}")
    return timed, _result(timed.stdout)


def command(peer: Peer, venv: Path, task: str, subject: Path, model: Path) -> list[str | Path]:
    """Return what is typed for a task: a peer's script, or what fursure's own manual says."""
    if peer.script is not None:
        return [venv / "bin/python", "-m", peer.script, task, subject, model, *peer.options]
    fursure, file = venv / "bin/fursure", model.with_suffix(".fursure")
    match task:
        case "train":
            return [fursure, "train", subject, "-o", file, "--json", "-q", *peer.options]
        case "answer":
            return [fursure, "predict", "-m", file, "--json", "-q", subject]
        case _:
            return [
                fursure,
                "predict",
                "-m",
                file,
                "--csv",
                model.with_suffix(".csv"),
                "-q",
                subject,
            ]


def _surroundings(work: Path) -> dict[str, str]:
    """Return settings for every peer alike: caches empty, all cores, no weights from a network."""
    caches = ("FURSURE_HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "YOLO_CONFIG_DIR")
    return {
        **{name: str(work / name.lower()) for name in (*caches, "MPLCONFIGDIR", "KERAS_HOME")},
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), CORES),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def _result(stdout: str) -> dict[str, Any]:
    """Return the last line that is an object of JSON: libraries talk on standard output too."""
    for line in reversed(stdout.splitlines()):
        if line.startswith("{"):
            said: dict[str, Any] = json.loads(line)
            figures = said.get("figures")
            return said if figures is None else _ours(figures)
    return {}


def _ours(figures: dict[str, Any]) -> dict[str, Any]:
    return {"accuracy": figures["accuracy"]["value"], "n": figures["n"]}


def _last_words(text: str) -> str:
    """Return what a process said last, or the last error it named: notes may follow one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|NotFound)\b.*: ", line)]
    return (errors or lines)[-1][:300]
