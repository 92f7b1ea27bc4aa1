"""Grouped photos → train, validation and test; for few photos, folds.

What is decided here depends on the seed, the names of groups and the labels: never on the order of
photos, nor on where they lie.

Dimension key: N photos.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fursure.dataset.manifest import SPLITS, Photo, Split
from fursure.errors import BadData
from fursure.recipe import Recipe

Half = Literal["choose", "certify"]

SMALLEST_CLASS = 2  # photos that do not look alike; with fewer nothing can be held out

_SPARE = "left out: the recipe takes at most"


def ticket(seed: int, group: str) -> float:
    """Return the lot that a group of near-duplicates draws, uniform in [0, 1)."""
    digits = sha256(f"{seed}/{group}".encode("utf-8", "surrogatepass")).hexdigest()[:13]
    return int(digits, 16) / 16**13


def half(seed: int, group: str) -> Half:
    """Return which half of validation a group belongs to, by a lot of its own.

    What chose strength and temperature must not also certify the risk.
    """
    return "choose" if ticket(seed, f"half/{group}") < 0.5 else "certify"


def assign(
    photos: Sequence[Photo],
    *,
    seed: int = 0,
    val: float = 0.1,
    test: float = 0.1,
    previous: Mapping[str, Split] | None = None,
) -> tuple[Photo, ...]:
    """Return ``photos`` in order, with a split for each that is usable and has a label.

    ``val`` and ``test`` are the shares that groups of every class have in expectation. Groups
    stay whole, those with several labels too.

    - Given splits are kept, even where a group spans two of them (`leaks` tells). If no photo is
      given for validation, or none for test, that share of the given training photos becomes it.
    - ``previous`` (digest → split, as saved with a model) is kept, so photos added since move
      none of the older ones. A new photo joins its older near-duplicates; one with such in
      different splits is left out, with the reason.
    - Every class gets one group at least to train, then to validate, then to test, as far as its
      groups reach: those with the lowest lots move. One is no measurement, but it shows that the
      class is there; figures for so few photos come from `folds`.
    """
    groups = _grouped(photos)
    given = {photo.split for members in groups.values() for photo in members}
    free: set[Split] = {"train", *(split for split in SPLITS if split not in given)}
    wanted: dict[Split, float] = {"val": val, "test": test}
    shares = {split: share for split, share in wanted.items() if split in free}

    def kept(photo: Photo) -> Split | None:
        if photo.split is not None and (photo.split != "train" or free == {"train"}):
            return photo.split
        earlier = (previous or {}).get(photo.sha256)
        return earlier if earlier in free else None

    settled = {
        group: {split for photo in members if (split := kept(photo))}
        for group, members in groups.items()
    }
    lots = {group: ticket(seed, group) for group, splits in settled.items() if not splits}
    purposes = [split for split in SPLITS if split == "train" or shares.get(split)]
    drawn = _with_small_classes(_drawn(lots, shares), lots, settled, groups, purposes)

    def placed(photo: Photo) -> Photo:
        splits = settled[_group(photo)]
        if split := kept(photo):
            return replace(photo, split=split)
        if not splits:
            return replace(photo, split=drawn[_group(photo)])
        if len(splits) == 1 and (photo.split is None or splits <= free):
            return replace(photo, split=next(iter(splits)))
        if photo.split is not None:
            return photo
        return replace(photo, reason=_bridging(splits, groups[_group(photo)], kept))

    return tuple(placed(photo) if _counts(photo) else photo for photo in photos)


def limited(
    photos: Sequence[Photo], most: int, *, seed: int = 0, least: int = 1
) -> tuple[Photo, ...]:
    """Return ``photos`` in order, all but ``most`` of the training photos ruled out as `spare`.

    The classes have equally many, as far as their photos reach. A group is in or out, so what is
    spare is new to the model, and less than a group may be missing from ``most``. A smaller limit
    takes some of what a larger one takes: groups come in an order of lots that knows no limit.

    Raises:
        BadData: a class would keep fewer than ``least`` groups.
    """
    groups = _grouped([photo for photo in photos if photo.split == "train"])
    kept: set[str] = set()
    held = Counter[str]()  # groups of each class so far
    total = needed = 0  # photos
    for label, group in _in_turn(groups, seed):
        total += len(groups[group])
        held[label] += 1
        if held[label] <= least:
            needed = total
        if total <= most:
            kept.add(group)
    if most < needed:
        raise BadData(
            f"a limit of {most} training photos leaves a class fewer than {least} that do not look "
            f"alike, and training needs those; take {needed} at least: --photos {needed}."
        )
    return tuple(
        replace(photo, reason=f"{_SPARE} {most} training photos")
        if _counts(photo) and photo.split == "train" and _group(photo) not in kept
        else photo
        for photo in photos
    )


def spare(photo: Photo) -> bool:
    """Return whether nothing is wrong with a photo but that the recipe takes no more."""
    return (photo.reason or "").startswith(_SPARE)


def leaks(photos: Sequence[Photo]) -> tuple[tuple[Photo, ...], ...]:
    """Return the groups whose photos lie in several splits, each with its photos by path."""
    groups = _grouped(photos)
    return tuple(
        tuple(sorted(groups[group], key=lambda photo: photo.path))
        for group in sorted(groups)
        if len({photo.split for photo in groups[group]} - {None}) > 1
    )


def folds(photos: Sequence[Photo], *, seed: int = 0, k: int = 5) -> NDArray[np.int64]:
    """Return for each photo in which of ``k`` parts it is (N,), -1 for one without use or label.

    Groups stay whole, and every part gets its share of each class: in the order of their lots,
    groups go where the fewest photos of their class are.
    """
    groups = _grouped(photos)
    labels = {group: _label(members) for group, members in groups.items()}
    part: dict[str, int] = {}
    total, of_label = Counter[int](), Counter[tuple[str, int]]()
    for group in sorted(groups, key=lambda group: (ticket(seed, f"fold/{group}"), group)):
        label, size = labels[group], len(groups[group])
        chosen = min(range(k), key=lambda fold: (of_label[label, fold], total[fold], fold))
        part[group] = chosen
        total[chosen] += size
        of_label[label, chosen] += size
    return np.array([part[_group(photo)] if _counts(photo) else -1 for photo in photos], np.int64)


def _counts(photo: Photo) -> bool:
    """Return whether a photo takes part: it can be used, and somebody said what it shows."""
    return photo.reason is None and photo.label is not None


def _group(photo: Photo) -> str:
    """Return the name of a photo's group; a photo without near-duplicates is its own."""
    if name := photo.group or photo.sha256:
        return name
    raise ValueError(f"{photo.path} has neither a group nor a digest; scan the photos first")


