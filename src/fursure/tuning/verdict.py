"""A finished search → a table of its best trials, and what choosing among them was worth, in words.

Whoever tries many recipes finds one that suits the photos that choose by chance: its figure there
flatters. The recipe that the search began with was chosen by nobody, so that the gain over it, on
photos that choose and on those of test, tells by how much.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fursure.errors import counted
from fursure.recipe import Head, LogisticRegression, Mlp, Recipe
from fursure.tuning.study import Trial

if TYPE_CHECKING:
    from fursure.tuning.tune import Tuning

SHOWN_TRIALS = 10


def trial_table(tuning: "Tuning", most: int = SHOWN_TRIALS) -> list[str]:
    """Return the best trials as lines: number, validation figures, seconds, recipe."""
    rows = [("trial", "validation", "log loss", "seconds", "recipe")]
    rows += [_row(trial) for trial in tuning.ranked()[:most]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == len(row) - 1 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(trial: Trial) -> tuple[str, str, str, str, str]:
    accuracy = "" if trial.accuracy is None else f"{trial.accuracy.value:.2%}"
    return (
        str(trial.number),
        accuracy,
        f"{trial.loss:.4f}",
        f"{trial.seconds:.1f}",
        in_short(trial.recipe),
    )


def in_short(recipe: Recipe) -> str:
    """Return what distinguishes the recipe of a trial, in a line."""
    backbone = recipe.backbone if isinstance(recipe.backbone, str) else " + ".join(recipe.backbone)
    where = f"{backbone}{' with flips' if recipe.flips else ''}, {_head(recipe.head)}"
    if recipe.tune is None:
        return where
    stage, augment = recipe.tune.stages[-1], recipe.tune.augment
    passes = counted(stage.epochs, "pass", "passes")
    return f"{where}; {stage.part} trained, {passes} at {stage.rate:g}, augment {augment}"


def _head(head: Head) -> str:
    match head:
        case LogisticRegression(strengths=(strength,)):
            return f"logistic, strength {strength:g}"
        case LogisticRegression(strengths=strengths):
            return f"logistic, {len(strengths)} strengths"
        case Mlp():
            hidden = "+".join(map(str, head.hidden))
            return (
                f"mlp {hidden}, dropout {head.dropout:g}, l2 {head.l2:g}, rate {head.rate:g}, "
                f"decay {head.decay:g}, batch {head.batch}"
            )


def verdict_sentences(tuning: "Tuning") -> Iterator[str]:
    """Yield what was found, what choosing flatters, and whether the search was worth it."""
    yield _count(tuning)
    best, test = tuning.best, tuning.test
    yield (
        f"validation, where it was chosen: {best.accuracy}, {best.loss:.4f} nats per photo, on "
        f"{counted(tuning.choosing, 'photo')}"
        f"{', each by heads that had not seen it' if tuning.crossed else ''}"
    )
    yield (
        f"test, {counted(len(test.correct_N), 'photo')} that no trial saw: {test.accuracy}, "
        f"{test.log_loss} nats per photo"
    )
    yield from _worth(tuning)


def _count(tuning: "Tuning") -> str:
    states = [trial.state for trial in tuning.trials]
    ends = [
        f"{states.count(state)} {words}"
        for state, words in (("pruned", "given up early"), ("failed", "failed"))
        if state in states
    ]
    ended = f" ({', '.join(ends)})" if ends else ""
    best = tuning.best
    return (
        f"the best of {counted(len(states), 'trial')}{ended} is trial {best.number}: "
        f"{in_short(best.recipe)}"
    )


def _worth(tuning: "Tuning") -> Iterator[str]:
    begun, name = tuning.begun, tuning.begun.recipe.name
    if tuning.best is begun:
        yield (
            f"no trial did better on validation than {name}, with which the search began: that "
            "is the model, and nothing was gained or flattered by choosing"
        )
        return
    gain = tuning.gain
    if begun.loss is not None and tuning.best.loss is not None:
        chosen = begun.loss - tuning.best.loss
        yield (
            f"over {name}, with which the search began, it gains {chosen:.4f} nats on validation "
            f"and {-gain.log_loss.value:.4f} on test: {_flattered(chosen + gain.log_loss.value)} "
            f"of choosing among {len(tuning.trials)}"
        )
    points = 100 * gain.accuracy.value
    interval = f"[{gain.log_loss.low:+.4f}, {gain.log_loss.high:+.4f}]"
    found = (
        f"test, photo by photo: log loss {gain.log_loss.value:+.4f} {interval}, accuracy "
        f"{points:+.2f} points (p = {gain.p_value:.2g})"
    )
    if gain.log_loss.high < 0:
        yield f"{found}: better than {name} beyond chance"
    elif gain.log_loss.low > 0:
        yield f"{found}: worse than {name} beyond chance; use that one"
    else:
        yield f"{found}: no better than {name} beyond chance, which takes one run of train"


def _flattered(excess: float) -> str:
    """Return how much of a gain on validation was the luck of choosing, as far as test tells."""
    return f"{excess:.4f} nats were the luck" if excess > 0 else "none of it was the luck"


def conclusion(tuning: "Tuning") -> dict[str, Any]:
    """Return the search as plain values, but for its trials."""
    states = [trial.state for trial in tuning.trials]
    test, begun = tuning.test, tuning.begun_test
    return {
        "model": str(tuning.trained.path),
        "recipe": str(tuning.recipe_file),
        "trials": {state: states.count(state) for state in ("complete", "pruned", "failed")},
        "new": tuning.new,
        "best": tuning.best.number,
        "choosing": {
            "photos": tuning.choosing,
            "basis": "cross-validation" if tuning.crossed else "validation photos",
        },
        "test": {"accuracy": test.accuracy.to_json(), "log_loss": test.log_loss.to_json()},
        "begun": {
            "recipe": tuning.begun.recipe.name,
            "validation_log_loss": tuning.begun.loss,
            "accuracy": begun.accuracy.to_json(),
            "log_loss": begun.log_loss.to_json(),
        },
        "difference": tuning.gain.to_json(),
        "verdict": list(verdict_sentences(tuning)),
        "notes": list(tuning.trained.notes),
    }
