"""Do figures from few photos hold? Train on small draws, and measure each model on 2,000 others.

    make bench-small          (python -m benchmarks.small_data [--draws 200] [--backbone NAME])

A draw takes the path of `fursure train`: the photos' features and groups, folds, head, temperature,
certificate. What its output would promise is then compared with what the model that it ships is
worth on photos that share no near-duplicate with it.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fursure.backbones.combine import encoder_for
from fursure.bundle.meta import UNCERTIFIED
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.features.collect import Collected, collect
from fursure.heads.assemble import default_risk
from fursure.heads.fit import fit
from fursure.metrics.classification import Evaluation, score_probs
from fursure.metrics.intervals import Estimate, proportion
from fursure.recipe import Recipe
from fursure.run import Run
from fursure.splitting.split import few
from fursure.sureness.calibration import softmax

SHARED = Path(os.environ.get("FURSURE_DATA", "../shared"))
PHOTOS = SHARED / "data" / "cats-vs-dogs-12000.zip"
SIZES, OTHERS = (100, 300, 600), 2_000  # photos
WANTED = 0.93  # of the draws
FIGURES = ("accuracy", "log_loss", "brier", "calibration_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What one draw promised, and what 2,000 other photos made of it."""

    promised: Evaluation
    kept: Evaluation
    temperature: float
    risk: float | None  # share of wrong answers promised; None: nothing was certified
    answered: float  # share of the others
    wrong: float  # share of those answers

    @property
    def broken(self) -> bool:
        """Whether more answers were wrong than was promised."""
        return self.risk is not None and self.wrong > self.risk


def main() -> None:
    """Print one row a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--backbone", default=Recipe().backbone)
    asked = parser.parse_args()
    if not PHOTOS.is_file():
        sys.exit(f"no photos at {PHOTOS}; set FURSURE_DATA")
    recipe = Recipe(backbone=asked.backbone)
    with open_source(PHOTOS) as source:
        collected = collect(source, list_photos(source), encoder_for(recipe), recipe, Run())
    report(collected, recipe, asked.draws)


def report(collected: Collected, recipe: Recipe, draws: int) -> None:
    """Print the rows of all sizes as they come."""
    for size in SIZES:
        rows = [drawn(collected, recipe, size, number) for number in range(draws)]
        print(f"\n{size} photos, {draws} draws, each measured on {OTHERS:,} others")
        for line in _lines(rows):
            print(f"  {line}", flush=True)


def drawn(collected: Collected, recipe: Recipe, size: int, number: int) -> Draw:
    """Train on one draw of photos and measure on others that share no group with them."""
    order = np.random.default_rng([size, number]).permutation(len(collected.usable))
    photos = [replace(collected.usable[row], split="train") for row in order[:size]]
    assert few(photos, recipe)
    groups = {photo.group for photo in photos}
    others = [row for row in order[size:] if collected.usable[row].group not in groups][:OTHERS]
    labels = collected.manifest.labels
    found = fit(photos, collected.features_ND[order[:size]], labels, recipe)
    probs_NK = softmax(found.layers(collected.features_ND[others]), found.temperature)
    truth_N = np.array([labels.index(collected.usable[row].label or "") for row in others])
    risk = default_risk(found.risks)
    certified = found.risks.threshold_for(risk)
    answered_N = probs_NK.max(axis=1) >= max(UNCERTIFIED, certified or 0.0)
    wrong_N = probs_NK.argmax(axis=1) != truth_N
    return Draw(
        promised=found.evaluation,
        kept=score_probs(probs_NK, truth_N, labels),
        temperature=found.temperature,
        risk=None if certified is None else risk,
        answered=float(answered_N.mean()),
        wrong=float(wrong_N[answered_N].mean()),
    )


def _lines(rows: Sequence[Draw]) -> Iterator[str]:
    for name in FIGURES:
        promised: list[Estimate] = [getattr(row.promised, name) for row in rows]
        kept: list[float] = [getattr(row.kept, name).value for row in rows]
        held = sum(one.low <= value <= one.high for one, value in zip(promised, kept, strict=True))
        width = np.mean([one.high - one.low for one in promised])
        share = proportion(held, len(rows))
        verdict = "" if name not in FIGURES[:2] or share.value >= WANTED else " MISSED"
        mean = np.mean([one.value for one in promised])
        yield (
            f"{name}: the interval holds in {share:.1%}{verdict}, mean width {width:.4f}, "
            f"promised {mean:.4f} on average, kept {np.mean(kept):.4f}"
        )
    certified = [row for row in rows if row.risk is not None]
    broken = proportion(sum(row.broken for row in certified), len(certified))
    yield f"a risk certified in {len(certified)} draws, and broken in {broken:.1%} of them"
    yield (
        f"answered {np.mean([row.answered for row in rows]):.1%}, "
        f"{np.mean([row.wrong for row in rows]):.2%} of that wrong; temperature below 1 in "
        f"{sum(row.temperature < 1 for row in rows)} draws"
    )
    spotless = [row for row in rows if row.promised.accuracy.value == 1]
    held = sum(_holds(row) for row in spotless)
    yield f"no error seen in {len(spotless)} draws: accuracy and log loss both hold in {held}"


def _holds(row: Draw) -> bool:
    pairs = (
        (row.promised.accuracy, row.kept.accuracy.value),
        (row.promised.log_loss, row.kept.log_loss.value),
    )
    return all(promised.low <= value <= promised.high for promised, value in pairs)


if __name__ == "__main__":
    main()
