"""Photos → the best of many recipes, as a model like that of `fursure train`.

The photos are divided first. Trials learn and choose without those of test, which answer once, at
the end: to the recipe chosen, and to the one that the search began with, which nobody chose.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from fursure.backbones.package import installed
from fursure.bundle.bundle import Bundle
from fursure.dataset.labelled import Data, Dataset, dataset_of
from fursure.errors import BadBundle, BadData, BadRecipe, OutputExists, counted
from fursure.evaluation.evaluate import evaluate_model
from fursure.features.division import Shares
from fursure.files import remove, replacing
from fursure.heads.fit import fit
from fursure.metrics.answers import Answers
from fursure.metrics.ladder import Difference, difference
from fursure.recipe import Recipe
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.recipes.toml import to_toml
from fursure.run import Pass, Run
from fursure.training.output_lock import held
from fursure.training.parts import SHARES_TO_CHOOSE, for_test
from fursure.training.train import Trained, beside, check_model_path, train_model
from fursure.tuning.material import TrialMaterial, encoded_by_all, put_aside
from fursure.tuning.networks import NetworkTrials
from fursure.tuning.scoring import Reported, TrialGround
from fursure.tuning.space import BackboneChoice, Space
from fursure.tuning.study import Search, SearchLimits, Trial, check_optuna

_NOTE = "Its recipe is the best of several on validation; the figures are of photos none saw."
_WARMUP, _WARMUP_FOLDS = 4, 1  # steps of a trial before it may be given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """A finished search: the model, the trials, and what choosing among them was worth."""

    trained: Trained
    recipe_file: Path
    journal: Path
    trials: tuple[Trial, ...]  # in the order they were drawn
    new: int  # of them tried by this run
    best: Trial
    begun: Trial  # the recipe that the search began with
    crossed: bool  # the photos that choose did so in turn, in folds
    choosing: int  # photos that chose
    test: Answers  # of the best
    begun_test: Answers

    def __repr__(self) -> str:
        """Return what was found, on one line."""
        count = counted(len(self.trials), "trial")
        return f"Tuning({str(self.trained.path)!r}, best of {count}, test {self.test.accuracy})"

    def _repr_html_(self) -> str:
        """Return the best trials and the verdict, as a notebook shows them."""
        from fursure.report.notebook import lines_html
        from fursure.tuning.verdict import trial_table, verdict_sentences

        return lines_html([*trial_table(self), *verdict_sentences(self)])

    @property
    def gain(self) -> Difference:
        """The best against the recipe begun with, on the test photos."""
        return difference(self.begun_test, self.test)

    def ranked(self) -> list[Trial]:
        """Return the trials that were finished, the best first."""
        done = [trial for trial in self.trials if trial.loss is not None]
        return sorted(done, key=lambda trial: (trial.loss, trial.number))


def tune_recipe(
    data: Data,
    output: str | PathLike[str],
    base: Recipe = LINEAR_PROBE,
    run: Run = Run(),
    *,
    limits: SearchLimits,
    shares: Shares = SHARES_TO_CHOOSE,
    backbones: Sequence[str] = (),
    together: bool = False,
    flips: bool = False,
    networks: bool = False,
    overwrite: bool = False,
    report: bool = False,
) -> Tuning:
    """Try recipes on the photos in ``data`` and write the model of the best one to ``output``.

    The search begins with ``base``, on each of the ``backbones`` (without any: those of installed
    packages); ``together`` also tries all of them side by side, ``flips`` the mean of a photo and
    its mirror image, ``networks`` training of the network itself, minutes a trial. Beside the model
    lie its recipe, and the trials: the same call goes on where an earlier one was interrupted, or
    ends at once.

    Raises:
        FursureError: the photos, a backbone or the output cannot be used, or Optuna is missing.
    """
    path, dataset = Path(output), dataset_of(data).pinned()
    check_optuna()
    _check_base(base)
    check_model_path(path)
    space = Space(
        base=_shared(base, shares),
        backbones=_named(base, backbones, together),
        flips=flips,
        networks=networks,
    )
    journal = beside(path, "trials.jsonl")
    with held(path, journal):
        division = put_aside(dataset, shares, space, run)
        material = encoded_by_all(dataset, division, space, run)
        _check_output(path, material.digest, overwrite=overwrite)
        ground = TrialGround.of(material.collected, space.base, material.seen)
        search = _opened(journal, space, material, ground, overwrite=overwrite)
        earlier = len(search.told)
        trainings = NetworkTrials(dataset=dataset, material=material, run=run)
        _searched(search, ground, trainings, limits, run)
        best, begun = _best(search.told), search.told[0]
        recipe = replace(best.recipe, name=f"{path.stem[:90]}-tuned", note=_NOTE)
        trained = train_model(
            dataset,
            path,
            recipe,
            run,
            division=division,
            overwrite=overwrite or path.exists(),  # it is an earlier one of this search
            report=report,
        )
        recipe_file = beside(path, "recipe.toml")
        with replacing(recipe_file) as file:
            file.write(to_toml(recipe).encode())
        trainings.clear()
        test = (
            _tested(best.recipe, material, space)
            if best.recipe.tune is None
            else _answered(trained.bundle, dataset, material, run)
        )
        return Tuning(
            trained=trained,
            recipe_file=recipe_file,
            journal=journal,
            trials=tuple(search.told),
            new=len(search.told) - earlier,
            best=best,
            begun=begun,
            crossed=ground.fold_N is not None,
            choosing=int(ground.choose_N.sum()),
            test=test,
            begun_test=test if best is begun else _tested(begun.recipe, material, space),
        )


def _check_base(base: Recipe) -> None:
    if base.tune is not None:
        raise BadRecipe(
            base.name,
            "it trains the network itself, minutes a trial; tune begins with one that does not, "
            "such as linear-probe",
        )


def _shared(base: Recipe, shares: Shares) -> Recipe:
    """Return the recipe with the shares and the seed of the division that all trials have."""
    return replace(base, validation=shares.validation, test=shares.test, seed=shares.seed)


def _named(base: Recipe, asked: Sequence[str], together: bool) -> Mapping[str, BackboneChoice]:
    """Return the backbones to try, by what a trial calls them; the recipe's own comes first."""
    own: list[BackboneChoice] = [] if asked else [base.backbone]
    names = list(dict.fromkeys([*own, *(asked or (backbone.name for backbone in installed()))]))
    if together and len(names) > 1:
        names.append(tuple(name for name in names if isinstance(name, str)))
    return {name if isinstance(name, str) else " + ".join(name): name for name in names}


