"""Grouped photos → train, validation and test; for few photos, folds.

What is decided here depends on the seed, the names of groups and the labels: never on the order of
photos, nor on where they lie.

Dimension key: N photos, M photos that take part, G groups of near-duplicates, P pairs of a group
and a class.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadData
from fursure.recipe import Recipe
from fursure.rows.columns import Coded
from fursure.rows.photo import SPLITS, Photo, Split
from fursure.rows.photo_table import PhotoTable
from fursure.splitting.grouped import Groups

Half = Literal["choose", "certify"]

SMALLEST_CLASS = 2  # photos that do not look alike; with fewer nothing can be held out

_SPARE = "left out: the recipe takes at most"
_TRAIN, _VAL, _TEST = range(len(SPLITS))  # splits by number; -1 is none
_ONE = (1 << _TRAIN, 1 << _VAL, 1 << _TEST)  # what `Groups.settled` says of a single split

Numbers = NDArray[np.int64]


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
) -> PhotoTable:
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
    table = PhotoTable.of(photos)
    groups = Groups.of(table)
    given_M = table.splits.at(groups.row_M).numbered(SPLITS)
    free = {_TRAIN, *({_VAL, _TEST} - set(given_M.tolist()))}
    stays_M = given_M >= (_TRAIN if free == {_TRAIN} else _VAL)
    kept_M = np.where(stays_M, given_M, _earlier(table, groups, previous or {}, free))
    settled_G = groups.settled(kept_M)
    shares = {split: share for split, share in ((_VAL, val), (_TEST, test)) if split in free}
    split_G = _drawn(table, groups, settled_G, shares, seed)
    one_G = (settled_G == 0) | np.isin(settled_G, _ONE)
    free_G = (settled_G & ~sum(1 << split for split in free)) == 0
    joins_M = one_G[groups.of_M] & ((given_M < 0) | free_G[groups.of_M])
    split_M = np.where(kept_M >= 0, kept_M, np.where(joins_M, split_G[groups.of_M], given_M))
    part_N = np.zeros(len(table), bool)
    part_N[groups.row_M] = True
    splits = table.splits.put(part_N, Coded.picked((*SPLITS, None), split_M))
    return _without_bridges(replace(table, splits=splits), groups, kept_M, split_M)


def limited(photos: Sequence[Photo], most: int, *, seed: int = 0, least: int = 1) -> PhotoTable:
    """Return ``photos`` in order, all but ``most`` of the training photos ruled out as `spare`.

    The classes have equally many, as far as their photos reach. A group is in or out, so what is
    spare is new to the model, and less than a group may be missing from ``most``. A smaller limit
    takes some of what a larger one takes: groups come in an order of lots that knows no limit.

    Raises:
        BadData: a class would keep fewer than ``least`` groups.
    """
    table = PhotoTable.of(photos)
    train_N = table.splits.are("train")
    groups = Groups.of(table, train_N)
    sizes, label_G = groups.sizes.tolist(), groups.labels(table).tolist()
    kept_G = np.zeros(len(groups), bool)
    held = Counter[int]()  # groups of each class so far
    total = needed = 0  # photos
    for group in _in_turn(groups, sizes, label_G, seed):
        total += sizes[group]
        held[label_G[group]] += 1
        if held[label_G[group]] <= least:
            needed = total
        kept_G[group] = total <= most
    if most < needed:
        raise BadData(
            f"a limit of {most} training photos leaves a class fewer than {least} that do not look "
            f"alike, and training needs those; take {needed} at least: --photos {needed}."
        )
    spared = groups.row_M[~kept_G[groups.of_M]]
    return table.ruled_out(spared, f"{_SPARE} {most} training photos") if len(spared) else table


def spare(photo: Photo) -> bool:
    """Return whether nothing is wrong with a photo but that the recipe takes no more."""
    return _is_spare(photo.reason)


def spare_among(photos: Sequence[Photo]) -> NDArray[np.bool_]:
    """Return which photos are `spare` (N,)."""
    return PhotoTable.of(photos).reasons.where(_is_spare)


def _is_spare(reason: str | None) -> bool:
    return (reason or "").startswith(_SPARE)


def leaks(photos: Sequence[Photo]) -> tuple[tuple[Photo, ...], ...]:
    """Return the groups whose photos lie in several splits, each with its photos by path."""
    table = PhotoTable.of(photos)
    groups = Groups.of(table)
    settled_G = groups.settled(table.splits.at(groups.row_M).numbered(SPLITS))
    crossing_G = ~np.isin(settled_G, (0, *_ONE))
    return tuple(
        tuple(sorted(table.at(groups.row_M[places]), key=lambda photo: photo.path))
        for _, places in groups.members(crossing_G)
    )


def folds(photos: Sequence[Photo], *, seed: int = 0, k: int = 5) -> NDArray[np.int64]:
    """Return for each photo in which of ``k`` parts it is (N,), -1 for one without use or label.

    Groups stay whole, and every part gets its share of each class: in the order of their lots,
    groups go where the fewest photos of their class are.
    """
    table = PhotoTable.of(photos)
    groups = Groups.of(table)
    sizes, label_G = groups.sizes.tolist(), groups.labels(table).tolist()
    part_G = np.zeros(len(groups), np.int64)
    total, of_label = Counter[int](), Counter[tuple[int, int]]()
    lots = [ticket(seed, f"fold/{name}") for name in groups.names()]
    for group in np.argsort(lots, kind="stable").tolist():
        label, size = label_G[group], sizes[group]
        chosen = min(range(k), key=lambda fold: (of_label[label, fold], total[fold], fold))
        part_G[group] = chosen
        total[chosen] += size
        of_label[label, chosen] += size
    part_N = np.full(len(table), -1, np.int64)
    part_N[groups.row_M] = part_G[groups.of_M]
    return part_N


def _earlier(
    table: PhotoTable, groups: Groups, previous: Mapping[str, Split], free: Container[int]
) -> Numbers:
    """Return the split (M,) that an earlier division gave each photo, where one may draw it."""
    number = {split: number for number, split in enumerate(SPLITS) if number in free}
    digests = table.digests.at(groups.row_M)
    if not previous:
        return np.full(len(digests), -1)
    splits = (previous.get(digest) for digest in digests)
    return np.array([-1 if split is None else number.get(split, -1) for split in splits], np.int64)


def _drawn(
    table: PhotoTable,
    groups: Groups,
    settled_G: Numbers,
    shares: Mapping[int, float],
    seed: int,
) -> Numbers:
    """Return the split (G,) of each group that is settled in one or draws it by lot.

    The lowest lots are for test, the next for validation; then every class gets a group for each
    purpose.
    """
    lot_G = np.ones(len(groups))
    lot_G[settled_G == 0] = [ticket(seed, name) for name in groups.names(settled_G == 0)]
    test = shares.get(_TEST, 0.0)
    val = test + shares.get(_VAL, 0.0)
    drawn_G = np.where(lot_G < test, _TEST, np.where(lot_G < val, _VAL, _TRAIN))
    split_G = np.where(settled_G == 0, drawn_G, settled_G >> 1)  # of the bits 1, 2, 4: 0, 1, 2
    purposes = [_TRAIN, *(split for split in (_VAL, _TEST) if shares.get(split))]
    group_P, label_P, _ = groups.pairs(table)
    own_G = (np.bincount(group_P, minlength=len(groups)) == 1) & (settled_G == 0)
    order_P = np.argsort(label_P, kind="stable")  # groups of a class stay in order of name
    ends = np.flatnonzero(np.diff(label_P[order_P])) + 1
    for of_class in np.split(group_P[order_P], ends):
        _help_class(of_class, split_G, lot_G, settled_G, own_G, purposes)
    return split_G


def _help_class(
    of_class: NDArray[np.int64],
    split_G: Numbers,
    lot_G: NDArray[np.float64],
    settled_G: Numbers,
    own_G: NDArray[np.bool_],
    purposes: Sequence[int],
) -> None:
    """Change the split of some groups of a class, so that it has one for each purpose.

    A group of several classes never moves (only its ``own`` do): what helps one might rob the
    other. So the classes can be looked at one by one, in any order.
    """
    settled, drawn = settled_G[of_class], of_class[settled_G[of_class] == 0]
    held = [
        int((settled >> split & 1).sum() + (split_G[drawn] == split).sum())
        for split in range(len(SPLITS))
    ]
    mine = of_class[own_G[of_class]]  # in order of name
    needed = purposes[: len(of_class)]
    for split in needed:
        gives = [held[donor] > 1 or donor not in needed for donor in range(len(SPLITS))]
        donors = mine[np.array(gives)[split_G[mine]]]
        if len(donors) and not held[split]:
            order = np.lexsort([lot_G[donors], split_G[donors] != _TRAIN])
            group = donors[order[-1 if split == _TRAIN else 0]]
            held[split_G[group]] -= 1
            held[split] += 1
            split_G[group] = split


def _without_bridges(
    table: PhotoTable, groups: Groups, kept_M: Numbers, split_M: Numbers
) -> PhotoTable:
    """Rule out the photos that got no split, because they stand between others in several."""
    bridge_G = np.zeros(len(groups), bool)
    bridge_G[groups.of_M[split_M < 0]] = True
    for _, places in groups.members(bridge_G):
        older = places[kept_M[places] >= 0]
        paths = list(table.paths.at(groups.row_M[older]))
        by_split = [(SPLITS[split], path) for split, path in zip(kept_M[older], paths, strict=True)]
        apart = (
            f"{min(path for other, path in by_split if other == split)} ({split})"
            for split in sorted({split for split, _ in by_split})
        )
        reason = f"near-duplicate of photos in different splits: {', '.join(apart)}"
        table = table.ruled_out(groups.row_M[places[split_M[places] < 0]], reason)
    return table


def _in_turn(groups: Groups, sizes: Sequence[int], labels: Sequence[int], seed: int) -> list[int]:
    """Return the groups, the classes taking turns, a photo each, in the order of their lots.

    A group's lot is the worst of one lot a photo (the n-th root of a uniform lot is the greatest
    of n), or else a burst of a thousand could come first and keep its whole class waiting.
    """
    lots = [
        ticket(seed, f"limit/{name}") ** (1 / size)
        for name, size in zip(groups.names(), sizes, strict=True)
    ]
    turns: list[tuple[int, int, int]] = []
    of_label = Counter[int]()
    for group in np.argsort(lots, kind="stable").tolist():
        of_label[labels[group]] += sizes[group]
        turns.append((of_label[labels[group]], labels[group], group))
    return [group for *_, group in sorted(turns)]


def few(photos: Sequence[Photo], recipe: Recipe) -> bool:
    """Return whether there are too few usable photos for a held-out split to say much.

    Those that the user himself set aside for test do not count: nothing is learned from them.
    """
    table = PhotoTable.of(photos)
    learned = table.usable_mask & ~table.splits.are("test")
    return bool(learned.sum() < recipe.cross_validate_below)
