"""Try very many inputs at every door of fursure: ``make fuzz``, or ``python -m fuzzing NAME…``.

Each door is tried in processes of its own, which are replaced when an input ends them. The input
is saved, with what is known of it; the last lines tell for each door what was done and found.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from fuzzing.targets import PLANTED, TARGETS, Target, opened
from fuzzing.trial import Allowance, Board, Figures, Finding, Trial
from fuzzing.worker import FULL, saved

STUCK = 60.0  # seconds without a new input, and without using the processor up
HANGS = -signal.SIGPROF
STUCK_CODE = 10**6  # no process ends with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was done and found at one door."""

    name: str
    figures: Figures
    found: Sequence[Path]

    def __str__(self) -> str:
        """Return the line of it."""
        figures = self.figures
        return (
            f"{self.name:21} {figures.inputs:11,} inputs "
            f"{figures.inputs / max(figures.busy, 1e-9):8,.0f}/s   "
            f"slowest {figures.slowest:6.3f} s   peak {figures.peak / 2**20:5.0f} MiB   "
            f"{len(self.found)} found"
        )


def main() -> int:
    """Fuzz, and return 1 where anything was found."""
    options = _options()
    if options.again is not None:
        return _again(options)
    names = options.names or list(TARGETS)
    shares = {name: (TARGETS | PLANTED)[name].share for name in names}
    jobs = min(options.jobs, len(names))
    unit = options.seconds * jobs / sum(shares.values())
    results = []
    with ThreadPoolExecutor(jobs) as pool:
        running = [
            pool.submit(_fuzzed, name, min(unit * shares[name], options.seconds), options)
            for name in sorted(names, key=lambda name: -shares[name])
        ]
        for one in running:
            results.append(one.result())
            print(results[-1], flush=True)
    total = sum(result.figures.inputs for result in results)
    found = [path for result in results for path in result.found]
    print(f"{total:,} inputs at {len(results)} doors, {len(found)} findings")
    for path in found:
        print(f"  {path}")
    return 1 if found else 0


def _fuzzed(name: str, seconds: float, options: Namespace) -> Result:
    """Try inputs at one door, in one process after the other."""
    began, turn = monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="fursure-fuzz-") as folder:
        board = Board(Path(folder) / "board")
        while turn <= options.deaths:
            left = seconds - (monotonic() - began)
            code, errors = _worked(name, left, turn, Path(folder), board, options)
            if code == 0:
                break
            turn += 1
            if code != FULL:
                figures, data = board.read()
                saved(options.found, name, data, _death(code, errors))
                figures.inputs += 1
                board.write(figures, b"")
            if left <= 0 or board.read()[0].inputs >= options.inputs:
                break
        found = sorted(set(options.found.glob(f"{name}-*")) - set(options.found.glob("*.json")))
        found = [path for path in found if _name_of(path) == name]
        return Result(name=name, figures=board.read()[0], found=found)


def _worked(
    name: str, seconds: float, turn: int, folder: Path, board: Board, options: Namespace
) -> tuple[int, str]:
    """Run one process to its end, and return its code and what it printed on standard error."""
    command = [
        *(sys.executable, "-m", "fuzzing.worker", name, "--board", str(folder / "board")),
        *("--found", str(options.found), "--seed", str(options.seed), "--turn", str(turn)),
        *("--inputs", str(options.inputs), "--seconds", str(seconds)),
        *("--deadline", str(options.deadline), "--memory", str(options.memory)),
        *(["--guided"] * options.guided),
    ]
    with (folder / "errors").open("w+b") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | {"TMPDIR": str(folder)},
        )
        tried, stuck = board.read()[0].inputs, False
        while process.poll() is None:
            try:
                process.wait(STUCK)
            except subprocess.TimeoutExpired:
                now = board.read()[0].inputs
                if stuck := now == tried and _waits(process.pid):
                    process.kill()
                tried = now
        errors.seek(max(0, errors.tell() - 20_000))
        text = errors.read().decode(errors="replace")
        return (STUCK_CODE if stuck else process.returncode), text


def _waits(process: int) -> bool:
    """Return whether a process waits for something else than the processor."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "R"
    except OSError:  # no Linux
        return True


def _death(code: int, errors: str) -> Finding:
    if code == HANGS:
        return Finding(kind="hang", place=_last_place(errors), text=errors)
    if code == STUCK_CODE:
        text = f"nothing happened for {STUCK:g} seconds\n{errors}"
        return Finding(kind="stuck", place="", text=text)
    how = signal.Signals(-code).name if code < 0 else f"code {code}"
    return Finding(kind="crash", place=f"{how} {_last_place(errors)}", text=errors)


def _last_place(errors: str) -> str:
    """Return the innermost line of ours that faulthandler printed."""
    lines = [line for line in errors.splitlines() if "File" in line and "/fursure/" in line]
    lines = lines or [line for line in errors.splitlines() if "File" in line and "fuzzing" in line]
    return lines[0].rpartition("/")[2].replace('"', "") if lines else ""


def _name_of(path: Path) -> str:
    try:
        note = json.loads(path.with_name(path.name + ".json").read_text())
    except (OSError, ValueError):
        return ""
    return str(note["target"])


def _again(options: Namespace) -> int:
    """Try one file again, in this process, which may end of it."""
    (name,) = options.names
    target: Target = opened(name)
    trial = Trial(target, Allowance(seconds=options.deadline, memory=options.memory * 2**20))
    outcome, finding = trial(options.again.read_bytes())
    slowest, peak = trial.figures.slowest, trial.figures.peak / 2**20
    print(f"{outcome}, {slowest:.3f} s, {peak:.0f} MiB")
    if finding is not None:
        print(f"{finding.kind}: {finding.place}\n{finding.text}")
    return 1 if finding else 0


def _options() -> Namespace:
    parser = ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all of them together")
    parser.add_argument("--inputs", type=int, default=2**62, help="at each, if that comes first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds of an input")
    parser.add_argument("--memory", type=int, default=512, help="MiB of an input")
    parser.add_argument("--deaths", type=int, default=50, help="processes that may die at each")
    parser.add_argument("--found", type=Path, default=Path("found"), help="where findings go")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try this one input at NAME")
    parser.add_argument(
        "--guided",
        action="store_true",
        default=find_spec("atheris") is not None,
        help="by coverage, with atheris: where it is installed, unless --unguided",
    )
    parser.add_argument("--unguided", dest="guided", action="store_false")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in TARGETS | PLANTED]:
        parser.error(f"no door is called {unknown[0]!r}; there are {', '.join(TARGETS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
