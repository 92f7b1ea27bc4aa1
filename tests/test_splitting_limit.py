"""At most so many training photos: evenly by class, whole groups, smaller within larger."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fursure.errors import BadData
from fursure.rows.photo import Photo, Split
from fursure.splitting.split import limited, spare


def photo(name: str, label: str = "cat", group: str = "", split: Split = "train") -> Photo:
    digest = sha256(name.encode()).hexdigest()
    return Photo(path=f"{name}.jpg", sha256=digest, label=label, group=group, split=split)


def singles(label: str, count: int, split: Split = "train") -> list[Photo]:
    return [photo(f"{label}{number}{split}", label, split=split) for number in range(count)]


def taken(photos: Sequence[Photo]) -> set[str]:
    return {one.path for one in photos if one.split == "train" and not spare(one)}


def classes(photos: Sequence[Photo]) -> Counter[str | None]:
    return Counter(one.label for one in photos if one.split == "train" and one.reason is None)


DATA = st.lists(
    st.builds(
        photo,
        name=st.uuids().map(str),
        label=st.sampled_from(["cat", "dog", "emu"]),
        group=st.sampled_from([*"abcdefgh", *([""] * 12)]),
        split=st.sampled_from(["train", "train", "val", "test"]),
    ),
    max_size=40,
)


def test_every_class_gives_as_many_and_a_small_one_gives_the_rest_to_the_others() -> None:
    photos = [*singles("cat", 50), *singles("dog", 5), *singles("emu", 50)]
    assert classes(limited(photos, 9)) == {"cat": 3, "dog": 3, "emu": 3}
    assert classes(limited(photos, 25)) == {"cat": 10, "dog": 5, "emu": 10}
    assert classes(limited(photos, 200)) == {"cat": 50, "dog": 5, "emu": 50}


def test_only_training_photos_are_spared_and_they_say_why() -> None:
    photos = [*singles("cat", 9), *singles("dog", 9), *singles("dog", 9, "test")]
    broken = replace(photo("broken"), reason="it is empty")
    found = limited([*photos, broken], 4)
    assert [replace(one, reason=None) for one in found] == [*photos, replace(broken, reason=None)]
    assert found[-1] == broken
    assert not spare(broken)
    reasons = Counter((one.split, one.reason) for one in found[:-1])
    assert reasons == {
        ("train", None): 4,
        ("train", "left out: the recipe takes at most 4 training photos"): 14,
        ("test", None): 9,
    }


@given(DATA, st.integers(0, 40), st.integers(0, 40), st.integers(0, 3))
def test_a_smaller_limit_takes_some_of_what_a_larger_one_takes(
    photos: list[Photo], one: int, other: int, seed: int
) -> None:
    small, large = (
        taken(limited(photos, most, seed=seed, least=0)) for most in sorted([one, other])
    )
    assert small <= large


@given(DATA, st.integers(0, 40))
def test_groups_stay_whole_and_less_than_one_is_missing(photos: list[Photo], most: int) -> None:
    found = limited(photos, most, least=0)
    groups: defaultdict[str, list[bool]] = defaultdict(list)
    for one in found:
        if one.split == "train":
            groups[one.group or one.sha256].append(spare(one))
    assert all(len(set(members)) == 1 for members in groups.values())
    left = [len(members) for members in groups.values() if all(members)]
    assert len(taken(found)) <= most
    assert not left or len(taken(found)) > most - max(left)


def test_the_order_of_photos_is_nothing_and_the_seed_is_something() -> None:
    photos = [*singles("cat", 40), *singles("dog", 40)]
    assert taken(limited(photos, 20)) == taken(limited(photos[::-1], 20))
    assert taken(limited(photos, 20)) != taken(limited(photos, 20, seed=1))


def test_photos_added_tomorrow_move_few() -> None:
    photos = [*singles("cat", 400), *singles("dog", 400)]
    today = taken(limited(photos, 200))
    tomorrow = taken(limited([*photos, *(photo(f"new{n}") for n in range(20))], 200))
    assert len(today - tomorrow) < 20


@pytest.mark.parametrize("seed", range(10))
def test_a_burst_does_not_keep_its_class_waiting(seed: int) -> None:
    burst = [photo(f"burst{number}", group="burst") for number in range(1000)]
    found = limited([*burst, *singles("cat", 100), *singles("dog", 1000)], 100, seed=seed)
    assert classes(found) == {"cat": 50, "dog": 50}


def test_a_limit_that_starves_a_class_says_which_one_does_not() -> None:
    pairs = [photo(f"{group}{n}", "dog", group=group) for group in "abcd" for n in range(2)]
    photos = [*singles("cat", 20), *pairs]
    with pytest.raises(BadData, match=r"a limit of 3 training photos.*take 8 at least: --photos 8"):
        limited(photos, 3, least=2)
    assert classes(limited(photos, 8, least=2)) == {"cat": 4, "dog": 4}
    with pytest.raises(BadData, match="--photos 8"):
        limited(photos, 7, least=2)
