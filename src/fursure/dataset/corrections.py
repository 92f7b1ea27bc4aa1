"""A person's verdicts on photos, as CSV or from Label Studio → the same photos, better labelled.

A verdict counts for a photo of the same path and the same content, so a file that was replaced
since keeps its label and is reported. Where a person left the sha256 out, the path alone decides.
The photos themselves are never touched.

    path,sha256,verdict,label
    cat/17.jpg,9f86d0…,relabel,dog
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

from fursure.annotations.tasks import answers
from fursure.dataset.naming import label_from
from fursure.errors import BadData, some
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable

_Verdict = Literal["keep", "relabel", "drop"]
COLUMNS = ("path", "sha256", "verdict", "label")
NEEDED = ("path", "verdict", "label")
DROPPED = "left out by the corrections"

_LARGEST = 64 * 2**20  # bytes; a row for each of some 400,000 photos
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONE = re.compile("[\ud800-\udfff]")  # a byte of a name that is no UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One verdict."""

    path: str
    sha256: str  # of the photo that was looked at; "" for whatever lies at that path
    verdict: _Verdict
    label: str | None  # the right one, for ``relabel``
    place: str  # the file and its line


@dataclass(frozen=True, slots=True)
class Corrected:
    """Photos with the verdicts applied, and what of these could not be."""

    photos: PhotoTable
    notes: tuple[str, ...]


def read_corrections(path: str | PathLike[str]) -> tuple[Correction, ...]:
    """Return the verdicts in a file; a later line on the same photo replaces an earlier one.

    Raises:
        BadData: it cannot be read, or a line is wrong; the message has the line's number.
    """
    data = _read(Path(path))
    if data.lstrip()[:1] == b"[":
        return _answered(path, data)
    rows = _rows(Path(path), data)
    number, head = next(rows, (1, []))
    names = [name.strip().lower() for name in head]
    if missing := [name for name in NEEDED if name not in names]:
        shown = some((repr(name[:40]) for name in head), most=8) or "nothing"
        raise BadData(
            f"{path}, line {number}: found the columns {shown}; it needs {', '.join(NEEDED)}, "
            f"and lacks {missing[0]!r}."
        )
    found_by: dict[tuple[str, str], Correction] = {}
    for number, cells in rows:
        by_name = dict(zip(names, cells, strict=False))
        values = {name: by_name.get(name, "") for name in COLUMNS}
        correction = _correction(values, f"{path}, line {number}")
        found_by[correction.path, correction.sha256] = correction
    return tuple(found_by.values())


def corrected(
    photos: Sequence[Photo],
    corrections: Sequence[Correction],
    labels: Sequence[str],
) -> Corrected:
    """Return scanned ``photos`` in order, each with the verdict on it applied.

    Raises:
        BadData: a new label is none of ``labels``.
    """
    if not corrections:
        return Corrected(PhotoTable.of(photos), ())
    for correction in corrections:
        if correction.label is not None and correction.label not in labels:
            known = some(map(repr, labels), most=10)
            raise BadData(
                f"{correction.place}: no photo has the label {correction.label!r}; there are "
                f"{known}."
            )
    by_photo = {
        (comparable(correction.path), correction.sha256): correction for correction in corrections
    }
    result: list[Photo] = []
    used: set[str] = set()
    for photo in photos:
        path = comparable(photo.path)
        verdict = by_photo.get((path, photo.sha256)) or by_photo.get((path, ""))
        if verdict is None:
            result.append(photo)
        else:
            used.add(verdict.place)
            result.append(_applied(photo, verdict))
    paths = {comparable(photo.path) for photo in photos}
    notes = (
        f"{correction.place}: {correction.path} "
        + ("is another photo by now" if comparable(correction.path) in paths else "is gone")
        + "; its verdict was not applied"
        for correction in corrections
        if correction.place not in used
    )
    return Corrected(PhotoTable.of(result), tuple(notes))


def comparable(path: str) -> str:
    """Return a path as any program can write it: what is no UTF-8 in it becomes U+FFFD."""
    return _LONE.sub("\ufffd", path)


def safe_cell(text: str) -> str:
    """Return a path or a label that no spreadsheet takes for a formula."""
    return f"./{text}" if text.startswith(_FORMULA) else text


def as_cells(path: str, sha256: str) -> str:
    """Return the first two cells of a photo's line."""
    return line_of(safe_cell(comparable(path)), sha256)


def line_of(*cells: str) -> str:
    """Return a line of CSV without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # it quotes what ends lines
    return text.getvalue().removesuffix("\r\n")


def _answered(path: str | PathLike[str], data: bytes) -> tuple[Correction, ...]:
    """Return the verdicts in what Label Studio exported as JSON."""
    try:
        return tuple(
            _correction(asdict(answer), f"{path}, task {number}")
            for number, answer in enumerate(answers(data), start=1)
        )
    except ValueError as error:
        raise BadData(f"{path} holds {error}; export the project of those tasks as JSON.") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadData(f"{path} cannot be read ({error.strerror}).") from None
    if len(data) > _LARGEST:
        raise BadData(f"{path} has more than {_LARGEST:,} bytes; it holds no verdicts on photos.")
    return data


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    if b"\0" in data:
        raise BadData(f"{path} is no UTF-8 text; save the table as UTF-8.")
    text = io.StringIO(data.decode("utf-8-sig", "surrogateescape"), newline="")
    reader = csv.reader(text, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise BadData(f"{path}, line {reader.line_num}: {error}.") from None


def _correction(cells: Mapping[str, str], place: str) -> Correction:
    verdict, sha256 = cells["verdict"].strip().lower(), cells["sha256"].strip().lower()
    path, label = _unescaped(cells["path"]), _unescaped(cells["label"].strip())
    if verdict not in get_args(_Verdict):
        raise BadData(f"{place}: found the verdict {verdict[:40]!r}; it is keep, relabel or drop.")
    if not path or not re.fullmatch("([0-9a-f]{64})?", sha256):
        raise BadData(
            f"{place}: found {path[:60]!r} with the sha256 {sha256[:70]!r}; it needs the path of "
            "a photo, and 64 hexadecimal digits or none."
        )
    if verdict == "relabel" and not label:
        raise BadData(f"{place}: relabel without a label; write the right one, or drop.")
    return Correction(
        path=path,
        sha256=sha256,
        verdict=verdict,  # type: ignore[arg-type]
        label=label_from(label) if verdict == "relabel" else None,
        place=place,
    )


def _unescaped(text: str) -> str:
    """Return what `safe_cell` was given."""
    return text[2:] if text.startswith("./") and text[2:].startswith(_FORMULA) else text


def _applied(photo: Photo, correction: Correction) -> Photo:
    match correction.verdict:
        case "keep":
            return photo
        case "relabel":
            return replace(photo, label=correction.label)
        case "drop":
            return photo if photo.reason else replace(photo, reason=DROPPED)
