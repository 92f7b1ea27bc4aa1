"""A classifier and squares of photos → a trained classifier, one epoch at a time.

The loop is plain and yields: a `Step` after each step, an `Epoch` after each validation. Whoever
calls it prints, saves and stops. What a step does depends on the settings, the photos and the
`State` alone, so a run that was killed and continued ends, on a CPU, in the same bits as one that
was not (a budget of minutes excepted).

Dimension key: N photos of training, V of validation, B of a batch, K classes, H W height and
width (pixels), C colours.
"""

import math
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fursure.errors import TrainingDiverged
from fursure.finetuning.augment import Augment, normalised
from fursure.finetuning.classifier import arithmetic, groups, unfreeze
from fursure.finetuning.mixing import mixed
from fursure.finetuning.schedule import Schedule, warm_cosine
from fursure.finetuning.state import Epoch, Place, State, holding_weights, put, weights
from fursure.heads.heads import class_weights
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune
from fursure.sureness.calibration import fit_temperature

VALIDATED = 64  # photos at once where nothing is kept for the way back
_LOOKED_AT = 16  # steps between two looks at the loss of a GPU, which has to wait for each

_Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPhotos:
    """What is learned from and what it is measured on."""

    squares_NHWC: NDArray[np.uint8]  # of training, somewhat larger than inputs; may lie on disk
    labels_N: _Rows
    inputs_VHWC: NDArray[np.uint8]  # of validation, as the finished classifier will see them
    labels_V: _Rows
    preprocess: Preprocess


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
    ) -> None:
        self.photos, self.settings, self.state, self.seed = photos, settings, state, seed
        self.device = next(state.model.parameters()).device
        self.schedule = schedule or warm_cosine(settings.warmup)
        self.augment = Augment.of(settings, photos.preprocess, seed)
        self.kind = arithmetic(settings.precision, self.device)
        self.steps = max(1, len(photos.labels_N) // settings.batch)  # a pass
        classes = len(state.model.layers().dense[-1].bias_K)
        balanced = settings.class_weight != "none"
        weight_K = class_weights(photos.labels_N, classes, balanced=balanced)
        self.weight_K = torch.from_numpy(weight_K).to(self.device)
        self.resumed: dict[str, Tensor] = {}  # moments of the optimizer that is yet to be made
        self.unread: list[Tensor] = []  # losses since the last look at them
        self.look_every = 1 if self.device.type == "cpu" else _LOOKED_AT  # steps
        state.model.live = settings.batch_norm == "live"

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
        """Return the share of the present stage that is done: of its steps, or of its time."""
        place, stages = self.state.place, self.settings.stages
        stage = stages[place.stage]
        steps = (place.epoch * self.steps + place.step) / (stage.epochs * self.steps)
        if self.settings.minutes is None:
            return steps
        left = self.settings.minutes * 60 - place.began
        share = stage.epochs / sum(stage.epochs for stage in stages[place.stage :])
        return max(steps, (place.seconds - place.began) / (left * share) if left > 0 else 1.0)

    def _pass(self, reader: ThreadPoolExecutor) -> Iterator[Step]:
        """Train on every photo once, or until the stage's time is up."""
        place = self.state.place
        order_N = self._order()
        waiting = self._read(reader, order_N, place.step)
        while place.step < self.steps and self._progress() < 1:
            began = time.monotonic()
            draws_B, squares = waiting.result()
            waiting = self._read(reader, order_N, place.step + 1)
            rate = self._set_rates()
            loss = self._step(draws_B, squares)
            place.step += 1
            place.seconds += time.monotonic() - began
            yield Step(loss, rate, self._done())
        waiting.result()

    def _order(self) -> _Rows:
        """Return the draws of this pass in their order; balanced: so many of each class.

        A draw is a row; drawn again it is that many rows further, so that it is changed anew.
        """
        labels_N, generator = self.photos.labels_N, self._generator(0)
        if self.settings.sampling == "shuffled":
            return generator.permutation(len(labels_N))
        classes = np.unique(labels_N)
        each = -(-len(labels_N) // len(classes))
        drawn = []
        for label in classes:
            rows = generator.permutation(np.flatnonzero(labels_N == label))
            again = np.arange(each) // len(rows) * len(labels_N)
            drawn.append(np.resize(rows, each) + again)
        return generator.permutation(np.concatenate(drawn))[: len(labels_N)]

    def _read(
        self, reader: ThreadPoolExecutor, order_N: _Rows, step: int
    ) -> Future[tuple[_Rows, Tensor]]:
        batch = self.settings.batch
        draws_B = order_N[step * batch : (step + 1) * batch]
        draws_B = draws_B[np.argsort(self._rows(draws_B), kind="stable")]  # in the order on disk

        def read() -> tuple[_Rows, Tensor]:
            squares = torch.from_numpy(self.photos.squares_NHWC[self._rows(draws_B)])
            return draws_B, squares.pin_memory() if self.device.type == "cuda" else squares

        return reader.submit(read)

    def _rows(self, draws_B: _Rows) -> _Rows:
        return draws_B % len(self.photos.labels_N)

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

    def _step(self, draws_B: _Rows, squares: Tensor) -> Tensor:
        """Change the weights by one batch; where memory is short, in more and smaller parts."""
        place, optimizer = self.state.place, self.state.optimizer
        assert optimizer is not None  # noqa: S101 - the stage has begun
        while True:
            try:
                loss = self._gradients(draws_B, squares)
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or place.parts >= len(draws_B):
                    raise
                place.parts = min(2 * place.parts, len(draws_B))
                optimizer.zero_grad(set_to_none=True)
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
        losses = [float(loss) for loss in self.unread]
        self.unread = []
        if not all(map(math.isfinite, losses)):
            step = min(place.step + 1, self.steps)  # after the last one nothing is begun
            stage, rate = place.stage + 1, self.settings.stages[place.stage].rate
            raise TrainingDiverged(stage=stage, epoch=place.epoch + 1, step=step, rate=rate)
        place.total += sum(losses)

    def _gradients(self, draws_B: _Rows, squares: Tensor) -> Tensor:
        """Return the loss of a batch, its gradients left in the weights."""
        place, model = self.state.place, self.state.model
        number = place.stage * 1000 + place.epoch
        total = torch.zeros((), device=self.device)
        generator = self._generator(1 + place.step)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(generator.integers(2**62)))  # of dropout
            for part in np.array_split(np.arange(len(draws_B)), place.parts):
                there = squares[part].to(self.device, non_blocking=True)
                x_BCHW = self.augment(there, draws_B[part].tolist(), number)
                targets_BK = self._targets(self.photos.labels_N[self._rows(draws_B[part])])
                x_BCHW, targets_BK = mixed(
                    x_BCHW,
                    targets_BK,
                    mixup=self.settings.mixup,
                    cutmix=self.settings.cutmix,
                    generator=generator,
                )
                with torch.autocast(self.device.type, self.kind, self.kind != torch.float32):
                    logits_BK = model(x_BCHW)
                log_probs_BK = functional.log_softmax(logits_BK.float(), dim=1)
                losses_B = -(targets_BK * self.weight_K * log_probs_BK).sum(dim=1)
                loss = losses_B.sum() / len(draws_B)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        return total

    def _targets(self, labels_B: _Rows) -> Tensor:
        classes, smoothing = len(self.weight_K), self.settings.label_smoothing
        labels = torch.from_numpy(labels_B).to(self.device, non_blocking=True)
        sharp_BK = functional.one_hot(labels, classes).float()
        return sharp_BK * (1 - smoothing) + smoothing / classes

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
            logits_VK = self._logits()
        state.model.train()
        labels_V = torch.from_numpy(self.photos.labels_V)
        sharpness = 1 / self._temperature(logits_VK)
        losses_V = functional.cross_entropy(sharpness * logits_VK, labels_V, reduction="none")
        val_loss = float(losses_V.mean())
        lowest = val_loss < place.best_loss
        kept = lowest or (self._progress() >= 1 and state.as_good(losses_V))
        if lowest:
            place.best_loss, state.lowest_V = val_loss, losses_V
        if kept:
            put(state.best, state.mean)
        place.seconds += time.monotonic() - began
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

    def _temperature(self, logits_VK: Tensor) -> float:
        """Return what the answers are divided by before they are judged, as in the finished model.

        Blended photos and smoothed labels leave a network less sure than it is right. Judged
        without a temperature it never beats the head it began with.
        """
        if not bool(logits_VK.isfinite().all()):
            return 1.0
        return fit_temperature(logits_VK.numpy(), self.photos.labels_V)

    @torch.inference_mode()
    def _logits(self) -> Tensor:
        parts = []
        for start in range(0, len(self.photos.labels_V), VALIDATED):
            inputs = torch.tensor(self.photos.inputs_VHWC[start : start + VALIDATED])
            x_NCHW = inputs.to(self.device).permute(0, 3, 1, 2).float().div_(255)
            with torch.autocast(self.device.type, self.kind, self.kind != torch.float32):
                parts.append(self.state.model(normalised(x_NCHW, self.photos.preprocess)))
        return torch.cat(parts).float().cpu()

    def _done(self) -> float:
        epochs = [stage.epochs for stage in self.settings.stages]
        place = self.state.place
        before, here = sum(epochs[: place.stage]), epochs[place.stage]
        return (before + here * min(1.0, self._progress())) / sum(epochs)

    def _generator(self, use: int) -> np.random.Generator:
        """Return the source of chance for one use in one pass: its order, or one of its steps."""
        place = self.state.place
        key = np.array([self.seed % 2**63, place.stage * 1000 + place.epoch], np.uint64)
        counter = np.array([0, 0, 0, use], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _out_of_memory(error: Exception) -> bool:
    short = isinstance(error, torch.OutOfMemoryError)
    return short or "can't allocate memory" in str(error)  # what the CPU's allocator says
