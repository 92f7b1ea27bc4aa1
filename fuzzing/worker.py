"""``python -m fuzzing.worker NAME …``: tries inputs at one door until a number or a time is over.

It is a process of its own, because some findings end the process. What it keeps of its inputs are
those with an outcome that no other had: another sentence, another line of code.
"""

import faulthandler
import json
import random
import sys
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Hashable, Iterator
from dataclasses import asdict
from pathlib import Path

from fuzzing.mutate import Chance
from fuzzing.targets import Target, opened
from fuzzing.trial import Allowance, Board, Finding, Trial, minimised

KEPT = 4000  # inputs whose outcome was new
FULL = 3  # this exit code asks for a new process: the peak of this one hides what others take


def main() -> int:
    """Run, and return 0 once all is done."""
    options = _options()
    warnings.simplefilter("error")
    faulthandler.enable()
    if options.guided:
        from fuzzing.guided import loaded

        target = loaded(options.target)
    else:
        target = opened(options.target)
    board = Board(options.board)
    allowance = Allowance(seconds=options.deadline, memory=options.memory * 2**20)
    trial = Trial(target, allowance, board.read()[0])
    worker = Worker(trial, board, options.found, options.target)
    if options.guided:
        from fuzzing.guided import fuzz

        fuzz(worker, target, options)
        return 0
    for data in _inputs(target, worker, options):
        if worker.tried(data):
            return FULL
    return 0


class Worker:
    """What was found at one door, and what is worth going on from."""

    def __init__(self, trial: Trial, board: Board, found: Path, name: str) -> None:
        self.trial, self.board, self.found, self.name = trial, board, found, name
        self.new: list[bytes] = []
        self._outcomes: set[Hashable] = set()

    def tried(self, data: bytes) -> bool:
        """Try one input, save what is wrong with it, and return whether this process is used up."""
        self.board.write(self.trial.figures, data)
        outcome, finding = self.trial(data)
        if outcome not in self._outcomes and len(self.new) < KEPT:
            self._outcomes.add(outcome)
            self.new.append(data)
        if finding is not None:
            self._save(data, finding)
        self.board.write(self.trial.figures, b"")
        return self.trial.used_up

    def _save(self, data: bytes, finding: Finding) -> None:
        if saved(self.found, self.name, data, finding) and finding.kind == "error":

            def fails(shorter: bytes) -> bool:
                self.board.write(self.trial.figures, shorter)
                other = self.trial(shorter)[1]
                return other is not None and other.place == finding.place

            path = path_of(self.found, self.name, finding)
            path.write_bytes(minimised(data, fails))


def path_of(folder: Path, name: str, finding: Finding) -> Path:
    """Return where the first input of a finding lies."""
    place = "".join(letter if letter.isalnum() else "-" for letter in finding.place)
    return folder / f"{name}-{finding.kind}-{place[:80]}"


def saved(folder: Path, name: str, data: bytes, finding: Finding) -> bool:
    """Write an input and what is known of it, unless there is one of the same place already."""
    path = path_of(folder, name, finding)
    if path.exists():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    note = asdict(finding) | {"target": name, "again": f"python -m fuzzing --again {path} {name}"}
    path.with_name(path.name + ".json").write_text(json.dumps(note, indent=1))
    return True


def _inputs(target: Target, worker: Worker, options: Namespace) -> Iterator[bytes]:
    """Yield the seeds, then changes of them and of what had a new outcome, as long as is asked."""
    chance: Chance = random.Random(f"{options.seed}/{options.target}/{options.turn}")
    end = time.monotonic() + options.seconds
    seeds, change = list(target.seeds), target.mutator()
    if not options.turn:  # a seed that ended the process is not tried again
        yield from seeds
    while worker.trial.figures.inputs < options.inputs and time.monotonic() < end:
        pool = worker.new if worker.new and chance.random() < 0.6 else seeds
        yield change(pool[int(chance.random() * len(pool))], chance)


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--board", type=Path, required=True)
    parser.add_argument("--found", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turn", type=int, default=0, help="processes that died before this one")
    parser.add_argument("--inputs", type=int, default=2**62)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds of an input")
    parser.add_argument("--memory", type=int, default=512, help="MiB of an input")
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
