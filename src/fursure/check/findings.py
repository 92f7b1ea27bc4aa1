"""Scanned photos → what is wrong with them, as far as files, copies and looks tell.

What only a network can tell (wrong labels, photos that belong nowhere) is found elsewhere and
told in the same form.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from fursure.dataset.naming import suffix
from fursure.errors import counted
from fursure.formats.table import suffixes_of
from fursure.photos.statistics import Facts
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.splitting.scanned import Scanned


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What a finding may be of."""

    title: str  # as the table and the page call it
    pictured: bool = True  # the page shows the photo, to be decided on; if not, a sentence


FINDING_KINDS: dict[str, FindingKind] = {  # the most harmful first
    "unreadable": FindingKind("cannot be read", pictured=False),
    "conflict": FindingKind("one photo under several labels"),
    "leak": FindingKind("copies in several splits"),
    "label": FindingKind("probably a wrong label"),
    "doubt": FindingKind("label worth a look"),
    "stranger": FindingKind("may belong to no class"),
    "cue": FindingKind("classes told apart without looking", pictured=False),
    "imbalance": FindingKind("few photos of a class", pictured=False),
    "blank": FindingKind("blank"),
    "dark": FindingKind("dark"),
    "bright": FindingKind("bright"),
    "blurred": FindingKind("blurred"),
    "tiny": FindingKind("tiny"),
    "shape": FindingKind("of an odd shape"),
    "duplicate": FindingKind("the same file twice"),
    "copy": FindingKind("near-duplicate"),
    "misnamed": FindingKind("named like another format"),
}
# Set by looking at the extremes of 12,000 photos of cats and dogs (docs/experiments.md).
BLANK = 8.0  # levels of contrast; the flattest photo that shows something has more
_DARK, _BRIGHT = 32.0, 226.0  # levels of brightness
SOFT = 0.33  # of the middle photo's sharpness, at the same contrast
_TINY, _SMALL = 48, 0.25  # pixels of the shorter side; and as a share of the middle photo's
ODD = 2.5  # times as long, or as high, as the middle photo
_RARE = 0.25  # of the largest class


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, with one photo or several."""

    kind: str  # of `FINDING_KINDS`
    paths: tuple[str, ...] = ()  # the photo; of copies, all of them
    labels: tuple[str, ...] = ()  # of each path
    reason: str
    score: float = 0.0  # to rank those of a kind by: a label's chance to be wrong, or how bad
    suggestion: str | None = None  # the label it should probably have
    neighbours: tuple[str, ...] = ()  # paths of the photos it was judged by

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, those that say something."""
        values = asdict(self) | {"score": round(self.score, 4)}
        return {name: value for name, value in values.items() if value not in (None, ())}


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings by kind, those of a kind from the worst on."""
    order = {kind: number for number, kind in enumerate(FINDING_KINDS)}
    return tuple(
        sorted(findings, key=lambda finding: (order[finding.kind], -finding.score, finding.paths))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What there is to look at, without a judge of labels."""

    rows: Sequence[Scanned]  # every photo
    usable: Sequence[Scanned] = ()  # those that can be used
    photos: Sequence[Photo] = ()  # the same ones; near-duplicates share a group


def found_in(material: Material) -> Iterator[Finding]:
    """Yield what every one of the `FINDERS` finds."""
    for finder in FINDERS:
        yield from finder(material)


def about_files(rows: Sequence[Scanned]) -> Iterator[Finding]:
    """Yield what cannot be read, and what is named like something else."""
    for row in rows:
        photo, facts = row.photo, row.facts
        if photo.reason is not None and row.fingerprint is None:
            yield _one(photo, "unreadable", photo.reason)
        elif facts is not None and suffix(photo.path) not in ("", *suffixes_of(facts.format)):
            ending = suffix(photo.path)
            yield _one(photo, "misnamed", f"a {facts.format} file called {ending}")


def about_copies(photos: Sequence[Photo]) -> Iterator[Finding]:
    """Yield groups of copies: across labels, across splits, or merely there twice."""
    table = PhotoTable.of(photos)
    lone_W = np.bincount(table.groups.code_N, minlength=len(table.groups.words)) < 2
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in table.at(~lone_W[table.groups.code_N]):
        groups[photo.group].append(photo)
    for members in groups.values():
        yield from _about_group(sorted(members, key=lambda photo: (photo.sha256, photo.path)))


