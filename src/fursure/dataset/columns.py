"""The first line of a table → which columns mean what, and its cells → label and split."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from fursure.dataset.naming import label_from
from fursure.errors import BadData, some
from fursure.remote.place import AnyPlace
from fursure.rows.photo import Split

# The first of these that a table has is taken.
_PHOTOS = (
    *("path", "file_path", "filepath", "file_name", "filename", "file", "image_path", "img_path"),
    *("image_name", "image_file", "image", "img", "photo"),
)
_PATHS = (*_PHOTOS, "image_id", "name", "id")
_LABELS = ("label", "labels", "class", "class_name", "category", "target", "species", "breed", "y")
_SPLITS = ("split", "subset", "partition", "set")
_FLAGS: Mapping[str, Split] = {  # columns of yes and no, as fastai has them
    **dict.fromkeys(("is_test", "is_test_set"), "test"),
    **dict.fromkeys(("is_valid", "is_val", "is_validation"), "val"),
}
_FOLDS = ("fold", "folds", "kfold", "k_fold", "cv_fold")
_YES_WORDS, _NO_WORDS = (
    frozenset({"true", "1", "1.0", "yes", "t", "y"}),
    frozenset({"false", "0", "0.0", "no", "f", "n", ""}),
)
_SPLIT = re.compile(
    r"(train|val|test)(?:ing|id|idation)?(?:[ _-]?(?:set|data|images?|imgs?))?\d*", re.IGNORECASE
)


_OR_SAY = ", or say which one it is with --label-column"
_UNDECODED = re.compile("[\ud800-\udfff]")  # a byte that was no UTF-8

Cells = Mapping[str, object]  # one row by the names of its columns


def split_named(name: str) -> Split | None:
    """Return the split meant by a folder or a cell called ``name``.

    Besides the plain words: ``valid``, ``training_set``, ``test1``, ``train_images`` and their
    like, which competitions use.
    """
    if (match := _SPLIT.fullmatch(name.strip())) is None:
        return None
    kinds: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
    return kinds[match[1].lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of a table are called that mean something."""

    path: str
    label: str | None
    split: str | None
    flags: Mapping[str, Split]  # of yes and no, where there is no ``split``
    ignored: tuple[str, ...]  # which speak of a split, and are not followed

    def notes(self, table: str) -> Iterator[str]:
        """Yield what is worth telling of them."""
        for name in self.ignored:
            yield (
                f"the column {name[:40]!r} of {table} is not followed; a column 'split' of train, "
                "val and test would be"
            )

    def split_of(self, cells: Cells) -> Split | None:
        """Return the split of one row.

        Raises:
            ValueError: a cell says neither which, nor yes or no.
        """
        if self.split is not None:
            if (written := text_of(cells.get(self.split))) and split_named(written) is None:
                raise ValueError(f"the split {written[:40]!r}; write train, val or test.")
            return split_named(written)
        marked = [split for name, split in self.flags.items() if _flag(name, cells.get(name))]
        return marked[0] if marked else "train" if self.flags else None


def columns_of(
    cells: Cells, table: AnyPlace, *, labelled: bool, label_column: str | None = None
) -> Columns:
    """Return which columns hold path, label and split; ``cells`` are the first row.

    Labels are those of ``label_column``, where one was named.

    Raises:
        BadData: there is no column of paths or, if ``labelled``, of labels.
    """
    names = {_plain(name): name for name in reversed(list(cells))}
    labels = _LABELS if label_column is None else (_plain(label_column),)
    path, label, split = (
        next((names[name] for name in known if name in names), None)
        for known in (_PATHS, labels, _SPLITS)
    )
    if path is None or (labelled and label is None):
        shown = some((repr(name[:40]) for name in cells), most=8)
        if path is not None and label_column is not None:
            raise BadData(f"{table} has the columns {shown}, and none {label_column[:40]!r}.")
        raise BadData(
            f"{table} has the columns {shown}; it needs "
            f"{'one of paths' if path is None else 'one of labels'}: name the columns "
            f"'path' and 'label' in the first line{'' if path is None else _OR_SAY}."
        )
    flags = {names[column]: part for column, part in _FLAGS.items() if column in names}
    folds = tuple(names[column] for column in _FOLDS if column in names)
    if split is not None:
        flags, folds = {}, (*folds, *flags)
    return Columns(path=path, label=label, split=split, flags=flags, ignored=folds)


def photo_columns(names: Iterable[str]) -> list[str]:
    """Return those of a table's columns whose names say that they hold photos, or their paths."""
    return [name for name in names if _plain(str(name)) in _PHOTOS]


def _plain(name: str) -> str:
    return re.sub(r"[\s-]", "_", name.strip().lower())


def label_of(cell: object) -> str | None:
    """Return a cell as a label, None for an empty one.

    Raises:
        ValueError: it is no text, or was no UTF-8.
        BadData: it cannot be the name of a class.
    """
    text = text_of(cell)
    if _UNDECODED.search(text):
        shown = text[:40].encode("ascii", "backslashreplace").decode()
        raise ValueError(f"the label {shown} is no UTF-8 text; save the table as UTF-8.")
    return label_from(text) or None


def _flag(name: str, cell: object) -> bool:
    """Return whether a cell says yes.

    Raises:
        ValueError: it says neither yes nor no.
    """
    written = str(cell).lower() if isinstance(cell, bool) else text_of(cell).lower()
    if written not in _YES_WORDS | _NO_WORDS:
        raise ValueError(f"{written[:40]!r} in the column {name[:40]!r}; write True or False.")
    return written in _YES_WORDS


def text_of(cell: object) -> str:
    """Return a cell as text, "" for an empty one."""
    match cell:
        case None:
            return ""
        case str():
            return cell.strip()
        case int() | float() if not isinstance(cell, bool):
            return str(cell)
        case _:
            raise ValueError(f"{str(cell)[:40]!r} is neither text nor a number.")
