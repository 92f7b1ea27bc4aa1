"""Several processes of one command → the first one, which works as ever, and others that help."""

from collections.abc import Iterator
from contextlib import contextmanager

from fursure.dataset.labelled import Data, dataset_of
from fursure.errors import FursureError, counted
from fursure.recipe import Recipe
from fursure.run import Run
from fursure.together.launch import Launched, launched


@contextmanager
def gathered(data: Data, recipe: Recipe, run: Run, *, trains: bool = True) -> Iterator[bool]:
    """Yield whether this process is the one to work; the others have then helped it, and are done.

    Where `torchrun` started one process or none, it is. A command that ``trains`` no network
    gains nothing by more than one, so there the first one works alone.

    Raises:
        TeamFailed: the processes cannot train together, or one of them has ended.
    """
    mine = launched()
    first = mine.rank == 0
    if mine.size == 1:
        yield True
    elif recipe.tune is None or not trains:
        if first:
            run.say(
                f"{counted(mine.size, 'process', 'processes')} were started, and one works: "
                "only training of the network itself is shared, as recipe fine-tune does it"
            )
        yield first
    else:
        with _team(mine, data, run):
            yield first


@contextmanager
def _team(mine: Launched, data: Data, run: Run) -> Iterator[None]:
    from fursure.finetuning.sharing import help_train
    from fursure.together.team import formed

    with formed(mine) as team:
        if team.is_first:
            yield
            team.hand_out(None)
            return
        try:
            help_train(dataset_of(data), run, team)
        except FursureError as error:
            error.args = (f"process {mine.rank + 1} of {mine.size}: {error}",)
            raise
        yield
