"""Who trains, who validates, who tests: without leaks, and the same tomorrow."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.rows.photo import Photo, Split
from fursure.splitting.split import assign, folds, half, leaks, ticket


def photo(
    name: str, label: str | None = "cat", group: str = "", split: Split | None = None
) -> Photo:
    digest = sha256(name.encode()).hexdigest()
    return Photo(path=f"{name}.jpg", sha256=digest, label=label, group=group, split=split)


def of_class(label: str, count: int) -> list[Photo]:
    return [photo(f"{label}{number}", label) for number in range(count)]


def splits(photos: Iterable[Photo]) -> dict[str, Split | None]:
    return {one.path: one.split for one in photos}


def saved(photos: Iterable[Photo]) -> dict[str, Split]:
    return {one.sha256: one.split for one in photos if one.split}


def by_group(photos: Sequence[Photo]) -> Mapping[str, set[Split | None]]:
    found: defaultdict[str, set[Split | None]] = defaultdict(set)
    for one in photos:
        found[one.group or one.sha256].add(one.split)
    return found


DATA = st.lists(
    st.builds(
        photo,
        name=st.uuids().map(str),
        label=st.sampled_from(["cat", "dog", "emu"]),
        group=st.sampled_from([*"abcdefghijklmnopqrstuvwxyz", *([""] * 20)]),
    ),
    max_size=60,
)


def test_a_ticket_is_the_digest_of_seed_and_group_as_a_fraction() -> None:
    digest = sha256(b"7/cat\xed\xb3\xbf").digest()
    expected = (int.from_bytes(digest[:7], "big") >> 4) / 2**52
    assert ticket(7, "cat\udcff") == expected
    assert 0 <= min(ticket(0, str(n)) for n in range(999)) < 0.01
    assert 0.99 < max(ticket(0, str(n)) for n in range(999)) < 1


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.1, 0.2), (0.15, 0.0)])
def test_every_class_is_divided_as_asked(val: float, test: float) -> None:
    photos = assign(of_class("cat", 4000) + of_class("dog", 4000), val=val, test=test)
    counts = Counter((one.label, one.split) for one in photos)
    for label in ("cat", "dog"):
        assert counts[label, "val"] / 4000 == pytest.approx(val, abs=0.02)
        assert counts[label, "test"] / 4000 == pytest.approx(test, abs=0.02)


def test_another_seed_divides_otherwise() -> None:
    photos = of_class("cat", 100)
    assert splits(assign(photos, seed=0)) != splits(assign(photos, seed=1))


@given(photos=DATA, seed=st.integers(0, 9), order=st.randoms(use_true_random=False))
def test_neither_order_nor_place_matter(
    photos: list[Photo], seed: int, order: random.Random
) -> None:
    there = [replace(one, path=f"elsewhere/{number}") for number, one in enumerate(photos)]
    order.shuffle(there)
    assert saved(assign(there, seed=seed)) == saved(assign(photos, seed=seed))
    here = dict(zip((one.sha256 for one in photos), folds(photos, seed=seed), strict=True))
    assert list(folds(there, seed=seed)) == [here[one.sha256] for one in there]


@given(photos=DATA, seed=st.integers(0, 9))
def test_near_duplicates_share_a_split_and_a_fold(photos: list[Photo], seed: int) -> None:
    divided = assign(photos, seed=seed)
    assert [replace(one, split=None) for one in divided] == photos
    assert all(len(found) == 1 and None not in found for found in by_group(divided).values())
    assert leaks(divided) == ()
    fold_N = folds(photos, seed=seed)
    parts = {(one.group or one.sha256, fold) for one, fold in zip(photos, fold_N, strict=True)}
    assert len(parts) == len(by_group(photos))


@given(today=DATA, tomorrow=DATA, seed=st.integers(0, 9))
def test_adding_photos_never_moves_an_old_one(
    today: list[Photo], tomorrow: list[Photo], seed: int
) -> None:
    before = assign(today, seed=seed)
    after = assign([*today, *tomorrow], seed=seed, previous=saved(before))
    assert after[: len(today)] == before
    assert all(len(found - {None}) == 1 for found in by_group(after).values())


@pytest.mark.long
@given(today=DATA, tomorrow=DATA)
def test_even_without_a_saved_split_only_small_classes_can_change(
    today: list[Photo], tomorrow: list[Photo]
) -> None:
    large = [one for label in ("cat", "dog", "emu") for one in of_class(label, 150)]
    before = assign([*large, *today])
    assert assign([*large, *today, *tomorrow])[: len(before)] == before


@given(photos=DATA, seed=st.integers(0, 9))
def test_dividing_again_changes_nothing(photos: list[Photo], seed: int) -> None:
    once = assign(photos, seed=seed)
    assert assign(photos, seed=seed, previous=saved(once)) == once


@pytest.mark.parametrize("count", range(1, 12))
def test_a_small_class_trains_then_validates_then_tests(count: int) -> None:
    needed = set(["train", "val", "test"][:count])
    for seed in range(30):
        photos = assign(of_class("cat", count) + of_class("dog", 300), seed=seed)
        found = {one.split for one in photos if one.label == "cat"}
        assert found >= needed, seed
        assert count >= 3 or found == needed, seed


def test_a_small_class_gets_the_lowest_tickets_into_validation() -> None:
    photos = of_class("cat", 4)
    seed = next(seed for seed in range(99) if min(ticket(seed, one.sha256) for one in photos) > 0.2)
    ranked = sorted(photos, key=lambda one: ticket(seed, one.sha256))
    after = splits(assign(photos, seed=seed))
    assert [after[one.path] for one in ranked] == ["val", "test", "train", "train"]


def test_a_small_class_needs_no_test_photos_where_nobody_asks_for_any() -> None:
    for seed in range(50):
        found = {one.split for one in assign(of_class("cat", 5), seed=seed, test=0.0)}
        assert found == {"train", "val"}


def test_helping_one_class_never_robs_another() -> None:
    both = [photo("1", "cat", "twins"), photo("2", "dog", "twins")]
    for seed in range(100):
        photos = assign([*of_class("cat", 6), *of_class("dog", 6), *both], seed=seed)
        for label in ("cat", "dog"):
            assert len({one.split for one in photos if one.label == label}) == 3
        assert len({one.split for one in photos[-2:]}) == 1


def test_a_new_photo_joins_its_older_near_duplicates() -> None:
    old, new = photo("old", group="g"), photo("new", group="g")
    for split in ("train", "val", "test"):
        after = assign([new, old, *of_class("cat", 9)], previous={old.sha256: split})
        assert {one.split for one in after[:2]} == {split}


def test_a_photo_between_two_splits_is_left_out_and_named() -> None:
    a, b, bridge = (photo(name, group="g") for name in ("a", "b", "bridge"))
    after = assign([bridge, b, a], previous={a.sha256: "train", b.sha256: "test"})
    assert [one.split for one in after] == [None, "test", "train"]
    assert after[0].reason == (
        "near-duplicate of photos in different splits: b.jpg (test), a.jpg (train)"
    )
    assert leaks(after) == ((after[2], after[1]),)


def test_photos_without_use_or_label_are_left_alone() -> None:
    photos = [photo("a", None), replace(photo("b"), reason="unreadable"), *of_class("cat", 5)]
    after = assign(photos)
    assert after[:2] == tuple(photos[:2])
    assert folds(photos)[:2].tolist() == [-1, -1]


def test_given_splits_are_kept_and_their_leaks_reported() -> None:
    given_splits: list[Split] = ["train", "val", "test"]
    photos = [photo(f"{n}", group=f"g{n % 5}", split=given_splits[n % 3]) for n in range(30)]
    assert assign(photos) == tuple(photos)
    assert [len(group) for group in leaks(photos)] == [6] * 5
    assert [one.path for one in leaks(photos)[0]] == sorted(f"{n}.jpg" for n in range(0, 30, 5))
    apart = [replace(one, group=f"{one.group}{one.split}") for one in photos]
    assert leaks(apart) == ()


@pytest.mark.parametrize("lacking", ["val", "test"])
def test_a_part_that_nobody_gave_is_cut_from_the_given_training_photos(lacking: Split) -> None:
    other: Split = "test" if lacking == "val" else "val"
    train = [replace(one, split="train") for one in of_class("cat", 2000)]
    kept = [photo(f"kept{n}", split=other) for n in range(50)]
    after = assign([*train, *kept])
    assert {one.split for one in after[2000:]} == {other}
    counts = Counter(one.split for one in after[:2000])
    assert counts[other] == 0
    assert counts[lacking] == pytest.approx(200, abs=50)
    assert assign(after) == after


def test_what_is_cut_today_is_cut_tomorrow() -> None:
    train = [replace(one, split="train") for one in of_class("cat", 40)]
    kept = [photo(f"kept{n}", split="test") for n in range(5)]
    today = assign([*train[:20], *kept])
    tomorrow = assign([*train, *kept], previous=saved(today))
    assert tomorrow[:20] == today[:20]


def test_given_near_duplicates_of_test_photos_stay_where_they_were_given() -> None:
    photos = [photo("a", group="g", split="train"), photo("b", group="g", split="test")]
    assert assign(photos) == tuple(photos)
    assert len(leaks(photos)) == 1


def test_rows_without_a_split_fill_what_the_others_leave_open() -> None:
    photos = [*of_class("cat", 1000), *(photo(f"t{n}", split="test") for n in range(100))]
    counts = Counter(one.split for one in assign(photos)[:1000])
    assert counts["test"] == 0
    assert counts["val"] == pytest.approx(100, abs=35)


def test_halves_are_halves_and_independent_of_the_split() -> None:
    groups = [str(n) for n in range(4000)]
    chosen = [half(3, group) == "choose" for group in groups]
    assert np.mean(chosen) == pytest.approx(0.5, abs=0.03)
    tickets = [ticket(3, group) for group in groups]
    assert np.corrcoef(chosen, tickets)[0, 1] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("k", [2, 5, 10])
def test_folds_hold_their_share_of_every_class(k: int) -> None:
    photos = [*of_class("cat", 103), *of_class("dog", 57), *of_class("emu", 11)]
    fold_N = folds(photos, k=k)
    for label, count in (("cat", 103), ("dog", 57), ("emu", 11)):
        sizes = np.bincount(
            [fold for one, fold in zip(photos, fold_N, strict=True) if one.label == label],
            minlength=k,
        )
        assert sizes.max() - sizes.min() <= 1
        assert sizes.sum() == count
    assert np.ptp(np.bincount(fold_N, minlength=k)) <= 1


def test_folds_of_large_groups_stay_even() -> None:
    photos = [photo(f"{g}-{n}", group=f"g{g}") for g in range(30) for n in range(1 + g % 7)]
    sizes = np.bincount(folds(photos, k=5), minlength=5)
    assert np.ptp(sizes) <= 7


def test_photos_that_were_never_scanned_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match=r"1\.jpg has neither a group nor a digest"):
        assign([Photo(path="1.jpg", label="cat")])
