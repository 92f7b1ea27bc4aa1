"""Labelled photos → what is wrong with them, worst first, and a page to decide on it.

Dimension key: N photos.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from fursure.backbones.backbone import Backbone
from fursure.backbones.kinds import load_backbone
from fursure.check.findings import FINDING_KINDS, Finding, Material, found_in, ranked
from fursure.check.label_errors import Doubts, doubts
from fursure.check.reading import Gathered, gather
from fursure.check.review import check_review_file, write_review
from fursure.check.shortcuts import Cue, cues
from fursure.check.suspects import judge
from fursure.check.tasks import check_tasks_file, write_tasks
from fursure.dataset.corrections import Correction, corrected
from fursure.dataset.labelled import Data, dataset_of
from fursure.dataset.manifest import Manifest
from fursure.engine.selftest import about_engine
from fursure.errors import counted, some
from fursure.features.collect import grouped
from fursure.features.remarks import about_backbone, about_photos
from fursure.rows.columns import Coded
from fursure.rows.photo_table import PhotoTable
from fursure.run import Engine, Run
from fursure.splitting.scanned import Scanned
from fursure.splitting.split import folds
from fursure.stages import stage

FOLDS = 5
_FEW = 20  # photos; among fewer, nothing can be said to be unusual
_TELLING = 0.05  # share of the photos that a cue has to add to saying always the same


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Checked:
    """What a check found."""

    manifest: Manifest  # as corrected
    findings: tuple[Finding, ...]
    doubts: (
        Doubts | None
    )  # on labels and strangers; among the findings too; None: too few, or one class
    cues: tuple[Cue, ...]  # the most telling first; none where nothing could be said
    corrections: tuple[Correction, ...]
    notes: tuple[str, ...]
    seconds: float  # wall time
    engine: str

    def __repr__(self) -> str:
        """Return how many findings there are of each kind, on one line."""
        return f"Checked({self.manifest!r}, {self.counts()})"

    def _repr_html_(self) -> str:
        """Return the worst of each kind, as a notebook shows them."""
        from fursure.report.notebook import card_html

        counts, facts = self.counts(), {}
        for kind in (kind for kind in FINDING_KINDS if kind in counts):
            worst = next(finding for finding in self.findings if finding.kind == kind)
            first = f"{some(worst.paths, most=2)}: {worst.reason}".removeprefix(": ")
            facts[FINDING_KINDS[kind].title] = f"{counts[kind]:,}; the worst: {first}"
        photos, findings = len(self.manifest.photos), len(self.findings)
        title = f"{counted(photos, 'photo')}, {counted(findings, 'finding')}"
        return card_html(title, facts, [self.doubts.sentence()] if self.doubts else [])

    @property
    def unreadable(self) -> int:
        """How many photos cannot be used."""
        return sum(finding.kind == "unreadable" for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Return the number of findings by kind."""
        return dict(Counter(finding.kind for finding in self.findings))


