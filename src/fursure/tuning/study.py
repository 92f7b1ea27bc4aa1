"""Recipes to try, one judge → trials in Optuna's journal, so that a killed search goes on.

Trials are drawn in rounds of one a core, each by a seed of its own, and judged by those that were
finished when its round began: the same seed gives the same trials, however long each takes and
wherever a search was interrupted.

Optuna is imported here alone, and only to search.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from fursure.errors import FursureError, MissingExtra, OutputExists
from fursure.metrics.intervals import Estimate
from fursure.recipe import Recipe
from fursure.recipes.parse import from_json
from fursure.tuning.judging import Drawn, Outcome, TrialJudge, TrialState, all_judged
from fursure.tuning.space import Space

if TYPE_CHECKING:
    import optuna

_STATES: dict[TrialState, str] = {  # as Optuna calls them
    "complete": "COMPLETE",
    "pruned": "PRUNED",
    "failed": "FAIL",
}
_FOREIGN = "no trials of `fursure tune`"
_NAME = "fursure"  # of the study in its journal
_WIDEST = 4  # trials at once: of more in a round, none learns from the others
_UNPRUNED = 5  # trials at first that nothing is compared with
_APART = 0x9E3779B1  # between the seeds of two trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A recipe that was tried."""

    number: int  # from 0, in the order they were drawn
    state: TrialState
    recipe: Recipe
    seconds: float
    loss: float | None = None  # nats per photo, on the photos that choose
    accuracy: Estimate | None = None
    why: str = ""  # it failed

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "number": self.number,
            "state": self.state,
            "validation_log_loss": self.loss,
            "validation_accuracy": self.accuracy and self.accuracy.to_json(),
            "seconds": round(self.seconds, 3),
            "error": self.why or None,
            "recipe": self.recipe.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """When a search has tried enough: trials in all, or minutes of all its runs."""

    trials: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        """Refuse a search without an end, or without a beginning.

        Raises:
            FursureError: there is neither, or it is none.
        """
        if self.trials is None and self.minutes is None:
            raise FursureError("say how long to search: trials=50, minutes=5, or both.")
        if self.trials is not None and self.trials < 1:
            raise FursureError(f"{self.trials} trials end before the first one; name 1 or more.")
        if self.minutes is not None and not self.minutes > 0:
            raise FursureError(f"{self.minutes} minutes are no time to search; name more than 0.")

    def reached(self, trials: int, seconds: float) -> bool:
        """Return whether no further round begins."""
        by_time = self.minutes is not None and seconds >= self.minutes * 60
        return by_time or (self.trials is not None and trials >= self.trials)


