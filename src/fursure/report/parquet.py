"""Predictions → a Parquet file, whole or not there at all, that an interrupted run continues."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fursure.errors import MissingExtra, OutputExists
from fursure.files import naming, replacing
from fursure.prediction import Prediction
from fursure.report.answers import Predictions, is_number, unicode_path
from fursure.report.receipt import Names, keep

SEGMENT = 512  # rows; what an interrupted run may have to compute again
_GROUP = 8192  # rows of the finished file that are read together
_NOTE = "made-by.json"


class ParquetTable:
    """Rows written as they come to a folder ``NAME.part``, which becomes the file ``NAME``.

    A Parquet file can be read only once it is finished, so the folder holds small ones. The same
    command continues after the last of them. Another model or other options begin anew.
    """

    def __init__(
        self,
        path: Path,
        labels: Sequence[str],
        *,
        made_by: dict[str, Any],
        overwrite: bool,
        features: int | None = None,
    ) -> None:
        """Take what an interrupted run has left; ``features`` are so many a photo, None is none.

        Raises:
            MissingExtra: pyarrow is not installed.
            OutputExists: there is a finished table.
        """
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtra("a Parquet table", "tables") from error
        if path.exists() and not overwrite:
            raise OutputExists(path, "a finished table")
        self.path, self._labels = path, list(labels)
        self._arrow, self._parquet = pyarrow, parquet
        self._schema = _schema(pyarrow, self._labels, features)
        self._made_by, self._names = made_by, Names()
        self._folder = path.with_name(f"{path.name}.part")
        self._waiting: list[tuple[Prediction, NDArray[np.float32] | None]] = []
        self.failed_before = 0  # rows with an error that the interrupted run has written
        self._written = self._rows_of_before()
        self.rows_before = self._written.total()

    def _rows_of_before(self) -> Counter[str]:
        """Return how often an interrupted run has written each path; none of another command."""
        note = self._folder / _NOTE
        try:
            same = json.loads(note.read_text("utf-8")) == self._made_by
        except (OSError, ValueError):
            same = False
        if not same:
            self._sweep()
        with naming(self._folder):
            self._folder.mkdir(exist_ok=True)
            note.write_text(json.dumps(self._made_by), "utf-8")
        written: Counter[str] = Counter()
        for part in self._segments():
            rows = self._parquet.read_table(part, columns=["path", "error"]).to_pylist()
            written.update(row["path"] for row in rows)
            self.failed_before += sum(row["error"] is not None for row in rows)
        return written

    def has(self, path: str) -> bool:
        """Return whether an interrupted run wrote the row of this photo; ask once for each."""
        self._names.add(path)
        written = unicode_path(path)
        if self._written[written] == 0:
            return False
        self._written[written] -= 1
        return True

    def __call__(self, prediction: Prediction, features_D: NDArray[np.float32] | None) -> None:
        """Add one row."""
        self._waiting.append((prediction, features_D))
        if len(self._waiting) >= SEGMENT:
            self._store()

    def _store(self) -> None:
        """Write the rows that wait as a small file of their own."""
        if not self._waiting:
            return
        predictions = Predictions(prediction for prediction, _ in self._waiting)
        columns: dict[str, Any] = dict(predictions.columns(self._labels))
        if "features" in self._schema.names:
            columns["features"] = [features_D for _, features_D in self._waiting]
        table = self._arrow.table(columns, schema=self._schema)
        with replacing(self._folder / f"{len(self._segments()):08}.parquet") as file:
            self._parquet.write_table(table, file)
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        self._store()
        if kind is None:
            with (
                replacing(self.path) as file,
                self._parquet.ParquetWriter(file, self._schema, compression="zstd") as writer,
            ):
                for group in self._groups():
                    writer.write_table(group)
            self._sweep()

    def _groups(self) -> Iterator[Any]:
        """Yield the rows again, in order, so many at a time that others read them quickly."""
        waiting: list[Any] = []
        for part in self._segments():
            waiting.append(self._parquet.read_table(part, schema=self._schema))
            if sum(map(len, waiting)) >= _GROUP:
                yield self._arrow.concat_tables(waiting)
                waiting = []
        if waiting:
            yield self._arrow.concat_tables(waiting)

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]" * 8 + ".parquet"))

    def _sweep(self) -> None:
        """Remove the folder and what is ours in it."""
        for part in (*self._segments(), self._folder / _NOTE):
            part.unlink(missing_ok=True)
        with suppress(OSError):  # there is none, or something of somebody's lies in it
            self._folder.rmdir()

    def sentences(self) -> Iterator[str]:
        """Yield nothing: all there is to tell stands in the rows."""
        return iter(())

    def sign(self, code: int) -> None:
        """Note what made the table, now that it is whole, and the exit code of that run."""
        keep(self.path, self._made_by, self._names, code)


def _schema(arrow: Any, labels: Iterable[str], features: int | None) -> Any:
    names = list(Predictions().columns(labels))
    kinds = [(name, arrow.float64() if is_number(name) else arrow.string()) for name in names]
    if features is not None:
        kinds.append(("features", arrow.list_(arrow.float32(), features)))
    return arrow.schema(kinds)