def _check_output(path: Path, photos: str, *, overwrite: bool) -> None:
    """Refuse a model that lies there already and is none of an earlier run of this search.

    Raises:
        OutputExists: there is one.
    """
    if overwrite or not path.exists():
        return
    try:
        meta = Bundle.read(path).meta
    except (BadBundle, OSError):
        raise OutputExists(path, "no model of this version of fursure") from None
    if meta.recipe.get("note") != _NOTE or meta.data["digest"] != photos:
        raise OutputExists(path, "made by another command, or from other photos")


def _opened(
    journal: Path, space: Space, material: TrialMaterial, ground: TrialGround, *, overwrite: bool
) -> Search:
    """Return the search in the journal; to be overwritten is what belongs to another one."""
    identity = material.identity(space)
    warmup = _WARMUP if ground.fold_N is None else _WARMUP_FOLDS
    try:
        return Search.open(journal, space, identity, warmup=warmup)
    except OutputExists:
        if not overwrite:
            raise
        remove(journal)
        return Search.open(journal, space, identity, warmup=warmup)


def _searched(
    search: Search,
    ground: TrialGround,
    trainings: NetworkTrials,
    limits: SearchLimits,
    run: Run,
) -> None:
    """Try until the limits are reached, and tell how it goes."""

    def judge(recipe: Recipe, reported: Reported) -> Answers:
        where = ground if recipe.tune is None else trainings
        return where.score(recipe, search.space.key(recipe), reported)

    lowest = min((trial.loss for trial in search.told if trial.loss is not None), default=None)
    if search.told:
        run.say(f"{counted(len(search.told), 'trial')} of an earlier run")
    with (
        run.watch("search") as hear,
        run.progress("trying recipes", limits.trials) as advance,
    ):
        advance(len(search.told))
        for trial in search.run(judge, limits, cores=run.cores):
            advance(1)
            if trial.loss is not None and trial.accuracy is not None:
                better = lowest is None or trial.loss < lowest
                lowest = trial.loss if better else lowest
                hear(
                    Pass(
                        name=f"trial {trial.number}",
                        knob=float(trial.number),
                        train_loss=float("nan"),
                        val_loss=trial.loss,
                        val_accuracy=trial.accuracy.value,
                        best=better,
                    )
                )


def _best(trials: Sequence[Trial]) -> Trial:
    done = [trial for trial in trials if trial.loss is not None]
    if not done:
        raise BadData(
            f"none of {counted(len(trials), 'trial')} came to an end: "
            f"{next((trial.why for trial in trials if trial.why), 'all were given up')}"
        )
    return min(done, key=lambda trial: (trial.loss, trial.number))


def _tested(recipe: Recipe, material: TrialMaterial, space: Space) -> Answers:
    """Return what the recipe's finished head answers for the test photos."""
    part = material.collected[space.key(recipe)]
    labels = part.manifest.labels
    fitted = fit(part.usable, part.features_ND, labels, recipe, seen=material.seen)
    truth = [labels.index(part.usable[row].label or "") for row in fitted.tested_M.tolist()]
    return Answers.of(fitted.tested_MK, np.array(truth))


def _answered(bundle: Bundle, dataset: Dataset, material: TrialMaterial, run: Run) -> Answers:
    """Return what a model with a trained network answers for the test photos, all in their order.

    Raises:
        BadData: a photo that could be read before no longer can.
    """
    part = next(iter(material.collected.values()))
    photos, labels = for_test(part.usable), part.manifest.labels
    rows = evaluate_model(bundle, dataset, run).rows
    places = {path: row for row, path in enumerate(rows.paths)}
    if missing := next((photo.path for photo in photos if photo.path not in places), None):
        raise BadData(f"{missing} could be read before and no longer can; run the command again.")
    truth_N = np.array([labels.index(photo.label or "") for photo in photos])
    return Answers.of(rows.probs_NK[[places[photo.path] for photo in photos]], truth_N)