def _about_group(members: list[Photo]) -> Iterator[Finding]:
    labels = sorted({photo.label or "" for photo in members})
    splits = sorted({photo.split for photo in members if photo.split})
    exact = len({photo.sha256 for photo in members}) == 1
    what = "the same file" if exact else "near-duplicates"
    if len(labels) > 1:
        names = " and ".join(labels)
        yield _several(members, "conflict", f"{what} under {names}: one label is wrong", exact)
    if len(splits) > 1:
        names = " and ".join(splits)
        yield _several(members, "leak", f"{what} in {names}: figures would flatter", exact)
    if len(labels) == 1 and len(splits) < 2:
        places = f"{what} in {len(members)} places"
        yield _several(members, "duplicate" if exact else "copy", places, exact)


def about_looks(rows: Sequence[Scanned]) -> Iterator[Finding]:
    """Yield photos that show little, each for its most telling flaw only."""
    seen = [(row.photo, row.facts) for row in rows if row.facts is not None]
    if not seen:
        return
    usual = _Usual(
        side=median(min(facts.width, facts.height) for _, facts in seen),
        ratio=median(facts.width / facts.height for _, facts in seen),
        sharpness=median(_crispness(facts) for _, facts in seen),
    )
    for photo, facts in seen:
        if flaw := _flaw(facts, usual):
            kind, score, reason = flaw
            yield _one(photo, kind, reason, score)


def about_classes(photos: Sequence[Photo]) -> Iterator[Finding]:
    """Yield the classes that have far fewer photos than the largest one."""
    counts = Counter(label or "" for label in PhotoTable.of(photos).labels)
    if not counts:
        return
    largest, most = counts.most_common(1)[0]
    for label, count in sorted(counts.items()):
        if count < _RARE * most:
            yield Finding(
                kind="imbalance",
                labels=(label,),
                reason=f"{counted(count, 'photo')} of {label}, {most:,} of {largest}: "
                "add some, or train with --class-weight balanced",
                score=1 - count / most,
            )


@dataclass(frozen=True, slots=True)
class _Usual:
    """The photo in the middle, by each measure."""

    side: float  # pixels, the shorter one
    ratio: float  # width / height
    sharpness: float


def _flaw(facts: Facts, usual: _Usual) -> tuple[str, float, str] | None:
    """Return the kind, the score and the reason of what is most wrong with a photo's looks."""
    side, ratio = min(facts.width, facts.height), facts.width / facts.height
    size = f"{facts.width} × {facts.height} pixels"
    level = f"brightness {facts.brightness:.0f} of 255"
    crisp = _crispness(facts) / max(usual.sharpness, 1e-6)
    small = max(_TINY, _SMALL * usual.side)
    odd = math.exp(abs(math.log(ratio / usual.ratio)))
    flaws = (  # the first whose score is above 0 counts
        ("blank", 1 - facts.contrast / BLANK, f"hardly any contrast ({facts.contrast:.1f})"),
        ("tiny", 1 - side / small, f"{size}; the middle photo has {usual.side:.0f} at least"),
        ("dark", 1 - facts.brightness / _DARK, level),
        ("bright", (facts.brightness - _BRIGHT) / (255 - _BRIGHT), level),
        ("blurred", 1 - crisp / SOFT, f"{crisp:.0%} as sharp as the middle photo"),
        ("shape", 1 - ODD / odd, f"{size}, {ratio:.2f} times as wide as high"),
    )
    return next((flaw for flaw in flaws if flaw[1] > 0), None)


def _crispness(facts: Facts) -> float:
    """Return the sharpness that does not come from mere contrast."""
    return facts.sharpness / max(facts.contrast, 1.0)


def _one(photo: Photo, kind: str, reason: str, score: float = 0.0) -> Finding:
    labels = (photo.label or "",)
    return Finding(kind=kind, paths=(photo.path,), labels=labels, reason=reason, score=score)


def _several(members: Sequence[Photo], kind: str, reason: str, exact: bool) -> Finding:
    return Finding(
        kind=kind,
        paths=tuple(photo.path for photo in members),
        labels=tuple(photo.label or "" for photo in members),
        reason=reason,
        score=float(exact),
    )


FINDERS: tuple[Callable[[Material], Iterator[Finding]], ...] = (
    lambda material: about_files(material.rows),
    lambda material: about_copies(material.photos),
    lambda material: about_looks(material.usable),
    lambda material: about_classes(material.photos),
)
