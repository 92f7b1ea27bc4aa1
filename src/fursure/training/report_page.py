"""A finished training → the report page beside its model, from what is in memory already.

Dimension key: N photos, M photos tested.
"""

from os import PathLike
from pathlib import Path

import numpy as np

from fursure.bundle.bundle import Bundle
from fursure.dataset.listing import Source
from fursure.errors import counted
from fursure.evaluation.evaluate import MAPPED, AnswerRows, Evaluated
from fursure.evaluation.gallery import TrainedPhotos
from fursure.evaluation.report_page import About, data_name, write_report
from fursure.metrics.intervals import proportion
from fursure.rows.photo_table import PhotoTable
from fursure.training.learn import Learned


def training_report(
    page: Path, bundle: Bundle, learned: Learned, data: str | PathLike[str], source: Source
) -> None:
    """Write the page of the photos that the model's figures were measured on.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    photos, features_ND = PhotoTable.of(learned.collected.usable), learned.collected.features_ND
    rows = _rows(bundle, learned)
    wrong = [
        answer != bundle.meta.labels[label]
        for answer, label in zip(rows.answers, rows.labels_N.tolist(), strict=True)
        if answer not in {"unsure", "stranger"}
    ]
    folded = learned.found.basis == "cross-validation"
    evaluated = Evaluated(
        evaluation=learned.found.evaluation,
        rows=rows,
        answered=proportion(len(wrong), len(rows.answers)),
        answered_wrong=proportion(sum(wrong), len(wrong)) if wrong else None,
        strangers=proportion(rows.answers.count("stranger"), len(rows.answers)),
        failed=_failed(PhotoTable.of(learned.collected.manifest.photos)),
    )
    train_N = photos.splits.are("train")
    about = About(
        data=f"trained and measured on {data_name(data)}",
        basis="photos, each judged by a model that had not seen it"
        if folded
        else "test photos it had not seen",
        facts={
            "Measured on": f"{data_name(data)}, {counted(len(rows.paths), 'photo')} "
            f"({learned.found.basis})"
        },
        curves=learned.curves(),
    )
    trained: TrainedPhotos | str = "with so few photos each was of training for the others"
    if not folded and train_N.any():
        trained = TrainedPhotos(
            source=source,
            photos=photos.at(train_N),
            features_ND=features_ND,
            rows_M=np.flatnonzero(train_N),
        )
    write_report(page, bundle, evaluated, source, about, trained=trained, overwrite=True)


def _failed(photos: PhotoTable) -> tuple[tuple[str, str], ...]:
    """Return the photos that could not be used, and why."""
    bad = photos.at(~photos.usable_mask)
    return tuple((path, str(reason)) for path, reason in zip(bad.paths, bad.reasons, strict=True))


def _rows(bundle: Bundle, learned: Learned) -> AnswerRows:
    found, labels = learned.found, bundle.meta.labels
    photos = PhotoTable.of(learned.collected.usable).at(found.tested_M)
    table = learned.collected.features_ND.at(found.tested_M)
    familiarity_M = table.mapped(bundle.familiar.familiarity)
    probs_MK = np.asarray(found.tested_MK, np.float64)
    threshold = bundle.threshold()
    return AnswerRows(
        paths=tuple(photos.paths),
        labels_N=photos.labels.numbered(labels),
        probs_NK=probs_MK,
        answers=tuple(
            bundle.answer(
                labels[int(probs_K.argmax())], float(probs_K.max()), float(familiar), threshold
            )
            for probs_K, familiar in zip(probs_MK, familiarity_M, strict=True)
        ),
        familiarity_N=np.asarray(familiarity_M, np.float64),
        features={
            row: table[row].astype(np.float16)
            for row in range(0, len(photos), max(1, len(photos) // MAPPED))
        },
    )
