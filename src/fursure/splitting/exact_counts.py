"""How many photos each split is to have → which photos those are, in exact numbers.

`fursure.splitting.split` divides by lot, in expectation, so that photos added tomorrow move none of
today's. Here the numbers come first, as tutorials have them: 4,000 to train, 500 to validate.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import floor, isfinite

from fursure.errors import BadData
from fursure.rows.photo import SPLITS, Photo, Split
from fursure.splitting.split import ticket

Amount = int | float  # an int counts photos of all classes; a float is a share of each class
Quotas = Mapping[tuple[str, Split], int]  # (label, split) -> photos

_LOTS: tuple[Split, ...] = ("test", "val", "train")  # the lowest lots are for test, as in `assign`


def quotas(sizes: Mapping[str, int], wanted: Mapping[Split, Amount]) -> Quotas:
    """Return how many photos of each class go to each split, of classes with these ``sizes``.

    A share is taken of each class, and as far as its photos reach one goes to every split. A
    count is divided evenly among the classes; where one has too few, the others make up for it.

    Raises:
        BadData: more is wanted than there is, or nothing at all.
    """
    shares, counts = _told_apart(wanted)
    table = {
        (label, split): photos
        for label, size in sizes.items()
        for split, photos in _of_class(size, shares).items()
    }
    rooms = {
        label: size - sum(table[label, split] for split in shares) for label, size in sizes.items()
    }
    asked = sum(counts.values())
    if asked > sum(rooms.values()):
        wish = " + ".join(f"{count:,} {split}" for split, count in counts.items())
        besides = " besides those shares" if shares else ""
        raise BadData(
            f"{wish} photos are asked for, and {sum(rooms.values()):,} can be used{besides}; "
            "ask for fewer, or for shares such as --train 0.8."
        )
    rows = evenly(rooms, asked)
    for split, count in reversed(counts.items()):
        for label, photos in zip(rows, apportioned(count, list(rows.values())), strict=True):
            table[label, split] = photos
            rows[label] -= photos
    return table


def filled(
    photos: Sequence[Photo], wanted: Mapping[Split, Amount], *, seed: int = 0
) -> tuple[Photo, ...]:
    """Return ``photos`` in order, with a split for each usable one that has a place.

    Near-duplicates never meet in two splits. A group goes where its lot falls and single photos
    fill what is left, so the numbers are exact as long as there are enough of these. Where there
    are not, a count leaves photos out, and a share takes whole groups, even beyond its size. The
    choice depends on the seed, on the photos' content and on their labels, not on their order.

    Raises:
        BadData: more is wanted than there is, or nothing at all.
    """
    filling = _Filling(photos, wanted)
    order = sorted(filling.groups, key=lambda group: (ticket(seed, group), group))
    waiting = []
    for group in order:
        if len(filling.groups[group]) > 1:
            split = filling.falls_to(group, ticket(seed, group))
            if split is None or not filling.takes_whole(group, split):
                waiting.append(group)
    for group in order:
        if len(filling.groups[group]) == 1:
            any(filling.takes_whole(group, split) for split in _LOTS)
    for group in waiting:
        any(filling.takes_what_fits(group, split) for split in SPLITS if split in wanted)
    return tuple(replace(photo, split=filling.homes.get(photo.path)) for photo in photos)


def sizes_of(photos: Sequence[Photo]) -> dict[str, int]:
    """Return the number of usable photos of each class, in the order of the classes."""
    counts = Counter(
        photo.label for photo in photos if photo.reason is None and photo.label is not None
    )
    return dict(sorted(counts.items()))


def evenly(rooms: Mapping[str, int], total: int) -> dict[str, int]:
    """Divide ``total`` among classes as evenly as their ``rooms`` permit."""
    parts: dict[str, int] = {}
    for label in sorted(rooms, key=lambda label: (rooms[label], label)):  # the smallest first
        parts[label] = min(rooms[label], total // (len(rooms) - len(parts)))
        total -= parts[label]
    return {label: parts[label] for label in rooms}


def apportioned(total: int, weights: Sequence[int | Fraction]) -> list[int]:
    """Divide ``total`` in proportion to ``weights``; the largest remainders round up (Hamilton)."""
    whole = sum(weights) or 1
    exact = [total * Fraction(weight) / whole for weight in weights]
    parts = [floor(amount) for amount in exact]
    behind = sorted(range(len(parts)), key=lambda row: (parts[row] - exact[row], row))
    for row in behind[: total - sum(parts)]:
        parts[row] += 1
    return parts


def _told_apart(wanted: Mapping[Split, Amount]) -> tuple[dict[Split, Fraction], dict[Split, int]]:
    """Return the shares and the counts of what is wanted, each from train to test."""
    shares: dict[Split, Fraction] = {}
    counts: dict[Split, int] = {}
    for split in (split for split in SPLITS if split in wanted):
        amount = wanted[split]
        if not isfinite(amount) or amount < 0:
            raise BadData(f"{amount} {split} photos are asked for; it must be 0 or more.")
        if isinstance(amount, float):
            shares[split] = Fraction(amount).limit_denominator(10**6)  # 0.1 means a tenth
        else:
            counts[split] = amount
    if sum(shares.values()) > 1:
        wish = " + ".join(f"{float(share):g} {split}" for split, share in shares.items())
        raise BadData(f"the shares {wish} are more than all photos; they may add up to 1 at most.")
    if not any(shares.values()) and not any(counts.values()):
        raise BadData("no photos are asked for; give --train, --val or --test a count or a share.")
    return shares, counts


def _of_class(size: int, shares: Mapping[Split, Fraction]) -> dict[Split, int]:
    """Return how many of a class's ``size`` photos these shares are: one at least, if possible."""
    *amounts, left = apportioned(size, [*shares.values(), 1 - sum(shares.values())])
    parts = dict(zip(shares, amounts, strict=True))
    for split in shares:
        most = max(parts, key=lambda place: parts[place])
        if parts[split] or not shares[split] or not (left or parts[most] > 1):
            continue
        parts[split] = 1
        if left:
            left -= 1
        else:
            parts[most] -= 1
    return parts


