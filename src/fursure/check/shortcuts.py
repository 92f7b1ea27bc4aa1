"""What photos are like, without looking at what they show → how well that tells the classes apart.

Where the file size or the border alone gives the class away, a model may learn that instead: it
will shine on these photos and fail on others.

Dimension key: N photos, K classes, D columns, Q bins.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.heads.ridge import FeatureRows, out_of_fold
from fursure.metrics.intervals import Estimate, proportion
from fursure.photos.statistics import Facts

_BINS = 16  # a cue may tell the classes apart in its middle and not at its ends
TOGETHER = "Together"
CUES: Mapping[str, Callable[[Facts], Sequence[float]]] = {
    "file size": lambda photo: (photo.bytes,),
    "resolution": lambda photo: (photo.width * photo.height,),
    "shape": lambda photo: (photo.width / photo.height,),
    "brightness": lambda photo: (photo.brightness,),
    "border colour": lambda photo: (*photo.border, photo.border_spread),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """How often one fact alone is enough to name the class."""

    name: str
    accuracy: Estimate  # of photos that the classifier did not learn from
    majority: float  # share of the largest class: what saying always the same would reach

    @property
    def gain(self) -> float:
        """What the fact surely adds to saying always the same."""
        return self.accuracy.low - self.majority

    def sentence(self) -> str:
        """Return the finding in words."""
        name = self.name.capitalize()
        subject = "All such facts together tell" if name == TOGETHER else f"{name} alone tells"
        return (
            f"{subject} the class of {self.accuracy} of the photos; always naming the largest "
            f"class is right for {self.majority:.1%}"
        )


def cues(
    facts: Sequence[Facts],
    labels_N: NDArray[np.integer],
    classes: int,
    fold_N: NDArray[np.integer],
) -> tuple[Cue, ...]:
    """Return every cue, the most telling first; each is a small classifier, cross-validated."""
    formats = sorted({photo.format for photo in facts})
    columns = {
        name: np.hstack(
            [_binned(column_N) for column_N in np.array([read(photo) for photo in facts], float).T]
        )
        for name, read in CUES.items()
    }
    columns["format"] = np.array(
        [[photo.format == name for name in formats] for photo in facts], np.float32
    )
    columns[TOGETHER] = np.hstack(list(columns.values()))
    majority = float(np.bincount(labels_N).max() / len(labels_N))
    measured = []
    for name, bins_ND in columns.items():
        weight_N = np.ones(len(labels_N), np.float32)
        rows = FeatureRows.of(bins_ND, roots=False)
        score_NK = out_of_fold(rows, labels_N, classes, fold_N, weight_N, ridge=0.01)
        right = int((score_NK.argmax(axis=1) == labels_N).sum())
        measured.append(
            Cue(name=name, accuracy=proportion(right, len(labels_N)), majority=majority)
        )
    return tuple(sorted(measured, key=lambda cue: -cue.gain))


def _binned(column_N: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return in which of the bins (N, Q), about equally full, each number lies."""
    edges = np.unique(np.quantile(column_N, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.eye(len(edges) + 1, dtype=np.float32)[np.searchsorted(edges, column_N, side="right")]
