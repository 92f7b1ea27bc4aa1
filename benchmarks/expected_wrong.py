"""How many labels a check says are wrong, against how many are, on draws with planted flips.

python -m benchmarks.expected_wrong [DRAWS] [BACKBONE]

The photos are those without a known flaw. Of n of them, drawn anew each time, a share gets
another label; the check then lists labels worth a look and says how many of these are wrong.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.known_flaws import Seen, see
from fursure.check.label_errors import PROBABLE, worth_a_look
from fursure.check.label_noise import fitted
from fursure.check.neighbours import Neighbours, alike, familiar, nearest
from fursure.check.suspects import FARTHER, STRANGER_DISTANCE, TENTH, VOTERS, opinions, strangeness
from fursure.heads.ridge import FeatureRows
from fursure.metrics.intervals import proportion

SIZES = (100, 300, 600, 2000, 12000)  # photos; the last: all there are
RATES = (0.0, 0.01, 0.03, 0.1)  # shares of the labels turned round
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One draw."""

    listed: int
    expected: float
    low: float
    high: float
    wrong: int  # of the listed
    planted: int
    probable: int  # called probably wrong
    probable_wrong: int


def main() -> None:
    """Print a row for each number of photos and each share of planted flips."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    table(see(*sys.argv[2:3]), draws)


def table(seen: Seen, draws: int, sizes: tuple[int, ...] = SIZES) -> None:
    """Print the table for photos as seen by one backbone."""
    print(
        "| photos | planted | listed | expected wrong | truly wrong | interval holds "
        "| called probably wrong | truly wrong |\n|---|---|---|---|---|---|---|---|"
    )
    for size in sizes:
        outcomes: dict[float, list[Outcome]] = {rate: [] for rate in RATES}
        for seed in range(draws):
            for rate, outcome in _draw(seen, size, seed):
                outcomes[rate].append(outcome)
        for rate, several in outcomes.items():
            print(_row(size, rate, several), flush=True)


def _draw(seen: Seen, size: int, seed: int) -> Iterator[tuple[float, Outcome]]:
    """Yield an outcome for each rate, on the same photos."""
    rng = np.random.default_rng(seed)
    pool = np.flatnonzero(~seen.flawed)
    chosen = np.sort(rng.choice(pool, min(size, len(pool)), replace=False))
    label_N, group_N = seen.label_N[chosen], seen.group_N[chosen]
    classes = len(seen.labels)
    rows, neighbours, strange_N = _looks(seen.features_ND[chosen], group_N, seed)
    for rate in RATES:
        flipped_N = np.zeros(len(chosen), bool)
        flipped_N[rng.choice(len(chosen), round(rate * len(chosen)), replace=False)] = True
        given_N = np.where(flipped_N, (label_N + 1) % classes, label_N)
        fold_N = _folds(group_N, rng)
        score_NK, share_NK = opinions(rows, neighbours, given_N, classes, fold_N)
        _, noise = fitted(score_NK, share_NK, given_N, strange_N <= STRANGER_DISTANCE)
        listed_N = worth_a_look(noise) & (strange_N <= FARTHER)
        probable_N = listed_N & (noise.chances() > PROBABLE)
        wrong = noise.count(listed_N, seed=seed)
        yield (
            rate,
            Outcome(
                listed=int(listed_N.sum()),
                expected=wrong.value,
                low=wrong.low,
                high=wrong.high,
                wrong=int(flipped_N[listed_N].sum()),
                planted=int(flipped_N.sum()),
                probable=int(probable_N.sum()),
                probable_wrong=int(flipped_N[probable_N].sum()),
            ),
        )


def _looks(
    features_ND: NDArray[np.float16], group_N: NDArray[np.intp], seed: int
) -> tuple[FeatureRows, Neighbours, NDArray[np.float64]]:
    """Return what does not depend on labels: rows, neighbours and strangeness.

    Fewer photos than features lie in a space of fewer dimensions; there everything is the same
    (all that counts is products of rows) and takes a tenth of the time.
    """
    rows, whole_ND = FeatureRows.of(features_ND, roots=True), features_ND.astype(np.float32)
    count, width = features_ND.shape
    if count < width:
        kept_ND, whole_ND = _compact(rows.at(slice(None))), _compact(whole_ND)
        rows = FeatureRows(
            kept_ND, np.zeros(count, np.float32), np.ones(count, np.float32), roots=False
        )
    neighbours = nearest(alike(rows), group_N, count=VOTERS, seed=seed)
    known = nearest(familiar(whole_ND), group_N, count=TENTH, seed=seed)
    similarity_N = np.where(known.present, known.similarity_NJ, 1).min(axis=1)
    return rows, neighbours, strangeness(similarity_N)


def _compact(rows_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    exact_ND = rows_ND.astype(np.float64)
    length_N, turn_NN = np.linalg.eigh(exact_ND @ exact_ND.T)
    return np.asarray(turn_NN * np.sqrt(np.maximum(length_N, 0)), np.float32)


def _folds(group_N: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    names, place_N = np.unique(group_N, return_inverse=True)
    return np.asarray(rng.permutation(len(names))[place_N] % FOLDS)


def _row(size: int, rate: float, several: list[Outcome]) -> str:
    def mean(field: str) -> float:
        return float(np.mean([getattr(outcome, field) for outcome in several]))

    held = sum(outcome.low <= outcome.wrong <= outcome.high for outcome in several)
    listing = sum(outcome.listed > 0 for outcome in several)
    return (
        f"| {size:,} | {mean('planted'):.0f} ({rate:.0%}) | {mean('listed'):.1f} in "
        f"{listing} of {len(several)} draws | {mean('expected'):.2f} [{mean('low'):.1f}, "
        f"{mean('high'):.1f}] | {mean('wrong'):.2f} | {proportion(held, len(several)):.1%} "
        f"| {mean('probable'):.2f} | {mean('probable_wrong'):.2f} |"
    )


if __name__ == "__main__":
    main()
