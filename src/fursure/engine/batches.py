"""Several photos, as a program holds them → each with its name, in order.

Any iterable is several photos: lists, generators, Series, arrays (N, height, width, channels) and
batches of them as a loader yields. A table (of pandas, polars or Arrow) is the column of it that
holds photos, and so is a data set of the Hugging Face library; neither library is imported.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fursure.dataset.columns import photo_columns
from fursure.engine.pictures import (
    WANTED,
    as_numpy,
    check_photo,
    is_array,
    is_single,
    kind_of,
    named_photo,
)
from fursure.errors import some


def is_several(photos: Any) -> bool:
    """Return whether ``photos`` are several, and not one.

    Raises:
        TypeError: they are nothing of the kind.
    """
    if is_single(photos):
        return False
    if is_array(photos) and photos.ndim in {2, 3} and not hasattr(photos, "columns"):
        return False
    several = isinstance(photos, Iterable) or column_names(photos) is not None
    wrong = (is_array(photos) and photos.ndim not in {1, 2, 4}) or isinstance(photos, type)
    if parts := parts_of(photos):
        listed = some(map(repr, parts), most=6)
        raise TypeError(
            f"found data in parts, {listed}; give one of them: data[{next(iter(parts))!r}]"
        )
    if wrong or not several or isinstance(photos, Mapping):
        raise TypeError(f"found {kind_of(photos)}; needed is {WANTED}")
    return True


def parts_of(data: Any) -> Mapping[str, Any]:
    """Return the tables or data sets by the names of their parts, ``train`` say; else nothing."""
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        return {}
    return data if all(column_names(table) is not None for table in data.values()) else {}


def pandas_index(photos: Any) -> Any:
    """Return the index of a Series or a DataFrame, None of anything else; a list's is a method."""
    index = getattr(photos, "index", None)
    return index if hasattr(photos, "iloc") else None


def named_photos(photos: Any) -> Iterator[tuple[str, Any]]:
    """Yield each photo with its name, in a form that can be decoded.

    What can be looked at twice is looked at before the first is yielded.

    Raises:
        TypeError: one of them is no photo.
    """
    rows = _rows(photos)
    if isinstance(rows, Collection):
        for row, photo in enumerate(_singles(rows)):
            check_photo(photo, row)
    for row, photo in enumerate(_singles(rows)):
        yield named_photo(photo, row)


def _rows(photos: Any) -> Iterable[Any]:
    """Return what yields the photos: of a table or a data set, its column of them."""
    if _is_batch(photos):
        return _opened(photos, 0)
    names = column_names(photos)
    if names is None:
        return _python_values(photos)
    cells = map(cell_photo, column_of(photos, photo_column(photos, names)))
    return cells if feature_kinds(photos) is not None else list(cells)


def feature_kinds(table: Any) -> Mapping[str, Any] | None:
    """Return what kind each column of a Hugging Face data set is of; None: it is no such set.

    A DataFrame may have a column called "features", and shows it as an attribute.
    """
    kinds = getattr(table, "features", None)
    return kinds if isinstance(kinds, Mapping) and hasattr(table, "column_names") else None


def column_of(table: Any, name: str) -> Iterable[Any]:
    """Return the values of one column; where they number the labels of a data set, these."""
    kinds = feature_kinds(table)
    if kinds is None:
        return _python_values(table[name])
    named = getattr(kinds.get(name), "int2str", None)
    rows = table.select_columns([name]) if hasattr(table, "select_columns") else table
    return (named(row[name]) if named else row[name] for row in rows)


def _python_values(column: Any) -> Iterable[Any]:
    """Return what can be iterated; Arrow's own values are none of Python's."""
    values: Iterable[Any] = column.to_pylist() if hasattr(column, "to_pylist") else column
    return values


def column_names(photos: Any) -> list[str] | None:
    """Return the columns of a table or a data set, None for anything else."""
    if isinstance(photos, type | Mapping) or not hasattr(photos, "__getitem__"):
        return None
    for attribute in ("column_names", "columns"):  # Arrow's tables have both
        names = getattr(photos, attribute, None)
        if names is not None and not callable(names):
            return list(names)
    return None


def photo_column(photos: Any, names: list[str]) -> str:
    """Return the one column that holds photos, or their paths.

    Raises:
        TypeError: there is none, or more than one.
    """
    kinds = feature_kinds(photos) or {}
    pictures = [name for name in names if type(kinds.get(name)).__name__ == "Image"]
    found = pictures or photo_columns(names)
    if len(found) == 1:
        return found[0]
    shown = some((repr(name) for name in found or names), most=8)
    problem = (
        "any of which may hold photos" if found else "none of which is called path, file or image"
    )
    raise TypeError(
        f"found {kind_of(photos)} with the columns {shown}, {problem}; give the one that "
        "holds photos: table[name]"
    )


def cell_photo(value: Any) -> Any:
    """Return a photo out of a cell: the Hugging Face layout has its bytes, or else its path."""
    if isinstance(value, Mapping) and value.keys() == {"bytes", "path"}:
        return value["path"] if value["bytes"] is None else value["bytes"]
    return value


def _singles(photos: Iterable[Any]) -> Iterator[Any]:
    """Yield the photos one by one, those of a loader's batches too."""
    for row, photo in enumerate(photos):
        if _is_batch(photo):
            yield from _opened(photo, row)
        elif isinstance(photo, list | tuple) and len(photo) == 2 and _is_batch(photo[0]):
            raise TypeError(
                "found batches of photos with something beside them; give the photos alone: "
                "model.predict(batch for batch, _ in loader)"
            )
        else:
            yield photo


def _opened(photos: Any, row: int) -> Iterable[Any]:
    """Return the photos of a batch; torch's stay its own, which have their channels first."""
    batch: Iterable[Any] = photos if hasattr(photos, "detach") else as_numpy(photos, row)
    return batch


def _is_batch(photos: Any) -> bool:
    return is_array(photos) and photos.ndim == 4
