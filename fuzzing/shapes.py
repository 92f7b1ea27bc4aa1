"""Formats whose checks have to fit → the same, changed inside: sums, lengths and brackets hold.

Changed byte by byte, nearly every PNG, tar or bundle would be refused by its checksum and every
JSON by its first comma, and what lies behind would never be tried.
"""

import gzip
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from fuzzing.mutate import Chance, Change

HOSTILE: list[Any] = [
    None, True, -1, 0, 10**18, -(10**18), 1e308, 5e-324, -0.5, "", "x" * 2000, "\x1b[2J", [], {},
    [[]], [None], {"value": []}, "e", ["cat"], {"cat": {"train": "many"}},
]  # fmt: skip
TEXTS = ["1e999", "-1e999", "NaN", "Infinity", "1" * 5000, '"\\ud800"', "[" * 30 + "]" * 30]
SUMS = "SHA256SUMS"
BLOCK = 512  # bytes of a tar's header


def either(*changes: Change) -> Change:
    """Return a change that is one of ``changes``, by chance."""
    return lambda data, chance: chance.choice(changes)(data, chance)


# JSON


def places(values: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each value inside ``values``."""
    keys: Any = ()
    if isinstance(values, dict):
        keys = list(values)
    elif isinstance(values, list):
        keys = range(len(values))
    inner = [place for key in keys for place in places(values[key], (*at, key))]
    return [*([at] if at else []), *inner]


def json_changed(text: bytes, chance: Chance) -> bytes:
    """Return a JSON text with one value removed, repeated or replaced by a hostile one."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return text
    ways = places(values)
    if not ways:
        return json.dumps(chance.choice(HOSTILE)).encode()
    *way, last = chance.choice(ways)
    table = values
    for key in way:
        table = table[key]
    match chance.randrange(4):
        case 0 if isinstance(table, dict):
            del table[last]
        case 1:
            table[last] = [table[last]] * chance.choice([0, 1, 3])
        case 2:
            table[last] = "\0HERE"
            return json.dumps(values).replace('"\\u0000HERE"', chance.choice(TEXTS)).encode()
        case _:
            table[last] = chance.choice(HOSTILE)
    return json.dumps(values).encode()


def json_lines(change: Change) -> Change:
    """Return a change of one line of a text by ``change``."""

    def changed(text: bytes, chance: Chance) -> bytes:
        lines = text.split(b"\n")
        at = chance.randrange(len(lines))
        lines[at] = change(lines[at], chance)
        return b"\n".join(lines)

    return changed


def headed(change: Change) -> Change:
    """Return a change of what follows an input's first line, which is left alone."""

    def changed(data: bytes, chance: Chance) -> bytes:
        line, _, rest = data.partition(b"\n")
        return line + b"\n" + change(rest, chance)

    return changed


# PNG and TAR


def png(change: Change) -> Change:
    """Return a change of one chunk of a PNG, unpacked where it is; its length and its sum fit."""

    def changed(data: bytes, chance: Chance) -> bytes:
        chunks = list(_chunks(data))
        if not chunks:
            return change(data, chance)
        at = chance.randrange(len(chunks))
        kind, body = chunks[at]
        match chance.randrange(6):
            case 0:
                chunks.insert(chance.randrange(len(chunks)), (kind, body))
            case 1:
                del chunks[at]
            case 2 if kind == b"IDAT":
                chunks[at] = kind, zlib.compress(change(_inflated(body), chance), 1)
            case _:
                chunks[at] = kind, change(body, chance)
        return data[:8] + b"".join(map(_chunk, chunks))

    return changed


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _inflated(body: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, 2**16)
    except zlib.error:
        return body


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    kind, body = chunk
    kind = kind.ljust(4, b"a")
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tar(change: Change) -> Change:
    """Return a change of a tar whose headers' sums fit, packed again where it was."""

    def changed(data: bytes, chance: Chance) -> bytes:
        if data.startswith(b"\x1f\x8b") and chance.random() < 0.8:
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error):
                return change(data, chance)
            return gzip.compress(_summed(change(data, chance)), 1, mtime=0)
        return _summed(change(data, chance))

    return changed


def _summed(data: bytes) -> bytes:
    blocks = bytearray(data)
    for at in range(0, len(blocks) - BLOCK + 1, BLOCK):
        if blocks[at + 257 : at + 262] == b"ustar":
            blocks[at + 148 : at + 156] = b" " * 8
            blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + BLOCK])
    return bytes(blocks)


# Zips


def members_of(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip, none of what is no zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:  # mutated before: hostile bytes raise a dozen kinds
        return {}


def zipped(members: dict[str, bytes]) -> bytes:
    """Return an uncompressed zip of the members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return buffer.getvalue()


def inside(change: Change) -> Change:
    """Return a change of one member of a zip, whose sums and sizes fit."""

    def changed(data: bytes, chance: Chance) -> bytes:
        members = members_of(data)
        if not members:
            return change(data, chance)
        name = chance.choice(sorted(members))
        return zipped(members | {name: change(members[name], chance)})

    return changed


def summed(members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the members of a bundle with the sums of what they are now."""
    contents = {name: data for name, data in members.items() if name != SUMS}
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items()]
    return contents | {SUMS: "".join(lines).encode()}


def bundle(change: Change, by_name: dict[str, Change]) -> Change:
    """Return a change of one member of a bundle, summed anew: by its name, or by ``change``."""

    def changed(data: bytes, chance: Chance) -> bytes:
        members = members_of(data)
        if not members:
            return change(data, chance)
        name = chance.choice([*sorted(members), *by_name])
        own = by_name.get(name, change)
        forged = members | {name: own(members.get(name, b""), chance)}
        return zipped(summed(forged) if name != SUMS else forged)

    return changed
