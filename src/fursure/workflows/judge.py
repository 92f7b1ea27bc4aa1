"""A model's name and labelled photos → figures, a page to look at, and a second model's beside."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from fursure.bundle import Bundle
from fursure.errors import BadData, MissingExtra, counted
from fursure.files import replacing
from fursure.metrics.classification import format_table
from fursure.metrics.paired import Comparison
from fursure.recipe import Engine
from fursure.report.page import check_free
from fursure.workflows.evaluate import Evaluated, evaluate_model
from fursure.workflows.predict import find_model
from fursure.workflows.progress import Progress, silent

PASS = ("val_loss", "val_accuracy")  # what is drawn of a pass of training
SHOWN = 5  # photos that could not be used, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a model is to be measured."""

    include_seen: bool = False
    engine: Engine = "auto"
    threads: int | None = None
    max_error: float | None = None
    label_regex: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)  # labels of the photos
    report: Path | None = None  # where the page goes; None: no page
    overwrite: bool = False

    def measured(self, bundle: Bundle, data: str | PathLike[str], progress: Progress) -> Evaluated:
        """Return the figures of one model."""
        return evaluate_model(
            bundle,
            data,
            include_seen=self.include_seen,
            engine=self.engine,
            threads=self.threads,
            max_error=self.max_error,
            label_regex=self.label_regex,
            rename=self.rename,
            progress=progress,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of a model now."""

    model: str
    data: str
    evaluated: Evaluated
    comparison: Comparison | None
    page: Path | None
    no_page: str  # why there is none although one was asked for

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = {"model": self.model, "data": self.data, **self.evaluated.to_json()}
        if self.page is not None:
            found["report"] = str(self.page)
        if self.comparison is not None:
            found["comparison"] = self.comparison.to_json()
        return found

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
        for one in result.failed[:SHOWN]:
            yield f"left out {one.path}: {one.error}"
        if len(result.failed) > SHOWN:
            yield f"left out {len(result.failed) - SHOWN} more that cannot be used"
        if self.page is not None:
            yield f"to look at: {self.page}"
        if self.no_page:
            yield self.no_page


def judge(
    model: str,
    data: str | PathLike[str],
    asked: Asked,
    *,
    compare: str | None = None,
    progress: Progress = silent,
) -> Judged:
    """Measure a model, and another one where it is to be compared, and write the page.

    Raises:
        FursureError: a model, the photos or the page's place cannot be used.
    """
    if asked.report is not None:
        if not asked.report.parent.is_dir():
            raise BadData(f"the folder {asked.report.parent} for the page does not exist.")
        check_free(asked.report, overwrite=asked.overwrite)
    bundle = find_model(model)
    rival = None if compare is None else find_model(compare)
    evaluated = asked.measured(bundle, data, progress)
    other = None
    if rival is not None and compare is not None:
        from fursure.workflows.report import against

        other = against(model, evaluated, compare, asked.measured(rival, data, progress))
    judged = Judged(
        model=model,
        data=fspath(data),
        evaluated=evaluated,
        comparison=other[1].comparison if other else None,
        page=asked.report,
        no_page="",
    )
    if asked.report is None:
        return judged
    try:
        _write(asked.report, bundle, judged, other, overwrite=asked.overwrite)
    except MissingExtra as error:
        return replace(judged, page=None, no_page=f"no page: {error}")
    return judged


def _write(path: Path, bundle: Bundle, judged: Judged, other: Any, *, overwrite: bool) -> None:
    from fursure.workflows.report import Told, named, of, training_photos, write_report

    model, evaluated = Path(judged.model), judged.evaluated
    unseen = "photos" if evaluated.seen == 0 else "photos it had not seen"
    write_report(
        path,
        bundle,
        of(evaluated),
        judged.data,
        Told(
            data=f"measured on {named(judged.data)}",
            basis=unseen,
            facts={
                "Measured on": f"{named(judged.data)}, {counted(evaluated.evaluation.n, 'photo')}; "
                f"left out {evaluated.seen} of the model's own",
                "Engine": evaluated.engine,
            },
            curves=_training(model),
        ),
        trained=training_photos(bundle, model),
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
        return {"epochs": [{key: float(one[key]) for key in PASS} for one in epochs]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
