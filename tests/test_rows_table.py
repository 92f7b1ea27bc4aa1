"""Features of many photos: halves in memory or in a file, the same numbers either way."""

from pathlib import Path

import numpy as np
import pytest

from fursure.heads import examples
from fursure.heads.heads import candidates
from fursure.recipe import LogisticRegression
from fursure.rows import laying
from fursure.rows.laying import lay_out
from fursure.rows.table import FeatureTable, widen
from fursure.sureness import familiarity
from fursure.sureness.familiarity import fit_familiar


def some_halves(count: int = 300, width: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, width)).astype(np.float16)


def test_every_half_is_widened_to_the_same_number() -> None:
    halves = np.arange(65536, dtype=np.uint32).astype(np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    for given in (
        finite[:31744],
        finite,
        halves,
    ):  # of one sign; zeros of both signs, and numbers below the least normal one
        singles = np.empty(given.shape, np.float32)
        widen(given, singles)
        expected = given.astype(np.float32)
        assert np.array_equal(singles, expected, equal_nan=True)
        assert np.array_equal(np.signbit(singles), np.signbit(expected))


@pytest.mark.parametrize("in_memory", [0, 2**30])
def test_a_table_hands_out_what_came_chunk_by_chunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_memory: int
) -> None:
    monkeypatch.setenv("FURSURE_HOME", str(tmp_path))
    monkeypatch.setattr(laying, "LAID_IN_MEMORY", in_memory)
    halves_ND = some_halves()
    table = lay_out((halves_ND[start : start + 32] for start in range(0, 300, 32)), 400)
    assert (table.file is None) == bool(in_memory)
    expected_ND = halves_ND.astype(np.float32)
    assert table.shape == (300, 12)
    assert np.array_equal(table[:], expected_ND)
    assert np.array_equal(np.asarray(table), expected_ND)
    rows = np.array([7, 3, 299])
    assert np.array_equal(table[rows], expected_ND[rows])
    assert np.array_equal(table.at(rows).at([2, 0]).beyond(4)[:], expected_ND[[299, 7], 4:])
    assert np.array_equal(table[5], expected_ND[5])
    assert np.array_equal(table[expected_ND[:, 0] > 0], expected_ND[expected_ND[:, 0] > 0])
    assert np.array_equal(table.at(rows).in_file_order(), [1, 0, 2])
    assert not list(tmp_path.rglob("*.tmp")), "the file has no name, so nobody has to remove it"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_of_nothing_comes_an_empty_table() -> None:
    table = lay_out(iter(()), 3)
    assert len(table) == 0
    assert table.mapped(lambda x_BD: x_BD.sum(axis=1)).shape == (0,)


def test_a_head_that_reads_its_photos_again_and_again_is_the_one_that_holds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = FeatureTable(some_halves(5000))
    labels_N = (table[:] @ np.arange(12) > np.random.default_rng(1).normal(size=5000)).astype(int)
    head = LogisticRegression(strengths=(0.1, 0.003))
    held = [layers for _, layers in _heads(head, table, labels_N)]
    monkeypatch.setattr(examples, "HELD_IN_MEMORY", 0)
    read = [layers for _, layers in _heads(head, table, labels_N)]
    for left, right in zip(held, read, strict=True):
        assert np.abs(left - right).max() < 2e-3
    assert np.abs(held[-1]).max() > 0.5, "they learned something"


def _heads(
    head: LogisticRegression, table: FeatureTable, labels_N: np.ndarray
) -> list[tuple[float, np.ndarray]]:
    return [
        (found.knob, found.layers(table[:200]))
        for found in candidates(head, table, labels_N, 2, seed=0)
    ]


def test_what_is_familiar_is_told_by_some_of_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    halves_ND = np.abs(some_halves(3000, 40))
    halves_ND[:, :8] += 2
    known, held_out = FeatureTable(halves_ND[:2000]), FeatureTable(halves_ND[2000:])
    labels_N = np.arange(2000) % 2
    by_all = fit_familiar(known, labels_N, held_out)
    monkeypatch.setattr(familiarity, "_TELLING", 1000)
    by_some = fit_familiar(known, labels_N, held_out)
    strange = np.abs(some_halves(100, 40)).astype(np.float32)[:, ::-1]
    strange[:, -8:] += 2
    for found in (by_all, by_some):
        assert found.familiarity(strange).mean() < 0.01
        assert found.familiarity(held_out[:]).mean() > 0.4
    assert not np.array_equal(by_all.basis, by_some.basis), "all were asked"
