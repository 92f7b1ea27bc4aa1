"""A sample of a competition's file and predictions → the file to hand in: ids and probabilities.

As in Kaggle's Dogs vs. Cats Redux: ``id,label``, where the label is the probability of a dog and
the log loss counts, which is without bounds where a mistake was certain. So probabilities are kept
away from 0 and 1, by as much as certifying photos of validation could not rule out.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np

from fursure.bundle.bundle import Bundle
from fursure.errors import BadData, OutputExists, counted, some
from fursure.files import replacing
from fursure.prediction import Prediction
from fursure.report.receipt import Names, keep
from fursure.sureness.risk import RiskTable

_LARGEST = 64 << 20  # bytes of a sample
_UNMEASURED = 0.02  # the clip where validation certified nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a competition asks for."""

    header: tuple[str, ...]  # the id's column first
    classes: tuple[str, ...]  # whose probability stands in each of the others
    ids: tuple[str, ...]  # in order

    @classmethod
    def read(cls, path: Path, labels: Sequence[str], of: str | None) -> Self:
        """Read the sample; ``of`` is the class whose probability a single column holds.

        Raises:
            BadData: it cannot be read, or does not say whose probabilities it wants.
        """
        try:
            data = path.read_bytes()[: _LARGEST + 1]
            rows = list(csv.reader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
        except OSError as error:
            raise BadData(f"{path} cannot be read ({error.strerror}).") from None
        except (ValueError, csv.Error) as error:
            raise BadData(f"{path} is no sample of a submission: {error}.") from None
        header, *rest = rows or [[]]
        ids = tuple(row[0].strip() for row in rest if row and row[0].strip())
        if len(header) < 2 or not ids or len(data) > _LARGEST:
            raise BadData(f"{path} is no sample of a submission; needed are lines like 'id,label'.")
        if repeated := len(ids) - len(set(ids)):
            raise BadData(f"{path} has {counted(repeated, 'id')} twice; each is one photo.")
        classes = _classes(path, header[1:], labels, of)
        return cls(header=tuple(header), classes=classes, ids=ids)


def _classes(
    path: Path, columns: Sequence[str], labels: Sequence[str], of: str | None
) -> tuple[str, ...]:
    """Return the class that each column is about."""
    by_name = {label.casefold(): label for label in labels}
    if of is not None:
        if of not in labels or len(columns) > 1:
            raise BadData(
                f"--of {of}: {path} has {counted(len(columns), 'column')} of probabilities, and "
                f"the classes are {some(map(repr, labels))}; name one of them, for one column."
            )
        return (of,)
    named = [by_name.get(column.strip().casefold()) for column in columns]
    if all(name is not None for name in named):
        return tuple(name for name in named if name is not None)
    if len(columns) == 1 and len(labels) == 2:
        return (labels[1],)  # as the area under the curve has it
    unknown = [column for column, name in zip(columns, named, strict=True) if name is None]
    raise BadData(
        f"{path} has the column {unknown[0]!r}, and the classes are {some(map(repr, labels))}; "
        "give a model of its classes, or for one column name the class: --of CLASS."
    )


def clip_of(risks: RiskTable) -> float:
    """Return how far probabilities stay from 0 and 1.

    It is the error rate, by Jeffreys, of the surest answers that were certified: 0 mistakes among
    535 photos are (0 + ½) / (535 + 1). To be surer than that is to bet on what nobody has seen.
    """
    certified = [row for row in risks.rows if row.threshold is not None and row.accepted]
    if not certified:
        return _UNMEASURED
    surest = max(certified, key=lambda row: row.threshold or 0.0)
    return (surest.errors + 0.5) / (surest.accepted + 1)


class Submission:
    """The file to hand in, written when all photos were answered."""

    rows_before = 0  # an interrupted run begins anew

    def __init__(
        self,
        path: Path,
        sample: Sample,
        bundle: Bundle,
        *,
        made_by: dict[str, Any],
        overwrite: bool,
    ) -> None:
        if path.exists() and not overwrite:
            raise OutputExists(path, "a file")
        self.path, self._sample, self._labels = path, sample, bundle.meta.labels
        self.clip = clip_of(bundle.meta.risks)
        self._made_by, self._names = made_by, Names()
        self._probs: dict[str, list[float]] = {}
        self._asked = set(sample.ids)
        self._unasked = 0

    @property
    def failed_before(self) -> int:
        """How many ids have no answer."""
        return len(self._asked - self._probs.keys())

    def has(self, path: str) -> bool:
        """Return that no photo was answered before."""
        self._names.add(path)
        return False

    def __call__(self, prediction: Prediction, features_D: object = None) -> None:  # noqa: ARG002
        """Take one answer, for the id that is the photo's name, with its ending or without."""
        name = PurePosixPath(prediction.path.replace("\\", "/").rpartition("!")[2])
        key = name.name if name.name in self._asked else name.stem
        if key not in self._asked:
            self._unasked += 1
        elif prediction.error is None:
            self._probs[key] = [prediction.probabilities[label] for label in self._labels]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is not None:
            return
        text = StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._sample.header)
        writer.writerows(self._rows())
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())

    def _rows(self) -> Iterator[list[str]]:
        """Yield the id and the clipped probabilities of each row; even ones without an answer."""
        even = [1 / len(self._labels)] * len(self._labels)
        columns = [self._labels.index(name) for name in self._sample.classes]
        low = self.clip / (len(self._labels) - 1)
        for key in self._sample.ids:
            probs_K = np.clip(self._probs.get(key, even), low, 1 - self.clip)
            if len(columns) > 1:
                probs_K = probs_K / probs_K.sum()
            yield [key, *(f"{probs_K[column]:.6f}" for column in columns)]

    def sentences(self) -> Iterator[str]:
        """Yield what is worth telling of it."""
        whose = some(map(repr, self._sample.classes))
        yield f"probabilities of {whose}, at least {self.clip:.2g} away from 0 and 1"
        if missing := self.failed_before:
            yield f"{counted(missing, 'id has', 'ids have')} no photo with an answer: even odds"
        if self._unasked:
            yield f"{counted(self._unasked, 'photo is', 'photos are')} not asked for: left out"

    def sign(self, code: int) -> None:
        """Note what made the file, and the exit code of that run."""
        keep(self.path, self._made_by, self._names, code)
