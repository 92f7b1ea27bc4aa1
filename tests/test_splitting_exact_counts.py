"""How many photos each split gets, and which."""

from collections import Counter, defaultdict
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.errors import BadData
from fursure.rows.photo import Photo, Split
from fursure.splitting.exact_counts import Amount, apportioned, evenly, filled, quotas


def photo(name: str, label: str = "cat", group: str = "") -> Photo:
    digest = sha256(name.encode()).hexdigest()
    return Photo(path=f"{name}.jpg", sha256=digest, label=label, group=group or digest)


def of_class(label: str, count: int) -> list[Photo]:
    return [photo(f"{label}{number}", label) for number in range(count)]


def homes(photos: tuple[Photo, ...]) -> dict[str, Split | None]:
    return {one.path: one.split for one in photos}


DATA = st.lists(
    st.builds(
        photo,
        name=st.uuids().map(str),
        label=st.sampled_from(["cat", "dog"]),
        group=st.sampled_from([*"abcdefgh", *([""] * 20)]),
    ),
    min_size=1,
    max_size=60,
)


def test_the_largest_remainders_round_up_as_in_the_textbook() -> None:
    votes = [47_000, 16_000, 15_900, 12_000, 6_000, 3_100]
    assert apportioned(10, votes) == [5, 2, 1, 1, 1, 0]
    assert apportioned(0, [0, 0]) == [0, 0]


def test_counts_are_divided_evenly_among_the_classes() -> None:
    table = quotas({"cat": 100, "dog": 900}, {"train": 40, "val": 10, "test": 10})
    assert table == {
        ("cat", "train"): 20, ("dog", "train"): 20,
        ("cat", "val"): 5, ("dog", "val"): 5,
        ("cat", "test"): 5, ("dog", "test"): 5,
    }  # fmt: skip


def test_what_a_small_class_lacks_the_others_make_up_for() -> None:
    assert evenly({"cat": 10, "dog": 100, "emu": 30}, 75) == {"cat": 10, "dog": 35, "emu": 30}
    table = quotas({"cat": 10, "dog": 100}, {"train": 48, "test": 12})
    assert table["cat", "train"] + table["cat", "test"] == 10
    assert table["cat", "test"] == 2  # the small class is divided as the others are
    assert table["cat", "train"] + table["dog", "train"] == 48


def test_a_share_is_taken_of_each_class() -> None:
    table = quotas({"cat": 100, "dog": 15}, {"train": 0.8, "val": 0.1, "test": 0.1})
    assert [table["cat", split] for split in ("train", "val", "test")] == [80, 10, 10]
    assert [table["dog", split] for split in ("train", "val", "test")] == [12, 2, 1]


def test_every_part_gets_a_photo_of_a_small_class_as_far_as_they_reach() -> None:
    wanted: dict[Split, Amount] = {"train": 0.8, "val": 0.1, "test": 0.1}
    table = quotas({"three": 3, "two": 2}, wanted)
    assert [table["three", split] for split in wanted] == [1, 1, 1]
    assert [table["two", split] for split in wanted] == [1, 1, 0]


def test_counts_come_after_shares() -> None:
    table = quotas({"cat": 100, "dog": 100}, {"train": 0.5, "test": 30})
    assert table["cat", "train"] == 50
    assert table["dog", "test"] == 15


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"train": 190, "val": 11}, "190 train . 11 val photos are asked for, and 200 can be used"),
        ({"train": 0.5, "val": 101}, "100 can be used besides those shares"),
        ({"train": 0.9, "test": 0.2}, "more than all photos; they may add up to 1"),
        ({"train": 0, "val": 0.0}, "no photos are asked for"),
        ({"train": -1}, "must be 0 or more"),
        ({"train": float("nan")}, "must be 0 or more"),
    ],
)
def test_what_cannot_be_had_is_said(wanted: dict[Split, Amount], words: str) -> None:
    with pytest.raises(BadData, match=words):
        quotas({"cat": 100, "dog": 100}, wanted)


@given(DATA, st.integers(1, 30), st.integers(0, 10))
def test_near_duplicates_never_meet_in_two_parts(photos: list[Photo], train: int, val: int) -> None:
    train = min(train, len(photos))
    val = min(val, len(photos) - train)
    divided = filled(photos, {"train": train, "val": val})
    found: defaultdict[str, set[Split]] = defaultdict(set)
    for one in divided:
        if one.split:
            found[one.group].add(one.split)
    assert all(len(splits) == 1 for splits in found.values())
    counts = Counter(one.split for one in divided)
    assert counts["train"] <= train
    assert counts["val"] <= val


@given(DATA)
def test_shares_of_all_photos_leave_none_over(photos: list[Photo]) -> None:
    divided = filled(photos, {"train": 0.8, "val": 0.1, "test": 0.1})
    assert all(one.split for one in divided)


def test_single_photos_make_the_numbers_exact() -> None:
    bursts = [photo(f"b{number}", "cat", f"burst {number // 7}") for number in range(70)]
    photos = [*bursts, *of_class("cat", 60), *of_class("dog", 100)]
    divided = filled(photos, {"train": 120, "val": 20, "test": 20})
    counts = Counter((one.label, one.split) for one in divided)
    assert counts["cat", "train"] == counts["dog", "train"] == 60
    assert counts["cat", "val"] == counts["dog", "test"] == 10


def test_the_order_of_photos_changes_nothing_and_the_seed_does() -> None:
    photos = [*of_class("cat", 30), *of_class("dog", 30)]
    wanted: dict[Split, Amount] = {"train": 20, "val": 10}
    once = homes(filled(photos, wanted))
    assert homes(filled(photos[::-1], wanted)) == once
    assert homes(filled(photos, wanted, seed=1)) != once


def test_training_on_more_photos_leaves_the_test_as_it_was() -> None:
    photos = [*of_class("cat", 50), *of_class("dog", 50)]
    few, many = (filled(photos, {"train": count, "test": 10}) for count in (20, 80))
    assert [one.path for one in few if one.split == "test"] == [
        one.path for one in many if one.split == "test"
    ]


def test_unusable_photos_have_no_part() -> None:
    bad = Photo(path="bad.jpg", label="cat", reason="cut off")
    divided = filled([bad, *of_class("cat", 5)], {"train": 5})
    assert divided[0] == bad
    assert all(one.split == "train" for one in divided[1:])
