"""The answers to several photos: a list, and a table for pandas, polars, Arrow or a notebook."""

from collections.abc import Iterable
from importlib import import_module
from operator import is_
from typing import Any, SupportsIndex, overload

from fursure.errors import MissingPackage
from fursure.prediction import Prediction

SHOWN_ANSWERS = 20  # answers in a notebook, each with its photo


class Predictions(list[Prediction]):
    """The answers in the photos' order, one a photo; otherwise a list like any other."""

    def __init__(
        self,
        predictions: Iterable[Prediction] = (),
        photos: Iterable[Any] = (),
        index: Any = None,
    ) -> None:
        """Take the answers, and for a notebook's thumbnails the first `SHOWN_ANSWERS` photos.

        ``index`` is that of the pandas object the photos came in, None where there is none.
        """
        super().__init__(predictions)
        self.photos = list(photos)
        fits = index is not None and len(index) == len(self)
        self._indexed = (index, tuple(self)) if fits else (None, ())

    @property
    def pandas_index(self) -> Any:
        """The photos' own index; None without one, or once answers were moved, which it was not."""
        index, answers = self._indexed
        return index if len(answers) == len(self) and all(map(is_, self, answers)) else None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a copy is made: an open file among the photos cannot travel."""
        return Predictions, (list(self), (), self.pandas_index)

    @overload
    def __getitem__(self, rows: SupportsIndex, /) -> Prediction: ...
    @overload
    def __getitem__(self, rows: slice, /) -> "Predictions": ...
    def __getitem__(self, rows: SupportsIndex | slice, /) -> "Prediction | Predictions":
        """Return one answer, or some of them as what they were."""
        if not isinstance(rows, slice):
            return super().__getitem__(rows)
        kept = range(len(self))[rows]
        photos = [self.photos[row] for row in kept if row < len(self.photos)]
        index = self.pandas_index
        index = None if index is None else index[rows]
        return Predictions(super().__getitem__(rows), photos if kept.step == 1 else (), index)

    def columns(self, labels: Iterable[str] | None = None) -> dict[str, list[Any]]:
        """Return the columns of `fursure predict --csv`; None where there is no answer.

        ``labels`` are the classes, where no photo at all may have been answered.
        """
        good = [prediction.error is None for prediction in self]
        names = ("answer", "label", "confidence", "familiarity", "engine")
        table = {
            name: [
                getattr(row, name) if fine else None for row, fine in zip(self, good, strict=True)
            ]
            for name in names
        }
        engine = table.pop("engine")
        if labels is None:
            labels = next((row.probabilities for row in self if row.error is None), {})
        shares = {f"p_{label}": [row.probabilities.get(label) for row in self] for label in labels}
        paths, errors = [unicode_path(row.path) for row in self], [row.error for row in self]
        return {"path": paths, **table, **shares, "engine": engine, "error": errors}

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, a row a photo, under the photos' own index if they had one.

        Raises:
            MissingPackage: pandas is not installed.
        """
        pandas, columns = _library("pandas"), self.columns()
        errors = columns.pop("error")
        table = pandas.DataFrame(columns, index=self.pandas_index)
        # as objects: where some are texts, pandas would write NaN for None
        return table.assign(error=pandas.Series(errors, table.index, dtype=object))

    def to_polars(self) -> Any:
        """Return a `polars.DataFrame`, a row a photo.

        Raises:
            MissingPackage: polars is not installed.
        """
        polars, columns = _library("polars"), self.columns()
        kinds = {name: polars.Float64 if is_number(name) else polars.String for name in columns}
        return polars.DataFrame(columns, schema=kinds)

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Table`, a row a photo.

        Raises:
            MissingPackage: pyarrow is not installed.
        """
        arrow, columns = _library("pyarrow"), self.columns()
        kinds = {name: arrow.float64() if is_number(name) else arrow.string() for name in columns}
        return arrow.table(columns, schema=arrow.schema(kinds))

    def _repr_html_(self) -> str:
        """Return the first `SHOWN_ANSWERS` as a table with thumbnails, as a notebook shows it."""
        from fursure.report.notebook import answers_html

        return answers_html(self, self.photos)


def is_number(column: str) -> bool:
    """Return whether a column of the table of answers holds numbers."""
    return column in {"confidence", "familiarity"} or column.startswith("p_")


def unicode_path(path: str) -> str:
    """Return a path as Unicode: a byte of it that was none becomes its escape."""
    return path.encode("utf-8", "backslashreplace").decode()


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackage("this table", name) from error