def check_data(
    data: Data,
    run: Run = Run(),
    *,
    backbone: str = "lite0",
    output: str | PathLike[str] | None = None,
    label_studio: str | PathLike[str] | None = None,
    most: int = 400,
    overwrite: bool = False,
    seed: int = 0,
) -> Checked:
    """Look for what is wrong with the labelled photos in ``data``; none of them is changed.

    Verdicts of an earlier review are applied first. ``output`` gets a page that shows at most
    ``most`` findings as pictures, to be decided on, and ``label_studio`` all that have pictures,
    as tasks.

    Raises:
        FursureError: the photos, the corrections or the page cannot be used as asked.
    """
    began, dataset = time.monotonic(), dataset_of(data)
    verdicts = dataset.verdicts()
    if output is not None:
        check_review_file(Path(output), overwrite=overwrite)
    encoder = load_backbone(backbone)
    with dataset.open() as source:
        if label_studio is not None:
            check_tasks_file(Path(label_studio), source, overwrite=overwrite)
        with stage("list"):
            listing = dataset.listed(source)
        with stage("photos", len(listing.photos)):
            gathered = gather(source, listing, encoder, run)
        scanned = PhotoTable.of(row.photo for row in gathered.rows)
        applied = corrected(scanned, verdicts, listing.labels)
        rows: Sequence[Scanned] = gathered.rows
        if applied.photos is not scanned:
            pairs = zip(rows, applied.photos, strict=True)
            rows = [replace(row, photo=photo) for row, photo in pairs]
        kept = {verdict.sha256 for verdict in verdicts if verdict.verdict == "keep"}
        with stage("examine"):
            findings, doubted, telling = _examined(rows, gathered, listing.labels, kept, seed)
        checked = Checked(
            manifest=replace(listing, photos=applied.photos),
            findings=findings,
            doubts=doubted,
            cues=telling,
            corrections=verdicts,
            notes=(*applied.notes, *_notes(listing, encoder, gathered.engine, run.engine)),
            seconds=time.monotonic() - began,
            engine=gathered.engine,
        )
        if output is not None:
            with stage("page"), run.progress("drawing the page", None) as advance:
                original = replace(listing, photos=scanned)
                write_review(source, checked, original, Path(output), most, advance)
        if label_studio is not None:
            write_tasks(checked, source, listing.labels, Path(label_studio))
    return replace(checked, seconds=time.monotonic() - began)


def _examined(
    rows: Sequence[Scanned],
    found: Gathered,
    labels: Sequence[str],
    kept: set[str],
    seed: int,
) -> tuple[tuple[Finding, ...], Doubts | None, tuple[Cue, ...]]:
    """Return all findings, ranked, the doubts among them, and the cues.

    Photos that were ``kept`` are not doubted.
    """
    mine_N = np.array([rows[int(place)].photo.reason is None for place in found.place_N], bool)
    usable = [rows[int(place)] for place in found.place_N[mine_N]]
    if not usable:
        return ranked(found_in(Material(rows=rows))), None, ()
    features_ND = found.features_ND if mine_N.all() else found.features_ND.at(mine_N)
    photos = grouped(usable, features_ND)
    photos = replace(photos, reasons=Coded[str | None].filled(None, len(photos)))
    findings = [*found_in(Material(rows=rows, usable=usable, photos=photos))]
    labels_N = photos.labels.numbered(labels)
    fold_N = folds(photos, seed=seed, k=FOLDS)
    telling: tuple[Cue, ...] = ()
    doubted: Doubts | None = None
    if len(photos) >= _FEW:
        _, group_N = np.unique(photos.groups.code_N, return_inverse=True)
        judged = judge(features_ND, labels_N, len(labels), fold_N, group_N, seed=seed)
        asked_N = ~photos.digests.where(kept.__contains__)
        looked = doubts(photos, labels, judged, asked_N, seed=seed)
        findings += looked.findings
        if len(np.unique(labels_N)) > 1:
            doubted = looked
            facts = [photo.facts for photo in usable if photo.facts is not None]
            telling = cues(facts, labels_N, len(labels), fold_N)
            findings += _telling(telling)
    keys = set(photos.paths.at(photos.digests.where(kept.__contains__)))
    open_ = (
        finding
        for finding in findings
        if not (len(finding.paths) == 1 and finding.paths[0] in keys)
    )
    return ranked(open_), doubted, telling


def _telling(cues: Sequence[Cue]) -> Iterator[Finding]:
    for cue in cues:
        if cue.gain > _TELLING:
            sentence = f"{cue.sentence()}. A model may learn that instead of what photos show."
            yield Finding(kind="cue", reason=sentence, score=cue.gain)


def _notes(listing: Manifest, encoder: Backbone, engine: str, asked: Engine) -> Iterator[str]:
    yield from about_photos(listing, "the manifest")
    yield from about_backbone(encoder.name)
    yield from about_engine(engine, encoder.onnx, asked=asked, photos=len(listing.photos))
