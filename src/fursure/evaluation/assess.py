"""A model's name and labelled photos → figures, a page to look at, and a second model's beside."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fursure.bundle.bundle import Bundle
from fursure.bundle.named import find_model
from fursure.dataset.labelled import Data, Dataset, dataset_of
from fursure.errors import BadData, MissingExtra, counted
from fursure.evaluation.evaluate import Evaluated, evaluate_model
from fursure.features.remarks import SHOWN
from fursure.files import replacing
from fursure.metrics.classification import format_table
from fursure.metrics.paired import Comparison
from fursure.report.page import check_free
from fursure.run import Run

PASS = ("val_loss", "val_accuracy")  # what is drawn of a pass of training


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is known of a model now."""

    model: str
    data: str
    evaluated: Evaluated
    comparison: Comparison | None
    page: Path | None
    no_page: str  # why there is none although one was asked for

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {"model": self.model, "data": self.data, **self.evaluated.to_json()}
        if self.page is not None:
            values["report"] = str(self.page)
        if self.comparison is not None:
            values["comparison"] = self.comparison.to_json()
        return values

    def lines(self) -> Iterator[str]:
        """Yield the figures as text."""
        result = self.evaluated
        yield from format_table(result.evaluation).splitlines()
        wrong = result.answered_wrong
        yield f"answered          {result.answered}, of which wrong {wrong or 'none'}"
        yield f"called strangers  {result.strangers}"
        if self.comparison is not None:
            yield f"compared          {self.comparison.verdict}"

    def notes(self) -> Iterator[str]:
        """Yield what else is worth telling."""
        result = self.evaluated
        yield from result.notes
        if result.seen:
            whose = "the model or its encoder was made from"
            yield f"left out {counted(result.seen, 'photo')} {whose} (--include-seen)"
        for path, why in result.failed[:SHOWN]:
            yield f"left out {path}: {why}"
        if len(result.failed) > SHOWN:
            yield f"left out {len(result.failed) - SHOWN} more that cannot be used"
        if self.page is not None:
            yield f"to look at: {self.page}"
        if self.no_page:
            yield self.no_page


def assess(
    model: str,
    data: Data,
    run: Run = Run(),
    *,
    compare: str | None = None,
    include_seen: bool = False,
    max_error: float | None = None,
    report: Path | None = None,
    overwrite: bool = False,
) -> Assessment:
    """Measure a model, and another one where it is to be compared, and write a page.

    The page goes to ``report``; without one there is none.

    Raises:
        FursureError: a model, the photos or the page's place cannot be used.
    """
    if report is not None:
        if not report.parent.is_dir():
            raise BadData(f"the folder {report.parent} for the page does not exist.")
        check_free(report, overwrite=overwrite)
    dataset = dataset_of(data).pinned()
    measured = partial(
        evaluate_model, data=dataset, run=run, include_seen=include_seen, max_error=max_error
    )
    bundle = find_model(model)
    rival = None if compare is None else find_model(compare)
    evaluated = measured(bundle)
    other = None
    if rival is not None and compare is not None:
        from fursure.evaluation.report_page import against

        other = against(model, evaluated, compare, measured(rival))
    judged = Assessment(
        model=model,
        data=dataset.name,
        evaluated=evaluated,
        comparison=other[1].comparison if other else None,
        page=report,
        no_page="",
    )
    if report is None:
        return judged
    try:
        _write(report, bundle, judged, other, dataset, overwrite=overwrite)
    except MissingExtra as error:
        return replace(judged, page=None, no_page=f"no page: {error}")
    return judged


def _write(
    path: Path,
    bundle: Bundle,
    judged: Assessment,
    other: Any,
    dataset: Dataset,
    *,
    overwrite: bool,
) -> None:
    from fursure.evaluation.report_page import About, data_name, training_photos, write_report

    model, evaluated = Path(judged.model), judged.evaluated
    unseen = "photos" if evaluated.seen == 0 else "photos it had not seen"
    about = About(
        data=f"measured on {data_name(judged.data)}",
        basis=unseen,
        facts={
            "Measured on": f"{data_name(judged.data)}, "
            f"{counted(evaluated.evaluation.n, 'photo')}; "
            f"left out {evaluated.seen} of the model's own",
            "Engine": evaluated.engine,
        },
        curves=_training(model),
    )
    with ExitStack() as stack:
        source = stack.enter_context(dataset.open())
        trained = training_photos(bundle, model)
        if not isinstance(trained, str):
            stack.enter_context(trained.source)
        write_report(
            path,
            bundle,
            evaluated,
            source,
            about,
            trained=trained,
            other=other,
            overwrite=overwrite,
        )
    with replacing(path.with_suffix(".json")) as file:
        file.write(json.dumps(judged.to_json(), indent=1).encode())


def _training(model: Path) -> dict[str, Any]:
    """Return how the model's training went, from the figures beside it; nothing if unreadable."""
    path = model.with_name(f"{model.stem}.metrics.json")
    try:
        epochs = json.loads(path.read_text())["epochs"]
        return {"epochs": [{key: float(epoch[key]) for key in PASS} for epoch in epochs]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
