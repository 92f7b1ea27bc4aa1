"""What a test starts, by torchrun or alone: it trains a tiny network, and tells its losses.

`python team_member.py TASK FOLDER`.
"""

import json
import os
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from test_finetuning_checkpoint import OF, RANDOM
from test_finetuning_trainer import Net, model_of, photos_of, shaken

from fursure.errors import TeamFailed
from fursure.finetuning.checkpoint import load_checkpoint, save_checkpoint
from fursure.finetuning.state import State
from fursure.finetuning.trainer import Step, Trainer
from fursure.together import team as teams
from fursure.together.launch import launched
from fursure.together.team import ALONE, Team, formed

# Odd: of as many cats as dogs the first gradient of the bias is nothing but rounding, and AdamW
# makes a whole step of that, in any direction.
BATCH = 11
SETTINGS = {  # every kind of chance; and BatchNorm that has to see the photos of all
    "frozen": replace(RANDOM, batch=BATCH),
    "live": replace(RANDOM, batch=BATCH, batch_norm="live"),
    "timed": replace(RANDOM, batch=BATCH, minutes=0.02, patience=999),
}
DIES_AT = 9  # step of the second process, counted from the first one


def trainer_of(kind: str, team: Team) -> Trainer:
    net = shaken(Net())
    if kind == "live":  # it takes any bias in front of it away: rounding alone would move that
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.bias = None
    model = model_of(net, dropout=SETTINGS[kind].dropout)
    return Trainer(photos_of((25, 24)), SETTINGS[kind], State.of(model), seed=3, team=team)


def curve(trainer: Trainer) -> dict[str, Any]:
    """Return the loss of every step, and what each validation said."""
    events = list(trainer)
    return {
        "losses": [float(event.loss) for event in events if isinstance(event, Step)],
        "epochs": [asdict(event) for event in trainer.state.epochs],
    }


def curves(folder: Path, team: Team) -> None:
    found = {kind: curve(trainer_of(kind, team)) for kind in SETTINGS}
    (folder / f"curves {team.launched.rank} of {team.size}.json").write_text(json.dumps(found))


def resumed(folder: Path, team: Team, *, dies: bool) -> None:
    """Train on from the checkpoints in ``folder``, saving after each step as the first process."""
    trainer, done = trainer_of("frozen", team), 0
    kept = load_checkpoint(folder / "checkpoints", of=OF)
    if kept is not None:
        trainer.state.restore(*kept)
        trainer.resumed = kept[0]
    for event in trainer:
        if not isinstance(event, Step):
            continue
        done += 1
        if dies and done == DIES_AT and not team.is_first:
            os.kill(os.getpid(), signal.SIGKILL)
        if team.is_first:
            state = trainer.state
            save_checkpoint(folder / "checkpoints", state.tensors(), state.note(), of=OF)
            with (folder / "losses.txt").open("a") as file:
                file.write(f"{float(event.loss)!r}\n")


def silent(team: Team) -> None:
    """Let the second process do nothing while the first one waits for its share."""
    if not team.is_first:
        time.sleep(60)
    team.add([torch.ones(3)])


def main(task: str, folder: Path) -> None:
    mine = launched()
    if task == "silent":
        teams.PATIENCE = timedelta(seconds=2)
    torch.set_num_threads(1)
    with formed(mine) if mine.size > 1 else nullcontext(ALONE) as team:
        match task:
            case "curves":
                curves(folder, team)
            case "dies" | "goes-on":
                resumed(folder, team, dies=task == "dies")
            case "silent":
                silent(team)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except TeamFailed as error:
        sys.stderr.write(f"process {launched().rank + 1}: {error}\n")
        sys.exit(1)
