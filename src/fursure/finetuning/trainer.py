"""A classifier and squares of photos → a trained classifier, one epoch at a time.

The loop is plain and yields: a `Step` after each step, an `Epoch` after each validation. Whoever
calls it prints, saves and stops. What a step does depends on the settings, the photos and the
`State` alone, so a run that was killed and continued ends, on a CPU, in the same bits as one that
was not (a budget of minutes excepted).

Of several processes each runs the same loop on its share of every batch. Their gradients are added
up, so all of them have the same weights at any step, and come to the same decisions.

Dimension key: V photos of validation, K classes.
"""

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fursure.errors import TeamFailed, TrainingDiverged
from fursure.finetuning.batches import Batch, Batches, TrainingPhotos
from fursure.finetuning.classifier import groups, unfreeze
from fursure.finetuning.learner import Learner
from fursure.finetuning.schedule import Schedule, stage_done, training_done, warm_cosine
from fursure.finetuning.state import Epoch, Place, State, holding_weights, put, weights
from fursure.recipe import FineTune
from fursure.sureness.calibration import fit_temperature
from fursure.together.team import ALONE, Team

_LOOKED_AT = 16  # steps between two looks at the loss of a GPU, which has to wait for each


@dataclass(frozen=True, slots=True)
class Step:
    """One step done."""

    loss: Tensor  # nats per photo, on augmented photos; on its device, so reading it may wait
    rate: float  # of the head
    done: float  # share of the whole training, from 0 to 1