def check_optuna() -> None:
    """Refuse early what could not be searched late.

    Raises:
        MissingExtra: Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise MissingExtra("fursure tune", "tune")


@dataclass(slots=True)
class Search:
    """A study under way, and its journal."""

    space: Space
    study: "optuna.Study"
    seconds: float = 0.0  # of all its runs
    told: list[Trial] = field(default_factory=list)

    @classmethod
    def open(
        cls, journal: Path, space: Space, identity: Mapping[str, Any], *, warmup: int
    ) -> "Search":
        """Return the search in ``journal``, or a new one; ``warmup`` steps are never pruned at.

        Raises:
            OutputExists: the file is of other photos or recipes, of another version, or no journal.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _mend(journal)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED, n_warmup_steps=warmup)
        try:
            backend = JournalFileBackend(str(journal), JournalFileOpenLock(str(journal)))
            study = optuna.create_study(
                storage=JournalStorage(backend),
                study_name=_NAME,
                pruner=pruner,
                load_if_exists=True,
            )
            noted = study.user_attrs.get("of")
        except (ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
            raise OutputExists(journal, _FOREIGN) from error
        if noted is None and not study.trials:
            study.set_user_attr("of", dict(identity))
        elif noted != identity:
            raise OutputExists(journal, f"trials {_differing(noted, identity)}")
        search = cls(space, study, seconds=float(study.user_attrs.get("seconds", 0.0)))
        for trial in study.trials:
            if not trial.state.is_finished():  # a run was killed there: it is drawn again
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            elif "recipe" in trial.user_attrs:
                search.told.append(_read(trial, len(search.told)))
        return search

    def run(self, judge: TrialJudge, limits: SearchLimits, *, cores: int) -> Iterator[Trial]:
        """Yield every further trial once its round is done.

        Each trial has a core of its own: a head's steps are too small to share.
        """
        workers = 1 if self.space.networks else min(cores, _WIDEST)  # networks keep all busy
        with (
            threadpool_limits(max(1, cores // workers), user_api="blas"),
            ThreadPoolExecutor(workers) as pool,
        ):
            while not limits.reached(len(self.told), self.seconds):
                first, began = len(self.told), time.monotonic()
                size = workers - first % workers
                if limits.trials is not None:
                    size = min(size, limits.trials - first)
                drawn = [self._drawn(first + place) for place in range(size)]
                outcomes = all_judged(pool, judge, drawn)
                self.seconds += time.monotonic() - began
                self.study.set_user_attr("seconds", self.seconds)
                for one, outcome in zip(drawn, outcomes, strict=True):
                    self._tell(one, outcome)
                    yield self.told[-1]

    def _drawn(self, number: int) -> Drawn:
        """Return what is tried next: at first the recipes to begin with, which nobody draws."""
        import optuna

        begins = self.space.begins()
        if number < len(begins):
            return Drawn(begins[number], None)
        seed = (self.space.base.seed + number * _APART) % 2**32
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_UNPRUNED)
        trial = self.study.ask()
        return Drawn(self.space.drawn(trial), trial)

    def _tell(self, drawn: Drawn, outcome: Outcome) -> None:
        from optuna.distributions import CategoricalDistribution
        from optuna.trial import TrialState as OptunaState
        from optuna.trial import create_trial

        attributes = {"recipe": drawn.recipe.to_json(), **outcome.to_json()}
        state = OptunaState[_STATES[outcome.state]]
        value = outcome.loss if outcome.state == "complete" else None
        if drawn.trial is None:
            frozen = create_trial(
                state=state,
                value=value,
                params=self.space.fixed(drawn.recipe),
                distributions={
                    name: CategoricalDistribution(choices)
                    for name, choices in self.space.choices().items()
                },
                user_attrs=attributes,
                intermediate_values=outcome.steps,
            )
            self.study.add_trial(frozen)
        else:
            for name, what in attributes.items():
                drawn.trial.set_user_attr(name, what)
            frozen = self.study.tell(drawn.trial, value, state=state)
        self.told.append(_read(frozen, len(self.told)))


def _read(trial: "optuna.trial.FrozenTrial", number: int) -> Trial:
    """Return a finished trial as its journal has it."""
    kept = trial.user_attrs
    state = next(state for state, name in _STATES.items() if name == trial.state.name)
    return Trial(
        number=number,
        state=state,
        recipe=from_json(kept["recipe"], "a recipe among the trials"),
        seconds=float(kept["seconds"]),
        loss=trial.value if state == "complete" else None,
        accuracy=Estimate.from_json(kept["accuracy"]) if kept["accuracy"] else None,
        why=str(kept["why"]),
    )


def _mend(journal: Path) -> None:
    """Take away what a killed search left: half a line, and the lock on the file.

    Nobody else writes to it: whoever searches holds a lock of ours.

    Raises:
        OutputExists: it is no journal.
    """
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        content = file.read()
        if content and not content.startswith(b'{"op_code":'):
            raise OutputExists(journal, _FOREIGN)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


def _differing(noted: Any, identity: Mapping[str, Any]) -> str:
    """Return in words what the trials in a journal are of, that is not what is asked for."""
    if not isinstance(noted, dict) or noted.get("format") != identity["format"]:
        return "of another version of fursure"
    words = {
        "photos": "of other photos, or of photos divided otherwise",
        "base": "that begin with another recipe",
        "encoders": "on other backbones",
        "networks": "with or without training of the network",
    }
    return next(
        (text for name, text in words.items() if noted.get(name) != identity[name]),
        "of another search",
    )
