"""Photos in class folders, with or without a split → photos with labels.

A folder that merely wraps the others is looked through.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from fursure.dataset.columns import split_named
from fursure.dataset.listing import Contents
from fursure.dataset.naming import label_from
from fursure.errors import TooFewPhotos
from fursure.rows.photo import Photo, Split

# Folders of pictures, and of what people or programs drew over them; in lower case.
_HOMES = frozenset(
    {"images", "image", "imgs", "img", "photos", "photo", "pictures", "pics", "jpegimages"}
)
_NOTES = frozenset(
    {"annotations", "annotation", "annots", "trimaps", "trimap", "masks", "mask", "labels"}
    | {"segmentations", "segmentation", "segmentationclass", "segmentationobject", "segs"}
    | {"groundtruth", "ground_truth", "gt", "bboxes", "boxes", "xmls", "keypoints", "depth"}
)


def by_split_folders(contents: Contents, base: str) -> list[Photo]:
    """Class folders inside of split folders; a single one with any is all the data there is."""
    tops = by_top(contents.photos, base)
    if not is_divided(tops):
        return []
    homes: dict[str, Split] = {}
    photos: list[Photo] = []
    for top in tops:
        if (split := split_named(top)) is None:
            continue
        home = f"{base}{top}/"
        classes = by_top(tops[top], home)
        if [split_named(name) for name in classes] == [split]:  # training_set/training_set/cat
            home += f"{next(iter(classes))}/"
            classes = by_top(tops[top], home)
        classes.pop("", None)
        if classes:
            homes[home] = split
            photos += _of_classes(classes, split)
    if len({photo.label for photo in photos}) < 2:
        return []
    _refuse_empty(contents, homes, photos)
    return settle_split(photos)


def by_class_folders(contents: Contents, base: str, *, fewest: int = 2) -> list[Photo]:
    """A folder per class, if there are ``fewest``; what lies beside them has no label."""
    tops = by_top(contents.photos, base)
    tops.pop("", None)
    if len(tops) < fewest or is_divided(tops):
        return []
    photos = _of_classes(tops, None)
    _refuse_empty(contents, [base], photos)
    return photos


def unwrapped(photos: Iterable[str], base: str) -> str:
    """Return the folder below which the layout begins: past those that hold one folder only."""
    while True:
        tops = by_top(photos, base)
        loose = tops.pop("", [])
        if len(tops) != 1:
            return base
        [(top, photos)] = tops.items()
        deeper = f"{base}{top}/"
        if len(loose) >= len(photos) or "" in by_top(photos, deeper):
            return base
        base = deeper


def without_annotations(contents: Contents, base: str) -> Contents:
    """Return the contents without masks and label maps that lie in a folder beside the photos'.

    Oxford's pets are ``images/`` beside ``annotations/``: two folders and no class. Both are told
    by their names, and only together, since ``masks`` may well be a class.
    """
    tops = by_top(contents.photos, base)
    homes = [top for top in tops if top.casefold() in _HOMES]
    others = [top for top in tops if top and top not in homes]
    if len(homes) != 1 or not others or any(top.casefold() not in _NOTES for top in others):
        return contents
    for top in others:
        contents.skipped[f"picture in {top}/ beside {homes[0]}/"] += len(tops[top])
    kept = {*tops.get("", []), *tops[homes[0]]}
    return replace(contents, photos=[name for name in contents.photos if name in kept])


def by_top(photos: Iterable[str], base: str) -> dict[str, list[str]]:
    """Return the photos below ``base`` by the first folder on their way, "" for none."""
    tops: defaultdict[str, list[str]] = defaultdict(list)
    for name in photos:
        if name.startswith(base):
            top, slash, _ = name[len(base) :].partition("/")
            tops[top if slash else ""].append(name)
    return dict(tops)


def is_divided(tops: Iterable[str]) -> bool:
    """Return whether these folders are parts of a split, not classes.

    One folder ``train`` among others may well be a class of vehicles.
    """
    kinds = {split_named(top) for top in tops if top}
    return len(kinds - {None}) > 1 or (len(kinds) == 1 and None not in kinds)


def _of_classes(tops: Mapping[str, Iterable[str]], split: Split | None) -> list[Photo]:
    return [
        Photo(path=name, label=label, split=split)
        for top, names in tops.items()
        if (label := label_from(top))
        for name in names
    ]


def settle_split(photos: list[Photo]) -> list[Photo]:
    """Return the photos with their split where that is a split: one part alone divides nothing."""
    if len({photo.split for photo in photos} - {None}) > 1:
        return photos
    return [replace(photo, split=None) for photo in photos]


def _refuse_empty(contents: Contents, homes: Iterable[str], photos: Iterable[Photo]) -> None:
    """Refuse a class folder with nothing in it; one with other files only is counted by name.

    The first is a mistake that would silently cost a class. The second may be ``docs/``.
    """
    labels = {photo.label for photo in photos}
    for home in homes:
        tops = {
            folder[len(home) :].partition("/")[0]
            for folder in contents.folders
            if folder.startswith(home) and folder != home
        }
        for top in sorted(tops):
            if split_named(top) or label_from(top) in labels:
                continue
            if not any(folder.startswith(f"{home}{top}/") for folder in contents.occupied):
                raise TooFewPhotos(top, found=0, needed=1)
            contents.skipped[f"folder {top!r} without photos"] += 1
