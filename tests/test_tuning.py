"""The search for a recipe: what a trial may see, and what becomes of one that is interrupted."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fursure
from fursure.dataset.manifest import Manifest
from fursure.errors import BadData, OutputExists
from fursure.features.collect import Collected
from fursure.metrics.answers import Answers
from fursure.recipe import LogisticRegression, Mlp, Recipe
from fursure.rows.photo import Photo, Split
from fursure.rows.table import FeatureTable
from fursure.run import Run
from fursure.tuning.judging import TrialPruned
from fursure.tuning.networks import NetworkTrials
from fursure.tuning.scoring import Reported, TrialGround
from fursure.tuning.space import Space
from fursure.tuning.study import Search, SearchLimits, Trial

BASE = Recipe(head=LogisticRegression(strengths=(0.1, 0.01)))
SPACE = Space(base=BASE, backbones={"one": "one", "two": "two"})
IDENTITY = {"format": "fursure trials 1", "photos": "these", "base": {}, "encoders": []}
LABELS = ("cat", "dog")


def collected(*, splits: tuple[Split, ...], seed: int = 0, count: int = 120) -> Collected:
    """Return photos of two classes that overlap, the splits one after the other."""
    rng = np.random.default_rng(seed)
    photos = []
    for number in range(count):
        digest = sha256(f"{number}".encode()).hexdigest()
        label, split = LABELS[number % 2], splits[number // 2 % len(splits)]
        photos.append(
            Photo(path=f"{number}", sha256=digest, label=label, group=digest, split=split)
        )
    sign_N = np.array([1.0 if photo.label == "dog" else -1.0 for photo in photos])
    features_ND = (sign_N[:, None] * [1.0, 0, 0] + rng.normal(size=(count, 3))).astype(np.float32)
    manifest = Manifest(root=".", photos=tuple(photos), skipped={})
    return Collected(
        manifest=manifest,
        usable=tuple(photos),
        features_ND=FeatureTable(features_ND),
        engine="",
        caches=(),
    )


def ground(*, splits: tuple[Split, ...] = ("train", "train", "val", "test")) -> TrialGround:
    names = enumerate(SPACE.backbones)
    parts = {(name, False): collected(splits=splits, seed=seed) for seed, name in names}
    return TrialGround.of(parts, BASE, frozenset())


def unheard(_step: int, _loss: float) -> None:
    """Hear nothing."""


def searched(
    journal: Path, judge: Callable[[Recipe, Reported], Answers], trials: int
) -> list[Trial]:
    search = Search.open(journal, SPACE, IDENTITY, warmup=1)
    list(search.run(judge, SearchLimits(trials=trials), cores=2))
    return search.told


def judge_on(place: TrialGround) -> Callable[[Recipe, Reported], Answers]:
    return lambda recipe, reported: place.score(recipe, SPACE.key(recipe), reported)


def in_order(trials: list[Trial]) -> list[tuple[int, Recipe, float | None]]:
    return [(trial.number, trial.recipe, trial.loss) for trial in trials]


@pytest.mark.parametrize("splits", [("train", "train", "val", "test"), ("train", "test")])
def test_what_is_for_test_changes_no_score(splits: tuple[Split, ...]) -> None:
    part = collected(splits=splits)
    spoilt = part.features_ND[:]
    spoilt[[photo.split == "test" for photo in part.usable]] = np.nan
    grounds = [
        TrialGround.of({("one", False): replace(part, features_ND=x_ND)}, BASE, frozenset())
        for x_ND in (part.features_ND, FeatureTable(spoilt))
    ]
    for head in (BASE.head, Mlp(hidden=(4,), epochs=3)):
        recipe = replace(BASE, backbone="one", head=head)
        a, b = (place.score(recipe, ("one", False), unheard) for place in grounds)
        assert a.losses_N.tolist() == b.losses_N.tolist()
        val = sum(photo.split == "val" for photo in part.usable)
        if val:
            assert 0 < len(a.losses_N) < val  # the other half certifies
        else:
            assert len(a.losses_N) == 60  # each photo that is not for test, in its turn


def test_one_seed_gives_the_same_trials_wherever_they_were_interrupted(tmp_path: Path) -> None:
    judge = judge_on(ground())
    whole = searched(tmp_path / "whole.jsonl", judge, 8)
    seen: list[Recipe] = []

    def interrupted(recipe: Recipe, reported: Reported) -> Answers:
        seen.append(recipe)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return judge(recipe, reported)

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "parts.jsonl", interrupted, 8)
    parts = searched(tmp_path / "parts.jsonl", judge, 8)
    assert in_order(parts) == in_order(whole)
    assert len({trial.recipe for trial in whole}) == 8
    assert [trial.recipe for trial in whole[:2]] == SPACE.begins()
    again = searched(tmp_path / "parts.jsonl", interrupted, 8)  # which would raise once more
    assert in_order(again) == in_order(whole)


def test_a_search_that_was_killed_as_it_wrote_goes_on(tmp_path: Path) -> None:
    journal, judge = tmp_path / "trials.jsonl", judge_on(ground())
    first = searched(journal, judge, 4)
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_i')
    journal.with_name("trials.jsonl.lock").touch()
    assert in_order(searched(journal, judge, 6))[:4] == in_order(first)


def test_trials_of_another_search_are_refused_in_words(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    searched(journal, judge_on(ground()), 1)
    for changed, words in {
        "photos": "of other photos, or of photos divided otherwise",
        "base": "begin with another recipe",
        "encoders": "on other backbones",
        "format": "another version of fursure",
    }.items():
        with pytest.raises(OutputExists, match=words):
            Search.open(journal, SPACE, IDENTITY | {changed: "other"}, warmup=1)


@pytest.mark.parametrize("content", [b"my thesis\n", b"{}\n", b'{"op_code":0}\n', b"[1]\n"])
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "trials.jsonl"
    journal.write_bytes(content)
    with pytest.raises(OutputExists, match="no trials of `fursure tune`"):
        Search.open(journal, SPACE, IDENTITY, warmup=1)
    assert journal.read_bytes() == content


def test_a_trial_that_fails_is_one_among_others(tmp_path: Path) -> None:
    good = judge_on(ground())

    def judge(recipe: Recipe, reported: Reported) -> Answers:
        if recipe.backbone == "two":
            raise BadData("the loss was no number.")
        return good(recipe, reported)

    trials = searched(tmp_path / "trials.jsonl", judge, 6)
    failed = [trial for trial in trials if trial.recipe.backbone == "two"]
    assert {(trial.state, trial.loss, trial.why) for trial in failed} == {
        ("failed", None, "the loss was no number.")
    }
    assert any(trial.state == "complete" for trial in trials)
    assert searched(tmp_path / "trials.jsonl", judge, 6) == trials


@pytest.mark.parametrize("spoilt", [np.nan, 1e30])
def test_features_that_no_head_can_learn_from_fail_in_a_sentence(
    tmp_path: Path, spoilt: float
) -> None:
    part = collected(splits=("train", "val"))
    broken = replace(part, features_ND=FeatureTable(np.full_like(part.features_ND[:], spoilt)))
    parts = {(name, False): broken for name in SPACE.backbones}
    trials = searched(
        tmp_path / "trials.jsonl", judge_on(TrialGround.of(parts, BASE, frozenset())), 4
    )
    assert all(trial.why or trial.loss is not None for trial in trials)


def test_a_trial_that_falls_behind_is_given_up(tmp_path: Path) -> None:
    answers = judge_on(ground())(SPACE.begins()[0], unheard)
    steps: list[int] = []

    def judge(recipe: Recipe, reported: Reported) -> Answers:
        number = len(steps)
        steps.append(0)
        for step in range(1, 10):
            reported(step, 0.1 if number < 8 else 5.0)
            steps[number] += 1
        return answers

    search = Search.open(tmp_path / "trials.jsonl", SPACE, IDENTITY, warmup=2)
    list(search.run(judge, SearchLimits(trials=10), cores=1))
    assert [trial.state for trial in search.told] == ["complete"] * 8 + ["pruned"] * 2
    assert steps[8:] == [1, 1]


def test_minutes_end_a_search_but_never_before_its_first_recipe(tmp_path: Path) -> None:
    search = Search.open(tmp_path / "trials.jsonl", SPACE, IDENTITY, warmup=1)
    done = list(search.run(judge_on(ground()), SearchLimits(minutes=1e-9), cores=1))
    assert [trial.recipe for trial in done] == SPACE.begins()[:1]
    again = Search.open(tmp_path / "trials.jsonl", SPACE, IDENTITY, warmup=1)
    assert not list(again.run(judge_on(ground()), SearchLimits(minutes=1e-9), cores=1))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, "say how long to search: trials=50, minutes=5, or both"),
        ({"trials": 0}, "0 trials end before the first one"),
        ({"minutes": 0.0}, "0.0 minutes are no time to search"),
    ],
)
def test_a_search_without_an_end_or_a_beginning_is_refused(
    limits: dict[str, float], said: str, tmp_path: Path
) -> None:
    with pytest.raises(fursure.FursureError, match=said):
        fursure.tune(tmp_path, tmp_path / "m.fursure", **limits)  # type: ignore[arg-type]


class _InterruptedError(Exception):
    pass


@pytest.mark.parametrize(
    ("end", "stays"), [(TrialPruned(), False), (BadData("no."), False), (_InterruptedError(), True)]
)
def test_only_a_trial_that_was_interrupted_keeps_its_checkpoints(
    end: Exception, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, pixels = tmp_path / "checkpoints", tmp_path / "pixels.npy"

    def cut_short(*_work: Any) -> None:
        leftovers: set[Path] = _work[-1]
        leftovers |= {checkpoints, pixels}
        checkpoints.mkdir()
        pixels.touch()
        raise end

    monkeypatch.setattr("fursure.tuning.networks.trained_network", cut_short)
    photos: Any = SimpleNamespace(open=nullcontext)
    material: Any = SimpleNamespace(collected={("one", False): None}, encoders={("one", False): 0})
    trials = NetworkTrials(dataset=photos, material=material, run=Run())
    with pytest.raises(type(end)):
        trials.score(BASE, ("one", False), unheard)
    assert checkpoints.exists() is stays
    assert pixels.exists()  # the next trial uses them
    trials.clear()
    assert pixels.exists() is stays
