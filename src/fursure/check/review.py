"""Findings → the page to review them on, with the photos read once more, only those shown."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fursure.check.findings import FINDING_KINDS, Finding
from fursure.dataset.corrections import Correction, as_cells, comparable, line_of, safe_cell
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData, BadImage, OutputExists
from fursure.files import replacing
from fursure.parallel import in_order
from fursure.photos.decode import LIMITS, decode
from fursure.report.pictures import data_uri
from fursure.report.review import Card, ReviewPage, SuspectPicture, render_review
from fursure.rows.photo import Photo
from fursure.run import available_threads

if TYPE_CHECKING:
    from fursure.check.check import Checked

_LARGE, _SMALL = 176, 80  # pixels of the longer side: a photo to decide on, one beside it
QUALITY = 75  # of the JPEGs: about 6 and 2 kB
COPIES = 6  # of a group with cards of their own
_LISTED = 50  # unreadable photos named
_SHARE = 6  # of the cards, one in so many is for each kind before the rest goes by rank


def check_review_file(path: Path, *, overwrite: bool) -> None:
    """Refuse early, before photos are read, what could not be written late.

    Raises:
        BadData: the folder is missing or cannot be written.
        OutputExists: there is such a file, or it is a folder.
    """
    if path.is_dir():
        raise OutputExists(path, "a folder", replaced=False)
    folder = path.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise BadData(f"the folder {folder} for the page cannot be written; make it first.")
    if path.exists() and not overwrite:
        raise OutputExists(path, "a file")


@dataclass(slots=True)
class _Draft:
    """A card on its way: what was found on one photo."""

    photo: Photo  # as the data has it
    findings: list[Finding] = field(default_factory=list)
    verdict: Correction | None = None

    def others(self) -> list[str]:
        """Return the paths it is compared with."""
        for finding in self.findings:
            if len(finding.paths) > 1:
                return [path for path in finding.paths if path != self.photo.path][:COPIES]
            if finding.neighbours:
                return list(finding.neighbours)
        return []


def write_review(
    source: Source,
    checked: "Checked",
    original: Manifest,
    path: Path,
    most: int,
    advance: Callable[[int], None],
) -> None:
    """Write the page: at most ``most`` photos, those with a verdict of an earlier review too."""
    photos = {photo.path: photo for photo in original.photos}
    drafts = _drafts(checked, photos, most)
    wanted = {draft.photo.path: _LARGE for draft in drafts}
    for draft in drafts:
        for other in draft.others():
            wanted.setdefault(other, _SMALL)
    thumbnails = dict(_thumbnails(source, list(wanted.items()), advance))
    cards = tuple(_card(draft, photos, thumbnails) for draft in drafts)
    shown = {draft.photo.path for draft in drafts}
    page = ReviewPage(
        name=source.path.name,
        key=original.digest,
        photos=len(original.photos),
        counts=_counts(checked.findings, shown),
        sentences=(
            *((checked.doubts.sentence(),) if checked.doubts else ()),
            *(
                finding.reason
                for finding in checked.findings
                if not (FINDING_KINDS[finding.kind].pictured or finding.kind == "unreadable")
            ),
        ),
        unreadable=_unreadable(checked.findings),
        cards=cards,
        labels=tuple((label, line_of(safe_cell(label))) for label in original.labels),
        carried=tuple(
            (
                as_cells(correction.path, correction.sha256),
                correction.verdict,
                line_of(safe_cell(correction.label or "")),
            )
            for correction in checked.corrections
            if comparable(correction.path) not in {comparable(path) for path in shown}
        ),
    )
    with replacing(path) as file:
        file.write(render_review(page).encode("utf-8", "backslashreplace"))


def _drafts(checked: "Checked", photos: dict[str, Photo], most: int) -> list[_Draft]:
    """Return what is to be shown: what was decided before, and the worst of each kind."""
    verdicts = {
        (comparable(correction.path), correction.sha256): correction
        for correction in checked.corrections
    }
    drafts: dict[str, _Draft] = {}
    for finding in _chosen(checked.findings, most):
        for path in finding.paths[:COPIES]:
            drafts.setdefault(path, _Draft(photos[path])).findings.append(finding)
    for photo in photos.values():
        verdict = verdicts.get((comparable(photo.path), photo.sha256))
        if verdict is not None:
            drafts.setdefault(photo.path, _Draft(photo)).verdict = verdict
    order = {kind: number for number, kind in enumerate(FINDING_KINDS)}

    def rank(draft: _Draft) -> tuple[int, float]:
        first = draft.findings[0] if draft.findings else None
        return (order[first.kind], -first.score) if first else (len(order), 0.0)

    return sorted(drafts.values(), key=rank)[:most]


def _chosen(findings: Sequence[Finding], most: int) -> Iterator[Finding]:
    """Yield findings to be shown: some of each kind, and then by rank."""
    seen: Counter[str] = Counter()
    early: list[Finding] = []
    late: list[Finding] = []
    for finding in findings:
        if FINDING_KINDS[finding.kind].pictured:
            seen[finding.kind] += 1
            (early if seen[finding.kind] <= max(1, most // _SHARE) else late).append(finding)
    taken = {id(finding) for finding in (*early, *late)[:most]}
    yield from (finding for finding in findings if id(finding) in taken)


def _thumbnails(
    source: Source, wanted: Sequence[tuple[str, int]], advance: Callable[[int], None]
) -> Iterator[tuple[str, str]]:
    """Yield each path and its picture, "" for one that cannot be shown."""

    def work(item: tuple[str, int]) -> tuple[str, str]:
        path, side = item
        try:
            image = decode(source.read(path, LIMITS.bytes), name=path, min_side=_LARGE).image
        except BadImage:
            return path, ""
        image.thumbnail((side, side))
        return path, data_uri(image, "jpeg", quality=QUALITY)

    for result in in_order(work, wanted, threads=available_threads() + 1):
        yield result
        advance(1)


def _card(draft: _Draft, photos: dict[str, Photo], thumbnails: dict[str, str]) -> Card:
    photo, verdict = draft.photo, draft.verdict
    kinds = dict.fromkeys(FINDING_KINDS[finding.kind].title for finding in draft.findings)
    suggestions = [finding.suggestion for finding in draft.findings if finding.suggestion]
    return Card(
        picture=_picture(photo, thumbnails),
        titles=tuple(kinds) or ("decided before",),
        reasons=tuple(finding.reason for finding in draft.findings),
        suggestion=suggestions[0] if suggestions else None,
        neighbours=tuple(_picture(photos[path], thumbnails) for path in draft.others()),
        cells=as_cells(photo.path, photo.sha256),
        verdict=verdict.verdict if verdict else "",
        new_label=(verdict.label or "") if verdict else "",
    )


def _picture(photo: Photo, thumbnails: dict[str, str]) -> SuspectPicture:
    inside = photo.path.rpartition("!")[2]
    return SuspectPicture(uri=thumbnails.get(photo.path, ""), name=inside, label=photo.label or "")


def _counts(findings: Sequence[Finding], shown: set[str]) -> tuple[tuple[str, int, int], ...]:
    """Return for each kind its title, how many were found and how many of these are shown."""
    counts: Counter[str] = Counter(finding.kind for finding in findings)
    below: defaultdict[str, int] = defaultdict(int)
    for finding in findings:
        below[finding.kind] += bool(set(finding.paths) & shown)
    return tuple(
        (about.title, counts[kind], below[kind])
        for kind, about in FINDING_KINDS.items()
        if counts[kind]
    )


def _unreadable(findings: Sequence[Finding]) -> tuple[str, ...]:
    bad = [
        f"{finding.paths[0]}: {finding.reason}"
        for finding in findings
        if finding.kind == "unreadable"
    ]
    more = [f"… and {len(bad) - _LISTED:,} more"] if len(bad) > _LISTED else []
    return tuple(bad[:_LISTED] + more)