class Trainer:
    """One training: photos, settings and the state that they change."""

    def __init__(
        self,
        photos: TrainingPhotos,
        settings: FineTune,
        state: State,
        *,
        seed: int,
        schedule: Schedule | None = None,
        team: Team = ALONE,
    ) -> None:
        self.photos, self.settings, self.state, self.team = photos, settings, state, team
        self.learner = Learner(state.model, photos, settings, seed, team)
        on_cpu = self.learner.device.type == "cpu"
        self.batches = Batches(
            photos=photos,
            settings=settings,
            seed=seed,
            side=self.learner.augment.preprocess.size,
            team=team,
            pinned=self.learner.device.type == "cuda",
        )
        self.schedule = schedule or warm_cosine(settings.warmup)
        self.steps = self.batches.steps  # a pass
        self.resumed: dict[str, Tensor] = {}  # moments of the optimizer that is yet to be made
        self.unread: list[Tensor] = []  # losses since the last look at them
        self.look_every = 1 if on_cpu else _LOOKED_AT  # steps
        _check_shares(min(settings.batch, len(photos.labels_N)), team)

    def __iter__(self) -> Iterator[Step | Epoch]:
        """Train from where the state is to the end of the last stage.

        Raises:
            TrainingDiverged: the loss is no number any more; the state's best weights are good.
        """
        with ThreadPoolExecutor(1) as reader:
            if not self.state.epochs:
                yield self._validated()  # so that the start is kept, should nothing beat it
            while self.state.place.stage < len(self.settings.stages):
                self._begin_stage()
                while not self._stage_is_over():
                    yield from self._pass(reader)
                    yield self._validated()
                self._end_stage()
        self.state.place.finished = True

    def _begin_stage(self) -> None:
        stage = self.settings.stages[self.state.place.stage]
        unfreeze(self.state.model, stage.part)
        self.state.model.train()
        chosen = groups(
            self.state.model,
            stage,
            layer_decay=self.settings.layer_decay,
            weight_decay=self.settings.weight_decay,
        )
        self.state.optimizer = torch.optim.AdamW(chosen, fused=True)
        self.state.restore_optimizer(self.resumed)
        self.resumed = {}
        for group in self.state.optimizer.param_groups:
            group["peak"] = group["lr"]

    def _stage_is_over(self) -> bool:
        place = self.state.place
        if place.step:  # stopped between a pass's steps and its validation
            return False
        return self._progress() >= 1 or place.stale >= self.settings.patience

    def _end_stage(self) -> None:
        """Go on with the best weights so far."""
        state, old = self.state, self.state.place
        put(weights(state.model), state.best)
        put(state.mean, state.best)
        state.optimizer = None
        state.place = Place(
            stage=old.stage + 1,
            best_loss=old.best_loss,
            began=old.seconds,
            seconds=old.seconds,
            parts=old.parts,
        )

    def _progress(self) -> float:
        return stage_done(self.state.place, self.settings, self.steps)

    def _pass(self, reader: ThreadPoolExecutor) -> Iterator[Step]:
        """Train on every photo once, or until the stage's time is up."""
        place, number = self.state.place, self._number()
        order_N = self.batches.order(number)

        def read(step: int) -> Future[Batch]:
            return reader.submit(self.batches.read, order_N, number, step)

        waiting = read(place.step)
        while place.step < self.steps and self._progress() < 1:
            began = time.monotonic()
            batch = waiting.result()
            waiting = read(place.step + 1)
            rate = self._set_rates()
            loss = self._step(batch)
            place.step += 1
            self._add_time(began)
            yield Step(loss, rate, training_done(place, self.settings, self.steps))
        waiting.result()

    def _set_rates(self) -> float:
        """Set each group's rate, and return that of the head."""
        done = self._progress()
        if self.settings.minutes is None:  # the first step's rate is not zero
            stage = self.settings.stages[self.state.place.stage]
            done += 1 / (stage.epochs * self.steps)
        share = self.schedule(done)
        assert self.state.optimizer is not None  # noqa: S101 - the stage has begun
        for group in self.state.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        return float(self.state.optimizer.param_groups[-1]["lr"])

    def _step(self, batch: Batch) -> Tensor:
        """Change the weights by one batch; where memory is short, in more and smaller parts."""
        place, optimizer = self.state.place, self.state.optimizer
        assert optimizer is not None  # noqa: S101 - the stage has begun
        loss, parts = self.learner.gradients(batch, self._number(), place.parts)
        place.parts = max(place.parts, parts)  # the last batch of all may be a small one
        learning = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.team.add([loss, *(weight.grad for weight in learning if weight.grad is not None)])
        self.unread.append(loss)
        if place.step % self.look_every == 0:
            self._look()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self._average()
        return loss

    def _look(self) -> None:
        """Add up the losses since the last look."""
        place = self.state.place
        losses = torch.stack(self.unread).tolist() if self.unread else []
        self.unread = []
        if not all(map(math.isfinite, losses)):
            step = min(place.step + 1, self.steps)  # after the last one nothing is begun
            stage, rate = place.stage + 1, self.settings.stages[place.stage].rate
            raise TrainingDiverged(stage=stage, epoch=place.epoch + 1, step=step, rate=rate)
        place.total += sum(losses)

    def _average(self) -> None:
        """Move the averaged weights towards the present ones, at first quicker."""
        place = self.state.place
        steps = place.epoch * self.steps + place.step
        decay = min(self.settings.ema, (1 + steps) / (10 + steps))
        now = list(weights(self.state.model).values())
        with torch.no_grad():
            torch._foreach_lerp_(list(self.state.mean.values()), now, 1 - decay)

    def _validated(self) -> Epoch:
        """Measure the averaged weights, keep them if they are good, and end the pass.

        Those with the lowest loss are; and the last of a stage, unless they are worse than chance
        explains: there the rate has fallen, and few photos of validation often prefer a pass that
        had hardly learned.
        """
        state, place, began = self.state, self.state.place, time.monotonic()
        self._look()
        first = not state.epochs
        state.model.eval()
        with holding_weights(state.model, state.mean):
            logits_VK = self.learner.logits()
        state.model.train()
        labels_V = torch.from_numpy(self.photos.labels_V)
        sharpness = 1 / _temperature(logits_VK, labels_V)
        losses_V = functional.cross_entropy(sharpness * logits_VK, labels_V, reduction="none")
        self.team.as_first([losses_V])  # another kind of processor may differ by a bit
        val_loss = float(losses_V.mean())
        lowest = val_loss < place.best_loss
        kept = lowest or (self._progress() >= 1 and state.as_good(losses_V))
        if lowest:
            place.best_loss, state.lowest_V = val_loss, losses_V
        if kept:
            put(state.best, state.mean)
        self._add_time(began)
        steps, place.stale = place.step, 0 if lowest or first else place.stale + 1
        train_loss = place.total / steps if steps else math.nan
        place.step, place.total = 0, 0.0
        place.epoch += not first
        epoch = Epoch(
            stage=place.stage + 1,
            number=place.epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=float((logits_VK.argmax(dim=1) == labels_V).float().mean()),
            best=kept,
            seconds=place.seconds,
        )
        state.epochs.append(epoch)
        return epoch

    def _number(self) -> int:
        """Return the number of the pass, among those of all stages."""
        return self.state.place.stage * 1000 + self.state.place.epoch

    def _add_time(self, began: float) -> None:
        """Count the seconds since ``began``; where they end a stage, all by one clock."""
        place = self.state.place
        place.seconds += time.monotonic() - began
        if self.settings.minutes is not None:
            place.seconds = self.team.agreed(place.seconds)


def _check_shares(photos: int, team: Team) -> None:
    if photos < team.size:
        raise TeamFailed(
            f"a batch has {photos} photos, too few for {team.size} processes to share: start "
            f"{photos} at most, or ask for a larger --batch, which is that of all together."
        )


def _temperature(logits_VK: Tensor, labels_V: Tensor) -> float:
    """Return what the answers are divided by before they are judged, as in the finished model.

    Blended photos and smoothed labels leave a network less sure than it is right. Judged without a
    temperature it never beats the head it began with.
    """
    if not bool(logits_VK.isfinite().all()):
        return 1.0
    return fit_temperature(logits_VK.numpy(), labels_V.numpy())
