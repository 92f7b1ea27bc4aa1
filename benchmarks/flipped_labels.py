"""Turn some labels round at random, and count how many of them a check finds.

python -m benchmarks.flipped_labels [SEEDS] [BACKBONE]

Beside the ranking that ships stand the plain out-of-fold one and cleanlab's, if it is installed.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.kinds import load_backbone
from fursure.check.reading import gather
from fursure.check.suspects import judge
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.features.collect import grouped
from fursure.heads.heads import candidates
from fursure.metrics.intervals import proportion
from fursure.recipe import LogisticRegression
from fursure.rows.photo import Photo
from fursure.run import Run
from fursure.splitting.split import folds
from fursure.sureness.calibration import softmax

SHARED = Path(os.environ.get("FURSURE_DATA", "../shared"))
PHOTOS = SHARED / "data" / "cats-vs-dogs-12000.zip"
WEIGHTS = SHARED / "weights" / "mobilenetv2_100.tf_in1k"
FLIPPED, LOOKED = 0.02, 0.03  # shares of the photos
Scores = NDArray[np.floating]


def main() -> None:
    """Measure every ranking on the same flips."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    backbone = sys.argv[2] if len(sys.argv) > 2 else str(WEIGHTS)
    with open_source(PHOTOS) as source:
        found = gather(source, list_photos(source), load_backbone(backbone), Run())
    photos = [replace(one, reason=None) for one in grouped(found.usable, found.features_ND)]
    halves_ND = found.features_ND.kept_ND
    names = sorted({str(one.label) for one in photos})
    labels_N = np.array([names.index(str(one.label)) for one in photos])
    _, group_N = np.unique([one.group for one in photos], return_inverse=True)
    rankings: dict[str, Callable[[NDArray[np.intp], int], Scores]] = {
        "shipped": lambda given_N, seed: (
            judge(
                found.features_ND, given_N, len(names), _folds(photos, given_N, seed), group_N
            ).doubt_N
        ),
        "plain out-of-fold": lambda given_N, seed: _plain(
            _probs(halves_ND, given_N, _folds(photos, given_N, seed)), given_N
        ),
    }
    if find_spec("cleanlab"):
        rankings["cleanlab"] = lambda given_N, seed: _cleanlab(
            _probs(halves_ND, given_N, _folds(photos, given_N, seed)), given_N
        )
    print("| ranking | found in 2 % | found in 3 % | area under precision-recall |")
    print("|---|---|---|---|", flush=True)
    for name, rank in rankings.items():
        _row(name, rank, labels_N, len(names), seeds)


def _row(
    name: str,
    rank: Callable[[NDArray[np.intp], int], Scores],
    labels_N: NDArray[np.intp],
    classes: int,
    seeds: int,
) -> None:
    early, late, total, areas = 0, 0, 0, []
    for seed in range(seeds):
        rng = np.random.default_rng(1000 + seed)
        flipped_N = np.zeros(len(labels_N), bool)
        flipped_N[rng.choice(len(labels_N), int(FLIPPED * len(labels_N)), replace=False)] = True
        given_N = np.where(flipped_N, (labels_N + 1) % classes, labels_N)
        hits_N = flipped_N[np.argsort(-rank(given_N, seed), kind="stable")]
        early += int(hits_N[: round(FLIPPED * len(hits_N))].sum())
        late += int(hits_N[: round(LOOKED * len(hits_N))].sum())
        total += int(hits_N.sum())
        precision_N = np.cumsum(hits_N) / np.arange(1, len(hits_N) + 1)
        areas.append(float(precision_N[hits_N].mean()))
    spread = float(np.std(areas, ddof=1)) if seeds > 1 else 0.0
    print(
        f"| {name} | {proportion(early, total)} | {proportion(late, total)}, n = {total} "
        f"| {np.mean(areas):.4f} ± {spread:.4f} over {seeds} draws |",
        flush=True,
    )


def _folds(photos: list[Photo], given_N: NDArray[np.intp], seed: int) -> NDArray[np.int64]:
    labelled = [replace(one, label=str(label)) for one, label in zip(photos, given_N, strict=True)]
    return folds(labelled, seed=seed)


def _probs(
    features_ND: NDArray[np.floating], given_N: NDArray[np.intp], fold_N: NDArray[np.int64]
) -> Scores:
    """Return out-of-fold probabilities of the head that `train` fits, at its usual strength."""
    head = LogisticRegression(strengths=(0.3,))
    probs_NK = np.zeros((len(given_N), int(given_N.max()) + 1))
    for fold in np.unique(fold_N):
        mine_N, held_N = fold_N != fold, fold_N == fold
        rows_ND = features_ND[mine_N].astype(np.float32)
        fitted = next(candidates(head, rows_ND, given_N[mine_N], probs_NK.shape[1], seed=0))
        probs_NK[held_N] = softmax(fitted.layers(features_ND[held_N].astype(np.float32)))
    return probs_NK


def _plain(probs_NK: Scores, given_N: NDArray[np.intp]) -> Scores:
    return np.asarray(-probs_NK[np.arange(len(given_N)), given_N])


def _cleanlab(probs_NK: Scores, given_N: NDArray[np.intp]) -> Scores:
    from cleanlab.rank import get_label_quality_scores

    return np.asarray(-get_label_quality_scores(given_N, probs_NK, adjust_pred_probs=True))


if __name__ == "__main__":
    main()
