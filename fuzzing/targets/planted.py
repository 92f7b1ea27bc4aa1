"""Doors with a known flaw each: a fuzzer that does not find it finds nothing."""

import os
import signal

from fuzzing.targets import Target


class Refused(Exception):
    """What these doors promise."""


def _crash(_: bytes) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang(_: bytes) -> None:
    while True:
        pass


def _memory(_: bytes) -> None:
    held = bytearray(96 * 2**20)
    held[:: 2**12] = b"x" * len(held[:: 2**12])  # memory counts once it is written to


def _error(data: bytes) -> None:
    known: dict[bytes, int] = {}
    known[data]


def _hidden_memory(_: bytes) -> None:
    try:
        bytearray(2**40)
    except MemoryError as error:
        raise Refused("too large") from error


FLAWS = {
    "planted-crash": _crash,
    "planted-hang": _hang,
    "planted-memory": _memory,
    "planted-error": _error,
    "planted-hidden-memory": _hidden_memory,
}


def target(name: str) -> Target:
    """Return a door that falls to any input with a ``!``, which no seed has; or to none."""
    flaw = FLAWS.get(name)

    def call(data: bytes) -> None:
        if b"!" in data and flaw is not None:
            flaw(data)
        raise Refused("no")

    seeds = [b"one two three", b"four five six"]
    return Target(call=call, promised=(Refused,), seeds=seeds, words=[b"!"])
