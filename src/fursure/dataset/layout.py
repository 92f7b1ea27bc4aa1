"""A source's names → photos with labels and, where one is given, their split.

The layouts are tried in this order: class folders inside of ``train``, ``val``, ``test``; class
folders; a table; members beside the photos (``0001.cls``); names that carry the label
(``cat.0.jpg``); one folder that is the only class.
A folder that merely wraps the others is looked through.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from fursure.annotations.annotated import UNLABELLED
from fursure.annotations.exports import EXPORT_SUFFIXES
from fursure.dataset.class_folders import (
    by_class_folders,
    by_split_folders,
    by_top,
    is_divided,
    settle_split,
    unwrapped,
    without_annotations,
)
from fursure.dataset.columns import split_named
from fursure.dataset.listing import Contents, Source, contents_of
from fursure.dataset.manifest import Manifest
from fursure.dataset.naming import LabelOf, junk, label_from, numbered, searching, suffix
from fursure.dataset.tables import Table
from fursure.errors import BadData, BadImage, NoPhotos, some
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.webdataset import LABEL_MEMBERS, label_beside, part_of

_EXPORTS = 16  # JSON and XML files in a folder; of more, each is of one photo
_UNLABELLED = "photo without a label"
_LARGEST_LABEL = 1 << 20  # bytes of what lies beside a photo


def iter_photos(source: Source, skipped: Counter[str] | None = None) -> Iterator[str]:
    """Yield the path of every photo, labelled or not, without ever holding them all.

    What is passed over is counted by kind in ``skipped``. A table's rows all count as photos.
    """
    skipped = Counter() if skipped is None else skipped
    if isinstance(source, Table):
        yield from source.names(skipped)
        return
    for name in source.names(skipped):
        if not name.endswith("/"):
            if kind := junk(name.removeprefix(source.prefix)):
                skipped[kind] += 1
            else:
                yield name


def list_photos(
    source: Source,
    *,
    label_regex: str | None = None,
    label_column: str | None = None,
    labelled: bool = True,
) -> Manifest:
    """Return the photos of ``source``, not yet opened, with the labels that its layout gives them.

    ``label_regex`` is searched in the name of each photo, without its folders, instead: its group
    ``label``, else its first one, is the label. With ``label_column`` a table labels the photos,
    by the column of that name. If ``labelled`` is false every photo is listed
    and none has a label. Photos that get no label where labels are asked for are counted.

    Raises:
        NoPhotos: there are none, or none with a label.
        TooFewPhotos: a class folder is empty.
        BadData: the pattern, a table or the name of a class cannot be used.
    """
    label_of = searching(label_regex) if label_regex is not None else None
    notes: list[str] = []
    if isinstance(source, Table):
        photos, skipped = _listed(source, label_of, label_column, labelled=labelled)
    else:
        contents = contents_of(source)
        photos = _found(source, contents, label_of, label_column, labelled=labelled)
        skipped, notes = contents.skipped, contents.notes
    return Manifest(
        root=str(source.root.absolute()),
        photos=PhotoTable.of(photos),
        skipped=dict(sorted((+skipped).items())),
        notes=(*source.notes, *notes),
    )


def _found(
    source: Source,
    contents: Contents,
    label_of: LabelOf | None,
    label_column: str | None,
    *,
    labelled: bool,
) -> list[Photo]:
    """Return the photos of a folder or an archive, or only those that have a label."""
    if not contents.photos:
        raise _no_photos(source, contents)
    if not labelled:
        return [Photo(path=name) for name in contents.photos]
    everything = contents
    contents = without_annotations(contents, unwrapped(contents.photos, source.prefix))
    base = unwrapped(contents.photos, source.prefix)
    if label_of is not None:
        photos = _by_names(contents, base, label_of, every=True)
    elif label_column is not None:
        photos = _by_column(source, contents, base, label_column)
    else:
        photos = _by_layout(source, contents, base, lone_class=contents is everything)
    paths = {photo.path for photo in photos}
    contents.skipped[UNLABELLED] += sum(name not in paths for name in contents.photos)
    if not photos:
        raise _no_photos(source, contents)
    return photos


def _by_layout(source: Source, contents: Contents, base: str, *, lone_class: bool) -> list[Photo]:
    """Return what the first layout that fits makes of the photos.

    ``lone_class``: a folder that is the only one may be a class; ``images/`` beside masks is none.
    """
    problems: list[BadData] = []
    photos = (
        by_split_folders(contents, base)
        or by_class_folders(contents, base)
        or _by_table(source, contents, base, problems)
        or _by_split_tables(source, contents, base, problems)
        or _by_members(source, contents)
        or _by_names(contents, base, numbered)
    )
    if not photos and problems:
        raise problems[0]  # a folder beside a table is no class: it is the table that is wrong
    return photos or (by_class_folders(contents, base, fewest=1) if lone_class else [])


def _no_photos(source: Source, contents: Contents) -> NoPhotos:
    kinds = (+contents.skipped).most_common(6)
    listed = ", ".join(f"{kind}: {count}" for kind, count in kinds) or "nothing at all"
    if contents.photos or not contents.archives:
        return NoPhotos(source.path, listed)
    names = [repr(name.removeprefix(source.prefix)) for name in contents.archives]
    inner = some(names, most=3)
    step = "unpack it and give one of those" if source.prefix else "give one of those instead"
    return NoPhotos(source.path, listed, f"it contains {inner}: {step}.")


def _by_column(source: Source, contents: Contents, base: str, label_column: str) -> list[Photo]:
    """The photos of the table that has such a column, whatever folders they lie in."""
    problems: list[BadData] = []
    photos = _by_table(source, contents, base, problems, label_column) or _by_split_tables(
        source, contents, base, problems, label_column
    )
    if not photos:
        raise next(iter(problems), None) or BadData(
            f"{source.path} holds no table with a column {label_column[:40]!r}."
        )
    return photos


def _by_table(
    source: Source,
    contents: Contents,
    base: str,
    problems: list[BadData],
    label_column: str | None = None,
) -> list[Photo]:
    """The one table that labels photos, at the top or beside a folder that was looked through.

    What is wrong with tables that may not even be meant goes to ``problems``.
    """
    homes = {name: name[: name.rfind("/") + 1] or source.prefix for name in contents.tables}
    useful: dict[str, tuple[list[Photo], Counter[str], Table]] = {}
    for name in _few_a_folder(name for name, home in homes.items() if base.startswith(home)):
        folders = [f"{top}/" for top in by_top(contents.photos, homes[name]) if top]
        table = Table(source, name, folders)
        try:
            if table.is_foreign:
                continue
            photos, skipped = _listed(table, None, label_column, labelled=True)
        except BadData as error:
            problems.append(error)
            continue
        # One label for all is a form to be filled in, such as Kaggle's sampleSubmission.csv.
        if len({photo.label for photo in photos if photo.reason is None}) > 1:
            useful[name] = photos, skipped, table
    if len(useful) > 1:
        tables = " and ".join(repr(name.removeprefix(source.prefix)) for name in useful)
        raise BadData(
            f"{source.path} holds {tables}, which all label photos; give the one you mean."
        )
    for name, (photos, skipped, table) in useful.items():
        contents.notes.extend(table.notes)
        contents.skipped.update(skipped)
        contents.skipped[suffix(name)] -= 1  # counted as junk, and read after all
        return photos
    return []


def _by_split_tables(
    source: Source,
    contents: Contents,
    base: str,
    problems: list[BadData],
    label_column: str | None = None,
) -> list[Photo]:
    """Photos in ``train``, ``test`` …, each folder with a table, as ``imagefolder`` has them."""
    photos: list[Photo] = []
    if is_divided(tops := by_top(contents.photos, base)):
        for top in tops:
            if split := split_named(top):
                home = f"{base}{top}/"
                inside = _by_table(source, contents, home, problems, label_column)
                photos += [replace(photo, split=split) for photo in inside]
    return settle_split(photos)


def _few_a_folder(tables: Iterable[str]) -> list[str]:
    """Return the tables without JSON and XML of which each photo may have its own."""
    names = list(tables)
    exports = [name for name in names if suffix(name) in EXPORT_SUFFIXES]
    return [name for name in names if len(exports) <= _EXPORTS or name not in exports]


def _by_members(source: Source, contents: Contents) -> list[Photo]:
    """Photos whose labels lie beside them, as in the shards of WebDataset; these may be divided."""

    def read(name: str) -> bytes | None:
        try:
            return source.read(name, _LARGEST_LABEL) if source.has(name) else None
        except BadImage:
            return None

    if label_beside(contents.photos[0], read) is None:
        return []
    labels = ((name, label_beside(name, read)) for name in contents.photos)
    photos = [
        Photo(path=name, label=label_from(label), split=split_named(part_of(name)))
        for name, label in labels
        if label
    ]
    for kind in LABEL_MEMBERS:  # counted as junk, and read after all
        contents.skipped.pop(kind, None)
    return settle_split(photos)


def _by_names(
    contents: Contents, base: str, label_of: LabelOf, *, every: bool = False
) -> list[Photo]:
    """Photos whose own names carry the label.

    Without ``every``, in a folder most of the names have to, and those of a lone folder have to
    tell more than one class, or it is a class folder whose photos are merely numbered.
    """
    tops = by_top(contents.photos, base)
    divided = is_divided(tops)
    photos: list[Photo] = []
    for top, names in tops.items():
        split = split_named(top) if divided else None
        labels = ((name, label_of(name[len(base) :].rpartition("/")[2])) for name in names)
        named = [Photo(path=name, label=label, split=split) for name, label in labels if label]
        if every or 2 * len(named) > len(names):
            photos += named
    if not every and not divided and "" not in tops and len({photo.label for photo in photos}) < 2:
        return []
    return settle_split(photos)


def _listed(
    table: Table, label_of: LabelOf | None, label_column: str | None, *, labelled: bool
) -> tuple[list[Photo], Counter[str]]:
    """Return the photos of a table, each once, and what was passed over."""
    photos: dict[str, Photo] = {}
    skipped: Counter[str] = Counter()
    for row in table.rows(labelled=labelled and label_of is None, label_column=label_column):
        label = row.label if label_of is None else label_of(row.path.rpartition("/")[2])
        photo = Photo(path=row.path, reason=row.reason)
        if labelled:
            photo = replace(photo, label=label, split=row.split)
        if labelled and label is None:
            skipped[row.unlabelled] += 1
        elif (other := photos.setdefault(row.path, photo)) is not photo:
            skipped["photo listed twice"] += 1
            if (other.label, other.split) != (photo.label, photo.split):
                photos[row.path] = replace(other, reason="listed with different labels or splits")
    if not photos:
        found = some((f"{kind}: {count}" for kind, count in skipped.items())) or "no rows"
        raise NoPhotos(table.path, found, "it needs rows with a path and a label.")
    first = next(iter(photos.values()))
    if labelled:
        photos = dict(zip(photos, settle_split([*photos.values()]), strict=True))
    if all(photo.reason is not None for photo in photos.values()):
        instead = "" if table.anywhere or table.prefix else ", or name the table itself"
        raise BadData(
            f"{table.path} lists no photo that can be used ({first.path!r}: {first.reason}); "
            f"write paths relative to the folder of the table{instead}."
        )
    return list(photos.values()), skipped
