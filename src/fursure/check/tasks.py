"""Findings → tasks for Label Studio, to be decided there."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fursure.annotations.tasks import Task, labelling_setup
from fursure.check.findings import FINDING_KINDS, Finding
from fursure.check.review import check_review_file
from fursure.dataset.corrections import comparable
from fursure.dataset.listing import Source
from fursure.errors import BadData
from fursure.files import replacing
from fursure.rows.photo import Photo

if TYPE_CHECKING:
    from fursure.check.check import Checked


def check_tasks_file(path: Path, source: Source, *, overwrite: bool) -> None:
    """Refuse early what could not be written, or be shown, late.

    Raises:
        BadData: the folder cannot be written, or the photos lie in one file.
        OutputExists: there is such a file.
    """
    if source.prefix:
        raise BadData(
            f"{source.path} is one file, and Label Studio shows only photos that are files of "
            "their own; unpack it, or review with -o review.html."
        )
    for file in (path, _setup(path)):
        check_review_file(file, overwrite=overwrite)


def write_tasks(checked: "Checked", source: Source, labels: Sequence[str], path: Path) -> None:
    """Write a task for each photo that the page would show, and the labelling setup beside them.

    Label Studio finds a photo by the name of the data set's folder and its path in there.
    """
    findings: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in checked.findings:
        if FINDING_KINDS[finding.kind].pictured:
            for name in finding.paths:
                findings[name].append(finding)
    photos = {photo.path: photo for photo in checked.manifest.photos}
    folder = source.root.absolute().name
    tasks = [_task(photos[name], mine, folder).to_json() for name, mine in findings.items()]
    with replacing(path) as file:
        file.write(json.dumps(tasks, indent=1).encode())
    with replacing(_setup(path)) as file:
        file.write(labelling_setup(labels).encode())


def _setup(path: Path) -> Path:
    """Return the file of the labelling setup that belongs to the tasks of ``path``."""
    return path.with_name(f"{path.stem}.setup.xml")


def _task(photo: Photo, findings: Sequence[Finding], folder: str) -> Task:
    doubts = [finding for finding in findings if finding.suggestion is not None]
    return Task(
        place=f"{folder}/{photo.path}",
        path=comparable(photo.path),
        sha256=photo.sha256,
        label=photo.label or "",
        reasons=tuple(dict.fromkeys(finding.reason for finding in findings)),
        suggestion=doubts[0].suggestion if doubts else None,
        score=round(doubts[0].score, 4) if doubts else 0.0,
    )
