"""What every peer is asked for. Its script hands over three functions; this reads the command line.

    python -m benchmarks.peers.NAME train FOLDER MODEL    learn train/, judge on test/, save
    python -m benchmarks.peers.NAME answer PHOTO MODEL    load what was saved, answer one photo
    python -m benchmarks.peers.NAME bulk FOLDER MODEL     the same for every photo of FOLDER

What follows MODEL is the script's own. One line of JSON says what came of it. This runs in the
peer's environment, so it imports nothing but the standard library.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

CORES = len(os.sched_getaffinity(0))
OPTIONS = sys.argv[4:]


def main(
    train: Callable[[Path, Path], tuple[float, int]],
    answer: Callable[[Path, Path], str],
    bulk: Callable[[Path, Path], int],
) -> None:
    """Do what the command line asks: accuracy and n, a label, or how many were answered."""
    subject, model = Path(sys.argv[2]).absolute(), Path(sys.argv[3]).absolute()
    model.mkdir(parents=True, exist_ok=True)
    match sys.argv[1]:
        case "train":
            accuracy, count = train(subject, model)
            result: dict[str, object] = {"accuracy": accuracy, "n": count}
        case "answer":
            result = {"answer": answer(subject, model)}
        case "bulk":
            result = {"n": bulk(subject, model)}
        case task:
            sys.exit(f"{task!r} is not train, answer or bulk")
    print(json.dumps(result))
