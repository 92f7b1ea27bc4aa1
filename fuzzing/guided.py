"""Inputs by coverage: atheris (libFuzzer) chooses what to go on from, where it is installed.

It is no dependency: ``pip install atheris`` on Linux or macOS. Every module of fursure that a door
imports reports the branches it takes, and an input that takes a new one is kept.
"""

import os
import random
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic
from typing import TYPE_CHECKING

import atheris

from fuzzing.targets import Target, opened

if TYPE_CHECKING:
    from fuzzing.worker import Worker

OWN = 0.3  # share of the inputs that libFuzzer changes by itself
LONGEST = 2**17  # bytes
OFF: tuple[str, ...] = (
    "rss_limit_mb",
    "timeout",
    "handle_segv",
    "handle_abrt",
    "handle_bus",
    "handle_fpe",
)
OFF += ("handle_int", "handle_term", "handle_ill", "print_final_stats", "detect_leaks")
USED_UP = 3  # the exit code that asks for a new process


def loaded(name: str) -> Target:
    """Return a target whose modules report what they run."""
    with atheris.instrument_imports(include=["fursure"]):
        return opened(name)


def fuzz(worker: "Worker", target: Target, options: Namespace) -> None:
    """Try inputs until their number or their time is over; then this process ends."""
    change = target.mutator()
    folder = Path(mkdtemp(prefix="corpus-"))
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)

    def changed(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < OWN:
            mutated: bytes = atheris.Mutate(data, most)
            return mutated
        return change(data, chance)[:most]

    end, figures = monotonic() + options.seconds, worker.trial.figures

    def tried(data: bytes) -> None:
        if worker.tried(data):
            os._exit(USED_UP)
        if monotonic() > end or figures.inputs >= options.inputs:
            os._exit(0)  # libFuzzer would take its own end for the door's

    flags = [f"-seed={options.seed * 1000 + options.turn + 1}", f"-max_len={LONGEST}"]
    flags += ["-verbosity=0", *(f"-{name}=0" for name in OFF)]
    atheris.Setup([sys.argv[0], str(folder), *flags], tried, custom_mutator=changed)
    atheris.Fuzz()
