"""Photos and labels that a program holds → a data set like any other, read from memory.

A table (of pandas, polars or Arrow) or a data set of the Hugging Face library with a column of
photos or their paths and one of labels, or a pair (photos, labels).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, final

from fursure.dataset.columns import Columns, columns_of, label_of, split_named
from fursure.dataset.labelled import Data, Dataset
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.dataset.naming import searching
from fursure.engine.batches import (
    cell_photo,
    column_names,
    column_of,
    feature_kinds,
    is_several,
    named_photos,
    parts_of,
    photo_column,
)
from fursure.engine.pictures import kind_of, named_photo
from fursure.errors import BadData, BadImage
from fursure.photos.handed import photo_bytes
from fursure.rows.photo import Photo, Split

_TABLE = Path("the table given")  # what messages call it


@final
class HeldSource(Source):
    """Photos by name; pixels are read as a PNG of them, so that nothing is lost."""

    path, root, prefix, notes = _TABLE, Path(), "", ()

    def __init__(self, photos: Mapping[str, Any]) -> None:
        self._photos = photos

    def names(self, skipped: Counter[str] | None = None) -> Iterator[str]:  # noqa: ARG002
        """Yield the names in the order of the photos."""
        return iter(self._photos)

    def has(self, name: str) -> bool:
        """Return whether there is a photo of that name."""
        return name in self._photos

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of one photo."""
        data = photo_bytes(name, self._photos[name])
        if len(data) > limit:
            raise BadImage(name, f"larger than {limit // 2**20} MiB")
        return data


@dataclass(frozen=True, slots=True)
class HeldDataset(Dataset):
    """Photos in memory with their labels."""

    photos: Mapping[str, Any] = field(default_factory=dict)  # by name
    rows: tuple[Photo, ...] = ()  # one a photo, in order

    def open(self) -> HeldSource:
        """Return what the photos are read from."""
        return HeldSource(self.photos)

    def listed(self, source: Source) -> Manifest:  # noqa: ARG002 - it holds the same photos
        """Return the photos with their labels."""
        manifest = Manifest(root=str(Path().absolute()), photos=self.rows, skipped={})
        return manifest.renamed(self.rename)


def data_from(
    data: Any,
    label_regex: str | None = None,
    rename: Mapping[str, str] | None = None,
    corrections: str | PathLike[str] | None = None,
    label_column: str | None = None,
) -> Data:
    """Return the data set behind a path, a table, or a pair (photos, labels).

    Raises:
        BadData: a photo has no label, or a table no column of them.
        TypeError: it is nothing of the kind.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | PathLike):
        return Dataset(data, label_regex, rename or {}, corrections, label_column)
    photos, labels, splits = _parts(data, label_regex, label_column)
    if len({len(photos), len(labels), len(splits)}) > 1:
        raise BadData(
            f"there are {len(photos)} photos and {len(labels)} labels; give one for each."
        )
    named = dict(zip(distinct_names(name for name, _ in photos), photos, strict=True))
    rows = tuple(
        Photo(path=name, label=_label(label, row), split=split)
        for row, (name, label, split) in enumerate(zip(named, labels, splits, strict=True))
    )
    held = {name: photo for name, (_, photo) in named.items()}
    return HeldDataset(_TABLE, label_regex, rename or {}, corrections, photos=held, rows=rows)


_Named = list[tuple[str, Any]]


def _parts(
    data: Any, label_regex: str | None, label_column: str | None
) -> tuple[_Named, list[Any], list[Split | None]]:
    """Return the photos, their labels, and the split of each where there is one."""
    if parts := parts_of(data):
        return _of_parts(parts, label_regex, label_column)
    if isinstance(data, tuple) and len(data) == 2:
        if not is_several(data[0]):
            raise TypeError(
                f"the first of the pair is {kind_of(data[0])}, one photo at most; "
                "give (photos, labels), an iterable each"
            )
        photos, labels = list(named_photos(data[0])), list(data[1])
        return photos, labels, [None] * len(photos)
    names = column_names(data)
    if names is None:
        raise TypeError(
            f"found {kind_of(data)}; needed is a folder, an archive or a table by its path, a "
            "DataFrame with photos and labels, such tables by split, or a pair (photos, labels)"
        )
    columns = columns_of(
        dict.fromkeys(names), _TABLE, labelled=label_regex is None, label_column=label_column
    )
    photos = _photos_of(data, names)
    if label_regex is not None:
        label_from_name = searching(label_regex)
        labels = [label_from_name(Path(name).name) for name, _ in photos]
    else:
        labels = list(column_of(data, columns.label or ""))
    return photos, labels, list(_splits(data, columns, len(photos)))


def _of_parts(
    parts: Mapping[str, Any], label_regex: str | None, label_column: str | None
) -> tuple[_Named, list[Any], list[Split | None]]:
    """Return the same of data that comes divided: ``train``, ``test`` … by their names.

    Raises:
        BadData: a part is called otherwise.
    """
    photos: _Named = []
    labels: list[Any] = []
    splits: list[Split | None] = []
    for part, table in parts.items():
        if (split := split_named(part)) is None:
            raise BadData(
                f"the data has a part {part!r}; they may be called train, validation and test. "
                f"Give a part alone, or {{'train': data[{part!r}]}}."
            )
        named, mine, _ = _parts(table, label_regex, label_column)
        photos += [(f"{part}/{name}", photo) for name, photo in named]
        labels += mine
        splits += [split] * len(named)
    return photos, labels, splits


def _photos_of(data: Any, names: list[str]) -> _Named:
    """Return the photos; those of a data set are read from it when they are needed."""
    if feature_kinds(data) is None or not hasattr(data, "__len__"):
        return list(named_photos(data))
    column = photo_column(data, names)

    def read(row: int) -> bytes:
        return photo_bytes(*named_photo(cell_photo(data[row][column]), row))

    return [(f"photo {row}", partial(read, row)) for row in range(len(data))]


def _splits(data: Any, columns: Columns, count: int) -> Iterator[Split | None]:
    names = [columns.split] if columns.split else list(columns.flags)
    cells = {name: list(map(_plain, column_of(data, name))) for name in names}
    for row in range(count):
        try:
            yield columns.split_of({name: values[row] for name, values in cells.items()})
        except ValueError as error:
            raise BadData(f"{_TABLE}, row {row}: {error}") from None


def _label(value: Any, row: int) -> str:
    """Return a cell as a label.

    Raises:
        BadData: it is empty, or cannot be the name of a class.
    """
    value = _plain(value)
    try:
        label = None if value != value else label_of(str(value) if value is not None else None)  # noqa: PLR0124 - NaN
    except ValueError as error:
        raise BadData(f"row {row}: {error}") from None
    if label is None:
        raise BadData(f"photo {row} has no label; give it one, or leave it out.")
    return label


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def distinct_names(names: Iterable[str]) -> Iterator[str]:
    """Yield each name, with a number where it came before: a table may list a photo twice."""
    times: Counter[str] = Counter()
    for name in names:
        times[name] += 1
        yield name if times[name] == 1 else f"{name} ({times[name]})"
