"""A model and what it said of photos → its report page.

Dimension key: N photos, K classes.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.dataset.listing import Source
from fursure.errors import BadData, counted, some
from fursure.evaluation.evaluate import AnswerRows, Evaluated
from fursure.evaluation.gallery import (
    TrainedPhotos,
    disagreements,
    flat_map,
    galleries,
    squares,
    trained_on,
)
from fursure.evaluation.passes import training_charts
from fursure.metrics.curves import precision_recall, reliability, roc, selective
from fursure.metrics.paired import Comparison, compare_paired
from fursure.remote.place import place_name, place_of
from fursure.report.page import Curves, ReportPage, Spot, write_report_page
from fursure.report.pictures import SMALL, inlined
from fursure.run import available_threads
from fursure.sureness.calibration import softmax

_DRAWN = 6  # classes with a ROC curve of their own
PEEKS = 80  # dots of the map that show their photo


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another model's answers to the same photos."""

    comparison: Comparison
    probs_NK: NDArray[np.float64]  # in the rows and classes of the first


def against(
    name: str, mine: Evaluated, other_name: str, other: Evaluated
) -> tuple[AnswerRows, Other]:
    """Return the photos that both models may be measured on, and how they compare there.

    Raises:
        BadData: they know different classes, or there is no such photo.
    """
    labels, theirs = mine.evaluation.labels, other.evaluation.labels
    if set(labels) != set(theirs):
        raise BadData(
            f"{other_name} tells apart {some(theirs, most=8)} and {name} {some(labels, most=8)}; "
            "only models of the same classes can be compared."
        )
    places = {path: row for row, path in enumerate(other.rows.paths)}
    both = [row for row, path in enumerate(mine.rows.paths) if path in places]
    if not both:
        raise BadData(f"there is no photo that neither {name} nor {other_name} has seen.")
    rows = mine.rows.at(both)
    order = [theirs.index(label) for label in labels]
    probs_NK = other.rows.probs_NK[[places[path] for path in rows.paths]][:, order]
    comparison = compare_paired(rows.probs_NK, probs_NK, rows.labels_N, names=(name, other_name))
    return rows, Other(comparison=comparison, probs_NK=probs_NK)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the page says besides the figures."""

    data: str  # which photos, for people
    basis: str  # as in "photos it had not seen"
    facts: Mapping[str, str]
    curves: Mapping[str, Any]  # as `metrics.json` has them


def write_report(
    path: Path,
    bundle: Bundle,
    evaluated: Evaluated,
    source: Source,
    about: About,
    *,
    trained: TrainedPhotos | str,
    other: tuple[AnswerRows, Other] | None = None,
    overwrite: bool = False,
) -> None:
    """Write the page; photos are read from ``source`` again only where they are shown.

    Raises:
        MissingExtra: jinja2 is not installed.
        OutputExists: another file lies there.
    """
    near = None if isinstance(trained, str) else trained
    rows, meta = evaluated.rows, bundle.meta
    shown = galleries(rows, source, bundle, near)
    if other is not None:
        names = list(other[1].comparison.names)
        gallery = disagreements(other[0], other[1].probs_NK, source, bundle, names)
        shown = (*((gallery,) if gallery else ()), *shown)
    page = ReportPage(
        title=meta.name,
        data=about.data,
        basis=about.basis,
        meta=meta,
        evaluation=evaluated.evaluation,
        answered=evaluated.answered,
        answered_wrong=evaluated.answered_wrong,
        strangers=evaluated.strangers,
        curves=_curves(rows, meta.temperature, about.curves, meta.labels),
        galleries=shown,
        no_nearest=trained if isinstance(trained, str) else "",
        spots=tuple(_spots(rows, source, bundle)),
        facts=_facts(bundle, about.facts),
        failed=evaluated.failed,
        comparison=other[1].comparison if other else None,
    )
    write_report_page(page, path, overwrite=overwrite)


def training_photos(bundle: Bundle, model: Path) -> TrainedPhotos | str:
    """Return the photos of training with their features, or in words why there are none."""
    return trained_on(bundle, model.with_name(f"{model.stem}.manifest.jsonl"))


def _curves(
    rows: AnswerRows, temperature: float, training: Mapping[str, Any], labels: Sequence[str]
) -> Curves:
    probs_NK, labels_N = rows.probs_NK, rows.labels_N
    correct_N = probs_NK.argmax(axis=1) == labels_N
    # the logits up to a constant, which softmax does not see
    raw_NK = softmax(np.log(np.maximum(probs_NK, 1e-30)) * temperature)
    present = [k for k in np.unique(labels_N).tolist() if 0 < (labels_N == k).sum() < len(labels_N)]
    if len(labels) == 2:
        present = [k for k in present if k == 1]
    few = present[:_DRAWN]
    return Curves(
        roc=tuple(roc(probs_NK, labels_N, k, labels[k]) for k in few),
        precision_recall=tuple(precision_recall(probs_NK, labels_N, k, labels[k]) for k in few),
        selective=selective(probs_NK.max(axis=1), correct_N),
        before=reliability(raw_NK.max(axis=1), raw_NK.argmax(axis=1) == labels_N),
        after=reliability(probs_NK.max(axis=1), correct_N),
        training=training_charts(training),
    )


def _spots(rows: AnswerRows, source: Source, bundle: Bundle) -> list[Spot]:
    """Return the dots of the map, those that show their photo last, so that they lie on top."""
    places = flat_map(rows.features)
    top_N = rows.probs_NK.argmax(axis=1)
    wrong = [row for row in places if top_N[row] != rows.labels_N[row]]
    others = [row for row in places if top_N[row] == rows.labels_N[row]]
    peeks = [*wrong[: PEEKS // 2], *others[:: max(1, 2 * len(others) // PEEKS)]][:PEEKS]
    pixels = squares(source, [rows.paths[row] for row in peeks], bundle.meta.preprocess)
    shown = dict(zip(peeks, pixels, strict=True))
    labels = bundle.meta.labels
    order = sorted(places, key=lambda row: shown.get(row) is not None)
    return [
        Spot(
            x=places[row][0],
            y=places[row][1],
            label=int(rows.labels_N[row]),
            wrong=bool(top_N[row] != rows.labels_N[row]),
            title=f"{labels[int(rows.labels_N[row])]}, answered {rows.answers[row]}",
            picture=None if (square := shown.get(row)) is None else inlined(square, SMALL),
        )
        for row in order
    ]


def _facts(bundle: Bundle, more: Mapping[str, str]) -> dict[str, str]:
    meta = bundle.meta
    photos = meta.data["photos"]
    counts = {
        split: sum(counts_of.get(split, 0) for counts_of in photos.values())
        for split in ("train", "val")
    }
    shape = meta.preprocess
    return {
        **more,
        "Encoder": f"{meta.backbone}, {meta.features} features at {shape.size} px ({shape.mode})",
        "Recipe": f"{meta.recipe.get('name')}, seed {meta.recipe.get('seed')}",
        "Trained on": f"{counted(counts['train'], 'photo')}, validated on {counts['val']}; "
        f"digest {str(meta.data['digest'])[:16]}",
        "Temperature": f"{meta.temperature:.3f}",
        "Licence of the weights": meta.licence,
        "Made with": ", ".join(f"{name} {value}" for name, value in meta.versions.items()),
        "Machine": f"{available_threads()} cores of {platform.machine()}, "
        f"{platform.platform(terse=True)}, Python {platform.python_version()}",
        "Date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def data_name(data: str | PathLike[str]) -> str:
    """Return how a data set is called on a page: its last part, for the rest is nobody's matter."""
    return place_name(place_of(data))
