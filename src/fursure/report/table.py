"""Predictions → a CSV file that an interrupted run continues, whole or not there at all."""

import csv
import json
import os
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fursure.engine.predictor import Prediction
from fursure.errors import OutputExists

FIRST = ("path", "answer", "label", "confidence", "familiarity")
LAST = ("engine", "error")


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
        self.failed_before = 0  # rows with an error that the interrupted run has written
        self.done = self._whole_rows(made_by)
        self._note.write_text(json.dumps(made_by))
        self._file: TextIOWrapper = self._part.open(
            "a", encoding="utf-8", newline="", errors="surrogateescape"
        )
        self._rows = csv.writer(self._file, lineterminator="\n")
        if not self.done and self._file.tell() == 0:
            self._rows.writerow([*FIRST, *(f"p_{label}" for label in labels), *LAST])

    def _whole_rows(self, made_by: dict[str, Any]) -> set[str]:
        """Return the paths an interrupted run has written, and drop its torn last row."""
        try:
            same = json.loads(self._note.read_text()) == made_by
            data = self._part.read_bytes() if same else b""
        except (OSError, ValueError):
            data = b""
        end = data.rfind(b"\n") + 1
        rows = list(
            csv.reader(data[:end].decode("utf-8", "surrogateescape").splitlines(keepends=True))
        )
        width = len(FIRST) + len(self._labels) + len(LAST)
        if any(len(row) != width for row in rows):  # a quoted newline was torn: begin anew
            end, rows = 0, []
        with self._part.open("ab") as file:
            file.truncate(end)
        self.failed_before = sum(row[-1] != "" for row in rows[1:])
        return {row[0] for row in rows[1:]}

    def __call__(self, prediction: Prediction) -> None:
        """Add one row."""
        one = prediction
        if one.error is not None:
            blank = [""] * (len(FIRST) - 1 + len(self._labels) + 1)
            self._rows.writerow([cell(one.path), *blank, one.error])
            return
        probs = [f"{one.probabilities[label]:.6f}" for label in self._labels]
        numbers = [f"{one.confidence:.6f}", f"{one.familiarity:.4f}"]
        self._rows.writerow(
            [cell(one.path), one.answer, one.label, *numbers, *probs, one.engine, ""]
        )

    def flush(self) -> None:
        """Hand what was written to the operating system: it survives a kill from here on."""
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            self._part.replace(self.path)
            self._note.unlink(missing_ok=True)


def cell(path: str) -> str:
    """Return a path that no spreadsheet takes for a formula, and that still opens the file."""
    return f"./{path}" if path[:1] in {"=", "+", "-", "@", "\t", "\r"} and path != "-" else path
