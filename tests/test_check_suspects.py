"""Who doubts a label, who finds a photo strange, and what gives a class away."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.check import neighbours
from fursure.check.neighbours import alike, familiar, nearest
from fursure.check.shortcuts import cues
from fursure.check.suspects import Judged, judge
from fursure.heads import ridge
from fursure.heads.ridge import FeatureRows, out_of_fold
from fursure.photos.statistics import Facts

Features = NDArray[np.float16]
Labels = NDArray[np.int64]


def crowd(count: int = 300, classes: int = 3, *, seed: int = 0) -> tuple[Features, Labels]:
    """Return features of photos in clusters, as a ReLU and a mean leave them."""
    rng = np.random.default_rng(seed)
    labels_N = np.arange(count) % classes
    centres = rng.gamma(1, 1, (classes, 24))
    features_ND = np.maximum(centres[labels_N] + rng.normal(0, 0.5, (count, 24)), 0)
    return features_ND.astype(np.float16), labels_N


def judged(features_ND: Features, labels_N: Labels, group_N: Labels | None = None) -> Judged:
    count = len(labels_N)
    fold_N = np.random.default_rng(1).permutation(count) % 5
    groups = np.arange(count) if group_N is None else group_N
    return judge(features_ND, labels_N, int(labels_N.max()) + 1, fold_N, groups)


def test_labels_turned_round_come_first_with_the_right_one_suggested() -> None:
    features_ND, true_N = crowd()
    given_N = true_N.copy()
    flipped = np.arange(0, 300, 30)
    given_N[flipped] = (true_N[flipped] + 1) % 3
    found = judged(features_ND, given_N)
    assert set(np.argsort(-found.doubt_N)[:10]) == set(flipped)
    assert (found.doubt_N[flipped] > 0).all()
    assert (found.other_N[flipped] == true_N[flipped]).all()
    assert (np.delete(found.doubt_N, flipped) < 0).mean() > 0.97


def test_a_photo_like_no_other_is_the_least_familiar() -> None:
    features_ND, labels_N = crowd()
    features_ND[7] = features_ND[7][::-1]
    features_ND[8] = np.eye(24, dtype=np.float16)[5] * 9
    assert set(np.argsort(judged(features_ND, labels_N).similarity_N)[:2]) == {7, 8}


def test_near_duplicates_do_not_vouch_for_each_other() -> None:
    features_ND, true_N = crowd()
    given_N, group_N = true_N.copy(), np.arange(300)
    copies = np.arange(0, 45, 3)  # of one photo, all under one wrong label
    features_ND[copies] = features_ND[0]
    given_N[copies], group_N[copies] = 1, 0
    found = judged(features_ND, given_N, group_N)
    assert not np.isin(found.neighbours.index_NJ[0], copies).any()
    fold_N = np.where(np.isin(np.arange(300), copies), 0, np.arange(300) % 5)
    again = judge(features_ND, given_N, 3, fold_N, group_N)
    assert (again.doubt_N[copies] > 0).all()


def test_a_rare_class_is_not_doubted_for_being_rare() -> None:
    features_ND, labels_N = crowd(400, 2)
    kept = np.flatnonzero((labels_N == 0) | (np.arange(400) < 24))
    found = judged(features_ND[kept], labels_N[kept])
    rare = labels_N[kept] == 1
    assert rare.sum() == 12
    assert (found.doubt_N[rare] < 0).mean() > 0.8


@pytest.mark.parametrize("what", ["identical", "zero", "one class", "few"])
def test_hopeless_features_give_finite_answers(what: str) -> None:
    features_ND, labels_N = crowd(40, 2)
    if what == "identical":
        features_ND[:] = features_ND[0]
    elif what == "zero":
        features_ND[:] = 0
    elif what == "one class":
        labels_N = np.zeros(40, np.int64)
    else:
        features_ND, labels_N = features_ND[:2], labels_N[:2]
    found = judge(features_ND, labels_N, 2, np.arange(len(labels_N)) % 2, np.arange(len(labels_N)))
    for values in (found.doubt_N, found.similarity_N, found.probs_NK):
        assert np.isfinite(values).all()


def test_few_photos_are_judged_as_all_their_features_would_judge_them() -> None:
    features_ND, labels_N = np.random.default_rng(0).random((40, 100)), np.arange(40) % 2
    features_ND[labels_N == 1, :5] += 0.4
    fold_N, group_N = np.arange(40) % 5, np.arange(40)
    few = FeatureRows.of(features_ND, roots=True)
    whole = replace(few, turn_DR=None)
    assert (few.width, whole.width) == (40, 100)
    even_N = np.ones(40, np.float32)
    scores, wanted = (out_of_fold(rows, labels_N, 2, fold_N, even_N) for rows in (few, whole))
    assert np.allclose(scores, wanted, atol=1e-4)
    near = [nearest(alike(rows), group_N, count=5) for rows in (few, whole)]
    assert np.array_equal(near[0].index_NJ, near[1].index_NJ)
    assert np.allclose(near[0].similarity_NJ, near[1].similarity_NJ, atol=1e-4)


def test_out_of_fold_scores_are_those_of_a_ridge_fitted_on_the_other_folds() -> None:
    from sklearn.linear_model import Ridge

    features_ND, labels_N = crowd(200)
    fold_N = np.arange(200) % 4
    weight_N = np.random.default_rng(0).uniform(0.5, 2, 200).astype(np.float32)
    rows = FeatureRows.of(features_ND, roots=True)
    found = out_of_fold(rows, labels_N, 3, fold_N, weight_N, ridge=0.7)
    x_ND = rows.at(slice(None))
    for fold in range(4):
        mine = fold_N != fold
        strength = 0.7 * weight_N[mine].sum()
        reference = Ridge(strength).fit(x_ND[mine], np.eye(3)[labels_N[mine]], weight_N[mine])
        assert np.allclose(found[~mine], reference.predict(x_ND[~mine]), atol=2e-3)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features_ND, labels_N = crowd()
    whole = judged(features_ND, labels_N)
    monkeypatch.setattr(ridge, "BLOCK", 17)
    monkeypatch.setattr(neighbours, "PHOTOS_AT_ONCE", 13)
    parts = judged(features_ND, labels_N)
    assert np.allclose(whole.doubt_N, parts.doubt_N, atol=0.05)
    assert np.array_equal(whole.neighbours.index_NJ[:, 0], parts.neighbours.index_NJ[:, 0])


@pytest.mark.parametrize("way", ["alike", "familiar"])
def test_the_nearest_are_those_a_full_comparison_finds(way: str) -> None:
    features_ND, _ = crowd(200)
    look = (
        alike(FeatureRows.of(features_ND, roots=True)) if way == "alike" else familiar(features_ND)
    )
    vectors = look(np.arange(200))
    cosine_NN = vectors @ vectors.T
    np.fill_diagonal(cosine_NN, -9)
    found = nearest(look, np.arange(200), count=4)
    expected = np.sort(cosine_NN, axis=1)[:, ::-1][:, :4]
    assert np.allclose(found.similarity_NJ, expected, atol=1e-5)


def test_with_many_photos_neighbours_are_sought_among_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "REFERENCES", 20)
    features_ND, _ = crowd(200)
    found = nearest(familiar(features_ND), np.arange(200), count=5)
    assert len(np.unique(found.index_NJ)) <= 20
    assert found.present.all()


def facts_of(number: int, **others: object) -> Facts:
    values: dict[str, object] = {"bytes": 1000, "format": "JPEG", "width": 10, "height": 10}
    levels = {"brightness": 9.0, "contrast": 9.0, "sharpness": 9.0, "border_spread": 9.0}
    return Facts(**(values | levels | {"border": (1.0, 1.0, 1.0)} | others))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "giveaway"),
    [
        ("format", lambda label: {"format": "PNG" if label else "JPEG"}),
        ("file size", lambda label: {"bytes": 9000 if label else 1000}),
        ("border colour", lambda label: {"border": (255.0 * label, 0.0, 0.0)}),
        ("shape", lambda label: {"width": 20 if label else 10}),
    ],
)
def test_a_fact_that_gives_the_class_away_is_named(name: str, giveaway: object) -> None:
    labels_N = np.arange(100) % 2
    facts = [facts_of(n, **giveaway(int(label))) for n, label in enumerate(labels_N)]  # type: ignore[operator]
    found = {one.name: one for one in cues(facts, labels_N, 2, np.arange(100) // 2 % 5)}
    assert found[name].accuracy.value == 1
    assert found["brightness"].gain < 0
    sentence = found[name].sentence()
    assert sentence.startswith(f"{name.capitalize()} alone tells the class of 100.00% [96.")
    assert sentence.endswith("always naming the largest class is right for 50.0%")


def test_facts_that_tell_nothing_gain_nothing() -> None:
    rng = np.random.default_rng(0)
    facts = [facts_of(n, bytes=int(rng.integers(1_000_000))) for n in range(300)]
    assert cues(facts, rng.integers(0, 2, size=300), 2, np.arange(300) % 5)[0].gain < 0.05


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_cleanlab_ranks_the_same_probabilities_alike() -> None:
    """A second opinion: with two classes there is one sensible order, and cleanlab has it too."""
    rank = pytest.importorskip("cleanlab.rank")
    features_ND, given_N = crowd(400, 2)
    given_N[::40] = 1 - given_N[::40]
    found = judged(features_ND, given_N)
    scores_N = rank.get_label_quality_scores(given_N, found.probs_NK, method="normalized_margin")
    ours, theirs = np.argsort(-found.doubt_N)[:40], np.argsort(scores_N)[:40]
    assert len(set(ours) & set(theirs)) >= 38
    issues_N = pytest.importorskip("cleanlab.filter").find_label_issues(given_N, found.probs_NK)
    assert issues_N.any()
    assert (found.doubt_N[issues_N] > 0).all()  # it is the more cautious of the two
