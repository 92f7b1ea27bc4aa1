"""A network that holds a package's weights → its splice: everything but those weights."""

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from fursure.graphs.splice import spliced, tensor

SMALLEST = 64  # bytes; a shorter tensor may stand in the network by chance, and costs nothing


class Piece(NamedTuple):
    """Where a tensor lies in a file of weights, as `fursure.graphs.splice` writes it."""

    offset: int  # bytes
    shape: list[int]  # as stored
    order: list[int]  # of its axes in the network


def cut(network: bytes, name: str, weights: bytes, pieces: Iterable[Piece]) -> bytes:
    """Return the splice that gives ``network`` back, which is tried."""
    spots = {}
    for piece in pieces:
        taken = tensor(weights, *piece)
        if len(taken) >= SMALLEST and (spot := network.find(taken)) >= 0:
            spots[spot] = (piece, len(taken))
    parts: list[int | Piece] = []
    between, at = b"", 0
    for spot, (piece, length) in sorted(spots.items()):
        assert spot >= at, "two tensors overlap in the network"
        parts += [spot - at, piece]
        between += network[at:spot]
        at = spot + length
    parts.append(len(network) - at)
    header = {"weights": name, "sha256": hashlib.sha256(network).hexdigest(), "parts": parts}
    splice = json.dumps(header, separators=(",", ":")).encode() + b"\n" + between + network[at:]
    assert spliced(splice)[0] == network
    return splice


def pieces_of(splice: bytes) -> list[Piece]:
    """Return the pieces of an earlier splice, to cut another network with the same weights."""
    parts = json.loads(splice.partition(b"\n")[0])["parts"]
    return [Piece(*part) for part in parts if not isinstance(part, int)]
