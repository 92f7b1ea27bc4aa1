"""How far may few photos be trusted to say who is a stranger?

    python -m benchmarks.few_photos BUNDLE       (its network, which must not be tuned to them)

Each draw takes a few of all photos, fits what is familiar by them alone, and is measured on 2,000
others, on photos of another origin, and on strangers.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import described
from benchmarks.origins import origins
from fursure.bundle.bundle import Bundle
from fursure.metrics.figures import roc_auc
from fursure.sureness.familiarity import fit_familiar

COUNTS = (20, 60, 100, 300, 600, 2000)
DRAWS = 100
HELD_OUT = 2000  # photos
LOST = 0.01


def main(path: str) -> None:
    """Print a row for each number of photos."""
    seen = origins(Bundle.read(Path(path)))
    parts = (seen.training, seen.validation, seen.known["test"])
    features_ND = np.concatenate([part.features_ND for part in parts])
    labels_N = np.concatenate([part.labels_N for part in parts])
    elsewhere_ND = seen.known["elsewhere"].features_ND
    strangers_ND = seen.strangers["as they are"].features_ND
    print(described())
    print(f"\n{DRAWS} draws; means, and what 95 % of the draws lie in\n")
    print("| photos | 2,000 others lost | elsewhere lost | strangers accepted | AUROC, others | "
          "elsewhere |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for count in COUNTS:
        rows = []
        for seed in range(DRAWS):
            mixed_N = np.random.default_rng(seed).permutation(len(features_ND))
            drawn_N, others_N = mixed_N[:count], mixed_N[count : count + HELD_OUT]
            familiar = fit_familiar(features_ND[drawn_N], labels_N[drawn_N], seed=seed)
            groups = (features_ND[others_N], elsewhere_ND, strangers_ND)
            test_N, elsewhere_N, strangers_N = map(familiar.familiarity, groups)
            scores = [familiar._score(group_ND) for group_ND in groups]
            rows.append(
                [
                    float((test_N < LOST).mean()),
                    float((elsewhere_N < LOST).mean()),
                    float((strangers_N >= LOST).mean()),
                    _area(scores[0], scores[2]),
                    _area(scores[1], scores[2]),
                ]
            )
        table = np.array(rows)
        low, high = np.quantile(table, (0.025, 0.975), axis=0)
        cells = [
            f"{mean:.2%} [{least:.1%}, {most:.1%}]" if column < 3 else f"{mean:.4f}"
            for column, (mean, least, most) in enumerate(
                zip(table.mean(axis=0), low, high, strict=True)
            )
        ]
        print(f"| {count} | {' | '.join(cells)} |", flush=True)


def _area(known_N: NDArray[np.float64], strangers_N: NDArray[np.float64]) -> float:
    scores_N = np.concatenate([strangers_N, known_N])
    labels_N = (np.arange(len(scores_N)) >= len(strangers_N)).astype(np.int64)
    found = roc_auc(np.column_stack([-scores_N, scores_N]), labels_N)
    assert found is not None  # both are there
    return found.value


if __name__ == "__main__":
    main(sys.argv[1])
