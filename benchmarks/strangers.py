"""Who is a stranger, and what is an answer worth: the tables of docs/experiments.md.

    make bench-sure          (BUNDLES="a.fursure b.fursure"; without any, two are trained first)

The strangers are halved by a hash of their names: a method is chosen on one half and measured on
the other, and the other way round. They are ImageNet photos, and networks that were pretrained on
ImageNet know their kinds; so strangers that are none are measured too, and choose nothing.

Dimension key: N photos, D features, J outputs of a read-out.
"""

import hashlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fursure
from benchmarks.machine import described
from benchmarks.origins import PHOTOS, SHARED, Origins, Seen, origins
from benchmarks.stranger_scores import (
    Array,
    Score,
    added,
    linear,
    mahalanobis,
    nearest,
    scores,
    vim,
)
from fursure.bundle.bundle import Bundle
from fursure.heads.strangers import Worth, direction
from fursure.home import home
from fursure.metrics.figures import roc_auc
from fursure.metrics.intervals import Z_95, Estimate, bounded, proportion
from fursure.recipe import Recipe
from fursure.sureness.familiarity import SHIFT, Familiar, fit_familiar
from fursure.sureness.readout import Readout

WEIGHTS = SHARED / "weights" / "mobilenetv2_100.tf_in1k"
WILD = ("wolf", "coyote", "fox", "lion", "tiger", "leopard", "lynx")  # by name, where there are any
RISKS = (0.005, 0.01, 0.02, 0.05)
DIVISIONS = 1000
REAL = 0.9  # share of real photos in the mixture


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A bundle, what its network says of every photo, and what else could be familiar."""

    name: str
    bundle: Bundle
    seen: Origins
    nearest: Familiar  # by today's code, set by the validation photos alone
    doubting: Familiar  # the same with the classifier's energy, as bundles had it once
    half: NDArray[np.bool_]  # of the strangers: those of the first half

    @property
    def shipped(self) -> Familiar:
        """Return what the bundle itself goes by."""
        return self.bundle.familiar

    def strangers(self, way: str = "as they are") -> Seen:
        """Return the strangers, changed in one way."""
        return self.seen.strangers[way]


def main(paths: Sequence[str]) -> None:
    """Print every table."""
    if not PHOTOS.is_file():
        sys.exit(f"no photos at {PHOTOS}; set FURSURE_DATA")
    models = [_model(Path(path)) for path in paths or _trained()]
    print(described())
    _choice(models)
    for model in models:
        _origins(model)
        _kinds(model)
    _given(models)
    for model in models:
        _mixture(model)
    _cost(models)


def _trained() -> list[str]:
    """Return two bundles of the 12,000 photos, trained if they are not at hand."""
    folder = home() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    made = {"lite0": "lite0", "mobilenetv2": str(WEIGHTS)}
    paths = {name: folder / f"{name}.fursure" for name in made}
    for name, backbone in made.items():
        fursure.train(PHOTOS, paths[name], Recipe(backbone=backbone, test=0.2), overwrite=True)
    return [str(path) for path in paths.values()]


def _model(path: Path) -> Model:
    bundle = Bundle.read(path)
    seen = origins(bundle)
    one = seen.training
    names = seen.strangers["as they are"].names
    half = np.array([hashlib.sha256(name.encode()).digest()[0] < 128 for name in names])

    def fitted(readout: Readout | None) -> Familiar:
        held_out_ND = seen.validation.features_ND
        found = fit_familiar(one.features_ND, one.labels_N, held_out_ND, readout=readout)
        return replace(found, threshold=bundle.familiar.threshold)

    return Model(
        name=path.stem,
        bundle=bundle,
        seen=seen,
        nearest=fitted(None),
        doubting=fitted(Readout.of(*linear(one))),
        half=half,
    )


def area(known_N: Array, strangers_N: Array) -> Estimate:
    """Return the chance that a known photo is more familiar than a stranger."""
    scores_N = np.concatenate([strangers_N, known_N])
    labels_N = (np.arange(len(scores_N)) >= len(strangers_N)).astype(np.int64)
    found = roc_auc(np.column_stack([-scores_N, scores_N]), labels_N)
    assert found is not None  # both are there
    return found


def accepted(known_N: Array, strangers_N: Array, kept: float) -> Estimate:
    """Return the share of strangers accepted where ``kept`` of the known photos are."""
    threshold = np.quantile(known_N, 1 - kept, method="lower")
    return proportion(int((strangers_N >= threshold).sum()), len(strangers_N))


def _choice(models: Sequence[Model]) -> None:
    """Choose on one half of the strangers, measure on the other."""
    table: dict[str, list[list[dict[str, float]]]] = {}  # name -> model -> half -> origin -> area
    for model in models:
        for name, score in scores(model.seen):
            known = {origin: score(seen) for origin, seen in model.seen.known.items()}
            others = {way: score(seen) for way, seen in model.seen.strangers.items()}
            halves = [
                {
                    origin: area(values_N, others[_way(origin)][rows]).value
                    for origin, values_N in known.items()
                }
                for rows in (model.half, ~model.half)
            ]
            table.setdefault(name, []).append(halves)

    def merit(name: str, half: int) -> float:
        return float(np.mean([min(halves[half].values()) for halves in table[name]]))

    print("\n### The method, chosen on one half of the strangers\n")
    print("Merit: the AUROC at the worst origin, averaged over the models.\n")
    print("| method | merit, half A | half B |" + "".join(f" {m.name}, B |" for m in models))
    print("|---|---|---|" + "---|" * len(models))
    for name in sorted(table, key=lambda name: -merit(name, 0)):
        own = " | ".join(f"{min(halves[1].values()):.4f}" for halves in table[name])
        print(f"| {name} | {merit(name, 0):.4f} | {merit(name, 1):.4f} | {own} |")
    for half, other, names in ((0, 1, "A"), (1, 0, "B")):
        best = max(table, key=lambda name: merit(name, half))
        print(f"\nBest on half {names}: {best}, there {merit(best, half):.4f}, on the other "
              f"{merit(best, other):.4f}.")  # fmt: skip


def _way(origin: str) -> str:
    """Return how strangers are to be changed to be fair to an origin."""
    return origin.partition(", ")[2] or "as they are"


def _origins(model: Model) -> None:
    familiar, lost = model.shipped, model.shipped.threshold
    title = f"{model.name}: {model.bundle.meta.backbone}, {model.bundle.meta.recipe['name']}"
    print(f"\n### {title}, shipped method, all strangers\n")
    print("| known photos | AUROC | accepted at 95 % kept | at 99 % kept | "
          f"kept by the {lost:.0%} threshold | accepted by it |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    rows = [(origin, _way(origin)) for origin in model.seen.known]
    for origin, way in [*rows, ("test", "squashed to 200 px")]:
        known, others = model.seen.known[origin], model.strangers(way)
        known_N, others_N = (_score(familiar, one) for one in (known, others))
        kept_N = familiar.familiarity(known.features_ND) >= lost
        taken_N = familiar.familiarity(others.features_ND) >= lost
        name = origin if way == _way(origin) else f"{origin}; strangers {way}"
        print(
            f"| {name}, n = {len(known)} | {area(known_N, others_N):.4f} "
            f"| {accepted(known_N, others_N, 0.95):.1%} | {accepted(known_N, others_N, 0.99):.1%} "
            f"| {proportion(int(kept_N.sum()), len(kept_N)):.1%} "
            f"| {proportion(int(taken_N.sum()), len(taken_N)):.1%} |"
        )
    _halves(model)
    _lost(model)
    _wild(model)


def _kinds(model: Model) -> None:
    """Print what a user is told of each kind of stranger, and of what one may argue about."""
    threshold = model.bundle.threshold(None)
    imagenet = model.strangers()
    wild_N = np.array([_wild_relative(name) for name in imagenet.names])
    kinds = {"ImageNet's, but wild relatives": imagenet.at(~wild_N)} | model.seen.others
    near = {"wild relatives among ImageNet's": imagenet.at(wild_N)} | model.seen.near
    print(f"\nAt default settings, confidence asked for {threshold:.4f}:\n")
    print("| strangers | n | called stranger | unsure | given a label "
          "| most confident | most familiar |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for title, group in (*kinds.items(), ("*near ones and others one may argue about*", None)):
        print(f"| {title} " + (_told(model, group, threshold) if group else "| | | | | | |"))
    for title, group in near.items():
        print(f"| {title} " + _told(model, group, threshold))


def _told(model: Model, group: Seen, threshold: float) -> str:
    familiarity_N = model.shipped.familiarity(group.features_ND)
    confidence_N = group.probs_NK.max(axis=1)
    answers = [
        model.bundle.answer("a label", float(confidence), float(familiarity), threshold)
        for confidence, familiarity in zip(confidence_N, familiarity_N, strict=True)
    ]
    shares = " | ".join(
        f"{proportion(answers.count(answer), len(group)):.1%}"
        for answer in ("stranger", "unsure", "a label")
    )
    return f"| {len(group)} | {shares} | {confidence_N.max():.3f} | {familiarity_N.max():.4f} |"


def _wild_relative(name: str) -> bool:
    word = Path(name).stem.partition("_")[2].replace("_", " ")
    return any(one in word for one in WILD)


def _halves(model: Model) -> None:
    """Print the target's figures for each half of the strangers, by three methods, in pairs."""
    one, validation = model.seen.training, model.seen.validation
    near = nearest(one, shift=SHIFT, k=model.shipped.k)
    methods: dict[str, Score] = {
        "shipped": lambda seen: _score(model.shipped, seen),
        "nearest": lambda seen: _score(model.nearest, seen),
        "nearest and energy": lambda seen: _score(model.doubting, seen),
        "nearest and ViM": added(near, vim(one), validation),
        "nearest and relative Mahalanobis": added(
            near, mahalanobis(one, relative=True, ridge=1.0), validation
        ),
    }
    print("\n| against elsewhere | half | AUROC | more than shipped | than nearest "
          "| accepted at 95 % kept | at 99 % kept |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    known, others = model.seen.known["elsewhere"], model.strangers()
    found = {name: (score(known), score(others)) for name, score in methods.items()}
    for name, (known_N, others_N) in found.items():
        for half, rows in (("A", model.half), ("B", ~model.half)):
            pairs = [
                "" if name == other else gained(known_N, others_N[rows], before_N, then_N[rows])
                for other, (before_N, then_N) in list(found.items())[:2]
            ]
            print(f"| {name} | {half}, n = {rows.sum()} | {area(known_N, others_N[rows]):.4f} | "
                  f"{pairs[0]} | {pairs[1]} | {accepted(known_N, others_N[rows], 0.95):.1%} | "
                  f"{accepted(known_N, others_N[rows], 0.99):.1%} |")  # fmt: skip


def gained(known_N: Array, strangers_M: Array, before_N: Array, before_M: Array) -> str:
    """Return how much the area grew, with its interval in pairs (DeLong et al., 1988)."""

    def shares(known_N: Array, strangers_M: Array) -> tuple[Array, Array]:
        above_NM = known_N[:, None] - strangers_M
        won_NM = (above_NM > 0) + (above_NM == 0) / 2
        return won_NM.mean(axis=1), won_NM.mean(axis=0)

    now, then = shares(known_N, strangers_M), shares(before_N, before_M)
    gains = [one - other for one, other in zip(now, then, strict=True)]
    margin = Z_95 * sqrt(sum(float(one.var(ddof=1)) / len(one) for one in gains))
    value = float(gains[0].mean())
    return f"{value:+.4f} [{value - margin:+.4f}, {value + margin:+.4f}]"


def _lost(model: Model) -> None:
    """Print what other divisions of validation and test photos would have lost."""
    scores_N = np.concatenate(
        [_score(model.shipped, one) for one in (model.seen.validation, model.seen.known["test"])]
    )
    held_out, rng = len(model.seen.validation), np.random.default_rng(0)
    lost = []
    for _ in range(DIVISIONS):
        mixed_N = scores_N[rng.permutation(len(scores_N))]
        ordered_N = np.sort(mixed_N[:held_out])
        rank = model.shipped.threshold * (held_out + 1)
        threshold = np.interp(rank, np.arange(1, held_out + 1), ordered_N)
        lost.append(float((mixed_N[held_out:] < threshold).mean()))
    low, high = np.quantile(lost, (0.025, 0.975))
    print(
        f"\nTest photos lost, had chance divided them from validation {DIVISIONS} other times: "
        f"{np.mean(lost):.2%} on average, mostly {low:.1%} to {high:.1%}, "
        f"at most {max(lost):.1%}."
    )


def _wild(model: Model) -> None:
    others = model.strangers()
    known_N = _score(model.shipped, model.seen.known["elsewhere"])
    bar = np.quantile(known_N, 0.05, method="lower")
    taken_N = _score(model.shipped, others) >= bar
    words = [Path(name).stem.partition("_")[2].replace("_", " ") for name in others.names]
    wild = [row for row, name in enumerate(others.names) if _wild_relative(name)]
    kinds = ", ".join(f"{words[row]} {'accepted' if taken_N[row] else 'caught'}" for row in wild)
    print(f"\nWild relatives at 95 % of elsewhere kept: {kinds}. ", end="")
    named = [word for word, taken in zip(words, taken_N, strict=True) if taken]
    if len(named) <= 15:
        print(f"Accepted: {', '.join(named) or 'none'}.")
    else:
        print(f"Accepted: {len(named)} of {len(words)}.")


def _score(familiar: Familiar, seen: Seen) -> Array:
    """Return what familiarity is the rank of: it goes on where ranks end at 0 and 1."""
    return familiar._score(seen.features_ND)


def _given(models: Sequence[Model]) -> None:
    print("\n### With strangers given: one half teaches, the other is measured (--strangers)\n")
    print("Kept and accepted are by the bundle's own threshold, and as if always used.\n")
    print("| model | teaches | AUROC, test | AUROC, elsewhere | accepted at 95 % kept | "
          "kept of test, elsewhere | accepted | without | used |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for model in models:
        one, held_out_ND = model.seen.training, model.seen.validation.features_ND
        for name, rows in (("A", model.half), ("B", ~model.half)):
            teaching_ND = model.strangers().features_ND[rows]
            readout = direction(one.features_ND, teaching_ND, 0)
            sharp = replace(
                fit_familiar(one.features_ND, one.labels_N, held_out_ND, readout=readout),
                threshold=model.shipped.threshold,
            )
            others = model.strangers().at(~rows)
            test, elsewhere = model.seen.known["test"], model.seen.known["elsewhere"]
            own_N = _score(sharp, others)
            print(
                f"| {model.name} | {name}, n = {rows.sum()} "
                f"| {area(_score(sharp, test), own_N):.4f} "
                f"| {area(_score(sharp, elsewhere), own_N):.4f} "
                f"| {accepted(_score(sharp, elsewhere), own_N, 0.95):.1%} "
                f"| {_taken(sharp, test):.1%}, {_taken(sharp, elsewhere):.1%} "
                f"| {_taken(sharp, others):.1%} | {_taken(model.shipped, others):.1%} "
                f"| {_used(_taken(sharp, others), _taken(model.shipped, others))} |"
            )


def _used(accepted: Estimate, without: Estimate) -> str:
    worth = Worth(digest="", taught=0, accepted=accepted, without=without)
    return "yes" if worth.used else "no"


def _taken(familiar: Familiar, seen: Seen) -> Estimate:
    taken_N = familiar.familiarity(seen.features_ND) >= familiar.threshold
    return proportion(int(taken_N.sum()), len(taken_N))


def _mixture(model: Model) -> None:
    print(f"\n### {model.name}: {REAL:.0%} real photos and {1 - REAL:.0%} strangers\n")
    print("Coverage: share of the real photos that get a label, right or wrong.\n")
    print("| real photos | known lost | risk | accuracy of what is answered | coverage | "
          "right, real ones alone | strangers answered |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    for origin in ("test", "elsewhere"):
        for lost in (0.01, 0.03, 0.05):
            familiar = replace(model.shipped, threshold=lost)
            for risk in RISKS:
                threshold = model.bundle.meta.risks.threshold_for(risk)
                if threshold is None:
                    print(f"| {origin} | {lost:.0%} | {risk:.1%} | not certified | | | |")
                    continue
                known, others = model.seen.known[origin], model.strangers()
                given_N = _answered(familiar, known, threshold)
                wrong_N = given_N & (known.probs_NK.argmax(axis=1) != known.labels_N)
                taken_N = _answered(familiar, others, threshold)
                given, wrong, taken = int(given_N.sum()), int(wrong_N.sum()), int(taken_N.sum())
                print(
                    f"| {origin} | {lost:.0%} | {risk:.1%} "
                    f"| {_mixed((given, wrong, len(known)), (taken, len(others)))} "
                    f"| {proportion(given, len(known)):.1%} "
                    f"| {proportion(given - wrong, given):.2%} "
                    f"| {proportion(taken, len(others)):.1%} |"
                )


def _answered(familiar: Familiar, seen: Seen, threshold: float) -> NDArray[np.bool_]:
    sure_N = seen.probs_NK.max(axis=1) >= threshold
    return np.asarray(sure_N & (familiar.familiarity(seen.features_ND) >= familiar.threshold))


def _mixed(real: tuple[int, int, int], strangers: tuple[int, int]) -> Estimate:
    """Return the accuracy of what is answered in the mixture; its error by the delta method."""
    given, wrong, n = real
    taken, m = strangers
    errors = REAL * wrong / n + (1 - REAL) * taken / m
    answered = REAL * given / n + (1 - REAL) * taken / m
    share = errors / answered
    # each photo's influence on the ratio: real and right -share, wrong and strangers 1 - share
    real_square = (wrong * (1 - share) ** 2 + (given - wrong) * share**2) / n
    real_mean = (wrong - share * given) / n
    others_share = taken / m
    variance = REAL**2 * (real_square - real_mean**2) / n
    variance += (1 - REAL) ** 2 * (1 - share) ** 2 * others_share * (1 - others_share) / m
    return bounded(1 - share, sqrt(variance) / answered, trials=given + taken, n=given + taken)


def _cost(models: Sequence[Model]) -> None:
    print("\n### Cost, one core\n")
    print("| model | features | KB in the bundle | ms a photo, of 32 | ms for a single photo |")
    print("|---|---|---|---|---|")
    for model in models:
        arrays: Mapping[str, NDArray[np.generic]] = model.shipped.to_arrays()
        kilobytes = sum(array.nbytes for array in arrays.values()) / 1000
        x_ND = model.seen.known["test"].features_ND
        times = {count: _seconds(model.shipped, x_ND[:count]) / count * 1000 for count in (32, 1)}
        print(f"| {model.name} | {x_ND.shape[1]} | {kilobytes:.0f} | {times[32]:.3f} | "
              f"{times[1]:.3f} |")  # fmt: skip


def _seconds(familiar: Familiar, x_ND: NDArray[np.float32]) -> float:
    """Return the CPU time of one call: the median of many."""
    spent = []
    for _ in range(60):
        began = time.process_time()
        familiar.familiarity(x_ND)
        spent.append(time.process_time() - began)
    return sorted(spent)[30]


if __name__ == "__main__":
    main(sys.argv[1:])
