"""The photos of a data set as one immutable table, in memory and on disk."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from fursure.dataset.naming import is_label, label_from
from fursure.errors import BadData, some
from fursure.files import replacing
from fursure.rows.columns import Coded
from fursure.rows.photo import SPLITS, Photo, Split
from fursure.rows.photo_table import PhotoTable

_FORMAT = "fursure manifest 1"
_LONGEST_LINE = 1 << 20  # bytes; ten times what the longest path needs


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Manifest:
    """All photos of a data set, usable or not, and what else lay there."""

    root: str  # the folder that paths are relative to
    photos: Sequence[Photo]  # many as a `PhotoTable`
    skipped: Mapping[str, int]  # files that are no photos, by kind: {".txt": 3, "Thumbs.db": 1}
    notes: tuple[str, ...] = field(default=(), compare=False)  # of how it was read; not saved

    def __repr__(self) -> str:
        """Return what it is, on one line and without its photos."""
        return f"Manifest({self.root!r}: {len(self.photos):,} photos; {some(self.labels)})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in order; one whose photos are all unusable is still a class."""
        labels = PhotoTable.of(self.photos).labels.present()
        return tuple(label for label in labels if label is not None)

    @property
    def usable(self) -> PhotoTable:
        """The photos that nothing is wrong with."""
        return PhotoTable.of(self.photos).usable

    @property
    def digest(self) -> str:
        """The identity of the data: a SHA-256 over content, label and split of usable photos.

        Neither names, order nor place matter, so a copy of a data set is the same data. The split
        does: the same photos divided differently make another model.

        Raises:
            ValueError: a usable photo has not been scanned, so its content is unknown.
        """
        photos = self.usable
        if photos.digests.are("").any():
            raise ValueError("the digest of a manifest needs scanned photos")
        text = {kind: json.dumps(kind)[1:] for kind in self.counts()}
        kinds = Coded.of(map(text.__getitem__, zip(photos.labels, photos.splits, strict=True)))
        order_N = np.lexsort([kinds.code_N, photos.digests.code_N])
        rows = zip(photos.digests.at(order_N), kinds.at(order_N), strict=True)
        result, end = hashlib.sha256(), ""
        for digest, kind in rows:
            result.update(f'{end}["{digest}", {kind}'.encode())
            end = "\n"
        return result.hexdigest()

    def renamed(self, names: Mapping[str, str]) -> "Manifest":
        """Return the same photos with the labels of ``names`` changed to others.

        Raises:
            BadData: no photo has such a label.
        """
        if unknown := sorted(names.keys() - set(self.labels)):
            raise BadData(
                f"no photo has the label {unknown[0]!r}, which is to be renamed; there are "
                f"{some(map(repr, self.labels), most=10)}."
            )
        new = {old: label_from(name) for old, name in names.items()}
        photos = PhotoTable.of(self.photos)
        labels = Coded.of(new.get(label or "", label) for label in photos.labels)
        return replace(self, photos=replace(photos, labels=labels)) if names else self

    def counts(self) -> Counter[tuple[str | None, Split | None]]:
        """Return the number of usable photos of each (label, split)."""
        photos = self.usable
        return Counter(zip(photos.labels, photos.splits, strict=True))

    def save(self, path: Path) -> None:
        """Write the manifest as JSON Lines, wholly or not at all."""
        head = {
            "format": _FORMAT,
            "root": self.root,
            "photos": len(self.photos),
            "skipped": dict(self.skipped),
        }

        def lines() -> Iterator[bytes]:
            for line in chain([head], map(_row, self.photos)):
                yield f"{json.dumps(line)}\n".encode()

        with replacing(path, needs=lambda: sum(map(len, lines()))) as file:
            file.writelines(lines())

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read a manifest that `save` wrote.

        Raises:
            BadData: it is damaged, edited beyond recognition, or of another version.
        """
        try:
            with path.open("rb") as file:
                lines = enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=1)
                return _told(path, lines)
        except OSError as error:
            raise BadData(f"{path} cannot be read ({error.strerror}).") from None


_FIELDS = tuple((knob.name, knob.default) for knob in fields(Photo))


def _row(photo: Photo) -> dict[str, object]:
    """Return what a photo's line holds: its path, and whatever is not the default."""
    values = ((name, getattr(photo, name), default) for name, default in _FIELDS)
    return {name: value for name, value, default in values if value != default}


def _told(path: Path, lines: Iterator[tuple[int, bytes]]) -> Manifest:
    """Return the manifest that numbered ``lines`` tell of."""
    number, line = next(lines, (1, b""))
    head = _parsed(path, number, line)
    match head:
        case {"format": str(told), **_others} if told != _FORMAT:
            raise _bad(path, 1, f"the format {told[:40]!r} instead of {_FORMAT!r}")
        case {"format": _, "root": str(root), "photos": int(count), "skipped": dict(skipped)}:
            if not all(type(value) is int for value in skipped.values()):
                raise _bad(path, 1, "counts that are no numbers")
        case _:
            raise _bad(path, 1, "no manifest's first line")
    photos = PhotoTable.of(_photos(path, lines))
    if len(photos) != count:
        raise _bad(path, len(photos) + 2, f"the end after {len(photos)} of {count} photos")
    return Manifest(root=root, photos=photos, skipped=skipped)


def _photos(path: Path, lines: Iterator[tuple[int, bytes]]) -> Iterator[Photo]:
    """Yield the photos of numbered lines."""
    paths: set[str] = set()
    for number, line in lines:
        photo = _photo(path, number, _parsed(path, number, line))
        if photo.path in paths:
            raise _bad(path, number, f"{photo.path!r} for the second time")
        paths.add(photo.path)
        yield photo


def _parsed(path: Path, number: int, line: bytes) -> Any:
    if not line.endswith(b"\n"):
        raise _bad(path, number, "no end, so the file was cut off or is no manifest")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _bad(path, number, f"no JSON ({error})") from None


def _photo(path: Path, number: int, cells: Any) -> Photo:
    if not isinstance(cells, dict) or "path" not in cells:
        raise _bad(path, number, "no photo with a path")
    for name, value in cells.items():
        if not _fits(name, value):
            raise _bad(path, number, f"{name[:40]!r} with the value {str(value)[:40]!r}")
    return Photo(**cells)


def _fits(name: str, value: object) -> bool:
    """Return whether a photo can have a field ``name`` with this ``value``."""
    match name:
        case "path" | "group":
            fits = isinstance(value, str)
        case "sha256":
            fits = isinstance(value, str) and bool(re.fullmatch("(?:[0-9a-f]{64})?", value))
        case "width" | "height":
            fits = type(value) is int and 0 <= value < 1 << 31
        case "label":
            fits = value is None or (isinstance(value, str) and is_label(value))
        case "split":
            fits = value is None or value in SPLITS
        case "reason":
            fits = value is None or isinstance(value, str)
        case _:
            fits = False
    return fits


def _bad(path: Path, number: int, found: str) -> BadData:
    return BadData(
        f"{path}, line {number}: found {found}; "
        "it must be as fursure wrote it: restore it, or delete it to have it made again."
    )
