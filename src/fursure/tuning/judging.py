"""Recipes and a judge → how each did: finished, given up where others were better, or failed."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import isfinite
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fursure.errors import FursureError
from fursure.metrics.answers import Answers
from fursure.metrics.intervals import Estimate
from fursure.recipe import Recipe
from fursure.tuning.scoring import Reported

if TYPE_CHECKING:
    import optuna

TrialJudge = Callable[[Recipe, Reported], Answers]
TRIAL_FAILURES = (FursureError, np.linalg.LinAlgError)  # what fails one trial alone
TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A recipe to try, and Optuna's trial of it."""

    recipe: Recipe
    trial: "optuna.Trial | None"  # None: nothing was drawn, and nothing is pruned


@dataclass(slots=True)
class Outcome:
    """How a trial went."""

    state: TrialState = "complete"
    loss: float | None = None
    accuracy: Estimate | None = None
    why: str = ""
    seconds: float = 0.0
    steps: dict[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what is kept beside a trial's knobs and its value."""
        accuracy = self.accuracy and self.accuracy.to_json()
        return {"seconds": self.seconds, "why": self.why, "accuracy": accuracy}


class TrialPruned(Exception):
    """A trial is worse than others were at that step, and is given up."""


class _StoppedError(Exception):
    """The search was interrupted: the trial goes on another time."""


def all_judged(
    pool: ThreadPoolExecutor, judge: TrialJudge, drawn: Sequence[Drawn]
) -> list[Outcome]:
    """Return how each did; where one raises what is no failure of its own, the others end too."""
    stop = Event()
    futures = [pool.submit(_judged, judge, each, stop) for each in drawn]
    try:
        return [future.result() for future in futures]
    except BaseException:
        stop.set()
        raise


def _judged(judge: TrialJudge, drawn: Drawn, stop: Event) -> Outcome:
    outcome, began = Outcome(), time.monotonic()

    def reported(step: int, loss: float) -> None:
        if isfinite(loss):
            outcome.steps[step] = loss
            if drawn.trial is not None:
                drawn.trial.report(loss, step)
        if stop.is_set():
            raise _StoppedError
        if drawn.trial is not None and drawn.trial.should_prune():
            raise TrialPruned

    try:
        with np.errstate(all="ignore"):  # a rate too high overflows, and is judged by its loss
            answers = judge(drawn.recipe, reported)
        outcome.loss = float(answers.losses_N.mean())
        outcome.accuracy = answers.accuracy
    except TrialPruned:
        outcome.state = "pruned"
    except TRIAL_FAILURES as error:
        outcome.state, outcome.why = "failed", str(error)
    outcome.seconds = time.monotonic() - began
    return outcome
