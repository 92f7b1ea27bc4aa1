"""Classes as they were read → a refusal, where one of them cannot be learned."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from fursure.dataset.naming import RESERVED
from fursure.errors import BadData, TooFewPhotos, counted
from fursure.rows.photo import Photo
from fursure.rows.photo_table import PhotoTable
from fursure.splitting.split import SMALLEST_CLASS

_ALIKE = 5  # photos a picture, on average, from which a class is told to be copies of a few
TOLD = 10  # photos of a class that such a word needs


def check_classes(photos: Sequence[Photo], labels: Sequence[str]) -> None:
    """Refuse a data set that cannot be learned from.

    Raises:
        BadData: there are fewer than two classes, or one has no photo to train on.
        TooFewPhotos: a class has too few photos that are not near-duplicates of each other.
    """
    if len(labels) < 2:
        what = f"only one class, {labels[0]!r}" if labels else "no class"
        raise BadData(f"there is {what}; a classifier needs photos of at least two.")
    photos = PhotoTable.of(photos)
    counts, pictures = Counter(photos.labels), _pictures(photos)
    for label in labels:
        different = pictures[label]
        if different < SMALLEST_CLASS:
            copies = counts[label] - different
            raise TooFewPhotos(label, found=different, needed=SMALLEST_CLASS, copies=copies)
    _refuse_untaught(photos, labels)


def refuse_reserved(labels: Iterable[str]) -> None:
    """Refuse a class that is called like an answer that is none.

    Raises:
        BadData: there is one; the figures would take it for "stranger" or "unsure".
    """
    for label in labels:
        if label.casefold() in RESERVED:
            raise BadData(
                f"a class cannot be called {label!r}: that is what a model answers where it names "
                f"no class. Rename its folder, or train with --rename '{label}=another name'."
            )


def warn_of_classes(photos: Iterable[Photo]) -> Iterator[str]:
    """Yield which classes are copies of a few pictures."""
    table = PhotoTable.of(photos)
    pictures = _pictures(table)
    for label, count in Counter(table.labels).items():
        groups = pictures[label]
        if count >= max(TOLD, _ALIKE * groups):
            words = counted(
                groups,
                "picture and copies of it: a model learns that picture",
                "pictures and copies of them: a model learns those pictures",
            )
            yield f"the {count} photos of class {label!r} are {words}, not the class"


def _pictures(photos: PhotoTable) -> Counter[str | None]:
    """Return how many near-duplicate groups each class has."""
    pairs = set(zip(photos.labels.code_N.tolist(), photos.groups.code_N.tolist(), strict=True))
    return Counter(photos.labels.words[label] for label, _ in pairs)


def _refuse_untaught(photos: PhotoTable, labels: Sequence[str]) -> None:
    """Refuse a class that lies in other parts of a split than the one that teaches."""
    parts: defaultdict[str | None, Counter[str | None]] = defaultdict(Counter)
    for (label, split), count in Counter(zip(photos.labels, photos.splits, strict=True)).items():
        parts[label][split] = count
    for label in labels:
        if not parts[label]["train"] and not parts[label][None]:
            shares = ", ".join(f"{count} for {part}" for part, count in parts[label].items())
            raise BadData(
                f"class {label!r} has no photo to train on ({shares}): a model would know its "
                "name and nothing else. Add photos of it for training, or leave that class out."
            )
