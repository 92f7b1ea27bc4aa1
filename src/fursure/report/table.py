"""Predictions → a CSV file that an interrupted run continues, whole or not there at all."""

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, Self

from fursure.dataset.corrections import safe_cell
from fursure.errors import OutputExists
from fursure.files import naming
from fursure.prediction import Prediction
from fursure.report.receipt import Names, keep

FIRST = ("path", "answer", "label", "confidence", "familiarity")
_LAST = ("engine", "error")
FLUSH_EVERY = 64  # rows; what an interrupted run may have to compute again


class CsvTable:
    """Rows written as they come to ``NAME.part``, which becomes ``NAME`` when all are there.

    A run that was interrupted leaves the part and beside it what made it; the same command
    continues after its last whole row. Another model or other options begin anew.
    """

    def __init__(
        self, path: Path, labels: Sequence[str], *, made_by: dict[str, Any], overwrite: bool
    ) -> None:
        if path.exists() and not overwrite:
            raise OutputExists(path, "a finished table")
        self.path = path
        self._part = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")
        self._labels = list(labels)
        self._made_by, self._names, self._added = made_by, Names(), 0
        self.failed_before = 0  # rows with an error that the interrupted run has written
        self._written = self._whole_rows(made_by)
        self.rows_before = self._written.total()
        with naming(self.path):
            self._note.write_text(json.dumps(made_by), "utf-8")
        self._file: TextIOWrapper = self._part.open(
            "a", encoding="utf-8", newline="", errors="surrogateescape"
        )
        self._rows = csv.writer(self._file, lineterminator="\n")
        if not self.rows_before and self._file.tell() == 0:
            self._rows.writerow([*FIRST, *(f"p_{label}" for label in labels), *_LAST])

    def _whole_rows(self, made_by: dict[str, Any]) -> Counter[str]:
        """Return how often an interrupted run has written each path; drop its torn last row."""
        try:
            same = json.loads(self._note.read_text("utf-8")) == made_by
            data = self._part.read_bytes() if same else b""
        except (OSError, ValueError):
            data = b""
        end = data.rfind(b"\n") + 1
        text = data[:end].decode("utf-8", "surrogateescape")
        rows = list(csv.reader(StringIO(text, newline="")))
        width = len(FIRST) + len(self._labels) + len(_LAST)
        if any(len(row) != width for row in rows):  # a quoted newline was torn: begin anew
            end, rows = 0, []
        with self._part.open("ab") as file:
            file.truncate(end)
        self.failed_before = sum(row[-1] != "" for row in rows[1:])
        return Counter(row[0] for row in rows[1:])

    def has(self, path: str) -> bool:
        """Return whether an interrupted run wrote the row of this photo; ask once for each.

        A photo that was named twice has two rows.
        """
        self._names.add(path)
        written = cell(path)
        if self._written[written] == 0:
            return False
        self._written[written] -= 1
        return True

    def __call__(self, prediction: Prediction, features_D: object = None) -> None:  # noqa: ARG002
        """Add one row; features have no place in it.

        Now and then all are handed to the operating system, so that they survive a kill.
        """
        self._added += 1
        with naming(self.path):
            self._rows.writerow(self._cells(prediction))
            if self._added % FLUSH_EVERY == 0:
                self._file.flush()

    def _cells(self, prediction: Prediction) -> list[str]:
        if prediction.error is not None:
            blank = [""] * (len(FIRST) - 1 + len(self._labels) + 1)
            return [cell(prediction.path), *blank, safe_cell(prediction.error)]
        names = [cell(prediction.path), safe_cell(prediction.answer), safe_cell(prediction.label)]
        numbers = [f"{prediction.confidence:.6f}", f"{prediction.familiarity:.4f}"]
        probs = [f"{prediction.probabilities[label]:.6f}" for label in self._labels]
        return [*names, *numbers, *probs, prediction.engine, ""]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        with naming(self.path):
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            finally:
                self._file.close()
        if kind is None:
            self._part.replace(self.path)
            self._note.unlink(missing_ok=True)

    def sentences(self) -> Iterator[str]:
        """Yield nothing: all there is to tell stands in the rows."""
        return iter(())

    def sign(self, code: int) -> None:
        """Note what made the table, now that it is whole, and the exit code of that run."""
        keep(self.path, self._made_by, self._names, code)


def cell(path: str) -> str:
    """Return a path that no spreadsheet takes for a formula, and that still opens the file."""
    return path if path == "-" else safe_cell(path)