def _grouped(photos: Sequence[Photo]) -> dict[str, list[Photo]]:
    groups: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if _counts(photo):
            groups[_group(photo)].append(photo)
    return dict(groups)


def _label(members: Sequence[Photo]) -> str:
    """Return the class that most photos of a group have; of two such, the first by name."""
    count = Counter(str(photo.label) for photo in members)
    return min(count.items(), key=lambda item: (-item[1], item[0]))[0]


def _in_turn(groups: Mapping[str, Sequence[Photo]], seed: int) -> list[tuple[str, str]]:
    """Return (label, group), the classes taking turns, a photo each, in the order of their lots.

    A group's lot is the worst of one lot a photo (the n-th root of a uniform lot is the greatest
    of n), or else a burst of a thousand could come first and keep its whole class waiting.
    """
    lots = {
        group: ticket(seed, f"limit/{group}") ** (1 / len(members))
        for group, members in groups.items()
    }
    turns: list[tuple[int, str, str]] = []
    of_label = Counter[str]()
    for group in sorted(groups, key=lambda group: (lots[group], group)):
        label = _label(groups[group])
        of_label[label] += len(groups[group])
        turns.append((of_label[label], label, group))
    return [(label, group) for _, label, group in sorted(turns)]


def _drawn(lots: Mapping[str, float], shares: Mapping[Split, float]) -> dict[str, Split]:
    """Return the split of each lot: the lowest lots are for test, the next for validation."""
    test = shares.get("test", 0.0)
    val = test + shares.get("val", 0.0)
    return {
        group: "test" if lot < test else "val" if lot < val else "train"
        for group, lot in lots.items()
    }


def _with_small_classes(
    drawn: Mapping[str, Split],
    lots: Mapping[str, float],
    settled: Mapping[str, set[Split]],
    groups: Mapping[str, Sequence[Photo]],
    purposes: Sequence[Split],
) -> dict[str, Split]:
    """Return ``drawn``, changed so that every class has a group for each purpose.

    A group of several classes never moves: what helps one might rob the other. So the classes
    can be looked at one by one, in any order.
    """
    result = dict(drawn)
    of_label: defaultdict[str | None, list[str]] = defaultdict(list)
    own: set[str] = set()
    for group, members in groups.items():
        labels = {photo.label for photo in members}
        own |= {group} if len(labels) == 1 and group in drawn else set()
        for label in labels:
            of_label[label].append(group)
    for names in of_label.values():
        held = Counter(split for name in names for split in settled[name] or {result[name]})
        needed = purposes[: len(names)]
        for split in needed:
            donors = [
                (result[name] != "train", lots[name], name)
                for name in names
                if name in own and (held[result[name]] > 1 or result[name] not in needed)
            ]
            if donors and not held[split]:
                name = (max if split == "train" else min)(donors)[-1]
                held[result[name]] -= 1
                held[split] += 1
                result[name] = split
    return result


def _bridging(splits: set[Split], members: Sequence[Photo], kept: Callable[[Photo], object]) -> str:
    """Say between which photos a new one stands."""
    apart = (
        f"{min(photo.path for photo in members if kept(photo) == split)} ({split})"
        for split in sorted(splits)
    )
    return f"near-duplicate of photos in different splits: {', '.join(apart)}"


def few(photos: Sequence[Photo], recipe: Recipe) -> bool:
    """Return whether there are too few usable photos for a held-out split to say much.

    Those that the user himself set aside for test do not count: nothing is learned from them.
    """
    learned = sum(photo.reason is None and photo.split != "test" for photo in photos)
    return learned < recipe.cross_validate_below
