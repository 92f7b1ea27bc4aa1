"""Photos, a row each, in columns: a million take a tenth of what as many `Photo` take.

It is a sequence of photos, each made when it is asked for. What looks at one fact of all of them
asks for its column instead.

Dimension key: N photos.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import eq
from typing import final, overload

import numpy as np
from numpy.typing import NDArray

from fursure.rows.columns import Coded, CodedMaker, RowChoice, Texts, TextsMaker, each_number
from fursure.rows.photo import Photo, Split

_BLOCK = 4096  # photos made or taken apart at a time


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PhotoTable(Sequence[Photo]):
    """Photos in order; each fact of them is a column."""

    paths: Texts
    digests: Coded[str]  # sha256
    width_N: NDArray[np.int32]  # pixels
    height_N: NDArray[np.int32]  # pixels
    labels: Coded[str | None]
    groups: Coded[str]
    splits: Coded[Split | None]
    reasons: Coded[str | None]

    @classmethod
    def of(cls, photos: Iterable[Photo]) -> "PhotoTable":
        """Return ``photos`` as a table; a table is one."""
        if isinstance(photos, cls):
            return photos
        paths, widths, heights = TextsMaker(), array("i"), array("i")
        digests, groups = CodedMaker[str](), CodedMaker[str]()
        labels, reasons = CodedMaker[str | None](), CodedMaker[str | None]()
        splits = CodedMaker[Split | None]()
        source = iter(photos)
        while block := list(islice(source, _BLOCK)):
            paths.extend(photo.path for photo in block)
            digests.extend(photo.sha256 for photo in block)
            widths.extend(photo.width for photo in block)
            heights.extend(photo.height for photo in block)
            labels.extend(photo.label for photo in block)
            groups.extend(photo.group for photo in block)
            splits.extend(photo.split for photo in block)
            reasons.extend(photo.reason for photo in block)
        return cls(
            paths=paths.done(),
            digests=digests.done(),
            width_N=np.array(widths, np.int32),
            height_N=np.array(heights, np.int32),
            labels=labels.done(),
            groups=groups.done(),
            splits=splits.done(),
            reasons=reasons.done(),
        )

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, row: int) -> Photo: ...
    @overload
    def __getitem__(self, row: slice) -> "PhotoTable": ...
    def __getitem__(self, row: int | slice) -> "Photo | PhotoTable":
        """Return a photo, or the table of some."""
        if isinstance(row, slice):
            return self.at(row)
        return Photo(
            path=self.paths[row],
            sha256=self.digests[row],
            width=int(self.width_N[row]),
            height=int(self.height_N[row]),
            label=self.labels[row],
            group=self.groups[row],
            split=self.splits[row],
            reason=self.reasons[row],
        )

    def __iter__(self) -> Iterator[Photo]:
        rows = zip(
            self.paths,
            self.digests,
            each_number(self.width_N),
            each_number(self.height_N),
            self.labels,
            self.groups,
            self.splits,
            self.reasons,
            strict=True,
        )
        for path, sha256, width, height, label, group, split, reason in rows:
            yield Photo(
                path=path,
                sha256=sha256,
                width=width,
                height=height,
                label=label,
                group=group,
                split=split,
                reason=reason,
            )

    def __eq__(self, other: object) -> bool:
        """Return whether these are the photos of another sequence, in its order."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # it equals tuples of photos, whatever their hash

    def __repr__(self) -> str:
        """Return what it is, on one line and without its photos."""
        return f"PhotoTable({len(self):,} photos)"

    @property
    def usable_mask(self) -> NDArray[np.bool_]:
        """Which photos nothing is wrong with."""
        return self.reasons.are(None)

    @property
    def usable(self) -> "PhotoTable":
        """The photos that nothing is wrong with."""
        mask_N = self.usable_mask
        return self if mask_N.all() else self.at(mask_N)

    @property
    def group_names(self) -> Coded[str]:
        """The group of each photo; one without is a group of its own, called by its digest."""
        if not self.groups.are("").any():
            return self.groups
        pairs = zip(self.groups, self.digests, strict=True)
        return Coded.of(group or digest for group, digest in pairs)

    def at(self, rows: RowChoice) -> "PhotoTable":
        """Return the table of some rows, without copying a text."""
        return PhotoTable(
            paths=self.paths.at(rows),
            digests=self.digests.at(rows),
            width_N=self.width_N[rows],
            height_N=self.height_N[rows],
            labels=self.labels.at(rows),
            groups=self.groups.at(rows),
            splits=self.splits.at(rows),
            reasons=self.reasons.at(rows),
        )

    def ruled_out(self, rows: RowChoice, reason: str) -> "PhotoTable":
        """Return the same photos, some of which cannot be used for this ``reason``."""
        return replace(self, reasons=self.reasons.but(rows, reason))

    def decided(self, rows_N: NDArray[np.bool_], photos: "PhotoTable") -> "PhotoTable":
        """Return the table, these rows with the groups, splits and reasons of ``photos``."""
        return replace(
            self,
            groups=self.groups.put(rows_N, photos.groups),
            splits=self.splits.put(rows_N, photos.splits),
            reasons=self.reasons.put(rows_N, photos.reasons),
        )