class _Filling:
    """Quotas while they are being filled: which photo has a home, and the room that is left."""

    def __init__(self, photos: Sequence[Photo], wanted: Mapping[Split, Amount]) -> None:
        self.homes: dict[str, Split] = {}  # path -> split
        self.groups: defaultdict[str, list[Photo]] = defaultdict(list)
        for photo in photos:
            if photo.reason is None and photo.label is not None:
                self.groups[photo.group].append(photo)
        for members in self.groups.values():
            members.sort(key=lambda photo: (photo.sha256, photo.path))
        self._wanted, self._sizes = wanted, sizes_of(photos)
        self._quotas = quotas(self._sizes, wanted)
        self._room = Counter(self._quotas)

    def falls_to(self, group: str, lot: float) -> Split | None:
        """Return the split in whose part of the group's class the lot falls, if in any."""
        label = str(self.groups[group][0].label)
        bound = 0.0
        for split in _LOTS:
            bound += self._quotas.get((label, split), 0) / self._sizes[label]
            if lot < bound:
                return split
        return None

    def takes_whole(self, group: str, split: Split) -> bool:
        """Give all of the group to ``split``, if there is room for them."""
        needs = Counter((str(photo.label), split) for photo in self.groups[group])
        return needs <= self._room and self._takes(self.groups[group], split)

    def takes_what_fits(self, group: str, split: Split) -> bool:
        """Give of the group to ``split`` what there is room for, and to a share then all of it."""
        room = +self._room
        taken = []
        for photo in self.groups[group]:
            if room[str(photo.label), split]:
                room[str(photo.label), split] -= 1
                taken.append(photo)
        whole = taken and isinstance(self._wanted[split], float)
        return self._takes(self.groups[group] if whole else taken, split)

    def _takes(self, photos: Sequence[Photo], split: Split) -> bool:
        for photo in photos:
            self._room[str(photo.label), split] -= 1
            self.homes[photo.path] = split
        return bool(photos)
