"""A batch → its loss, and its gradients in the weights; photos of validation → logits.

Photos go to the device as uint8, in copies that nothing waits for; they are changed, normalised and
seen there.

Dimension key: V photos of validation, B photos of a batch, P photos of a part of it, K classes,
C colours, H W height and width (pixels).
"""

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fursure.errors import TeamFailed
from fursure.finetuning.augment import Augment, normalised, sent
from fursure.finetuning.batches import Batch, RowNumbers, TrainingPhotos
from fursure.finetuning.classifier import Classifier, arithmetic
from fursure.heads.heads import class_weights
from fursure.recipe import FineTune
from fursure.together.norms import NormsTogether
from fursure.together.team import Team

VALIDATED = 64  # photos at once where nothing is kept for the way back


class Learner:
    """A classifier on its device, and how it looks at photos."""

    def __init__(
        self, model: Classifier, photos: TrainingPhotos, settings: FineTune, seed: int, team: Team
    ) -> None:
        self.model, self.photos, self.settings, self.team = model, photos, settings, team
        self.device = next(model.parameters()).device
        self.augment = Augment.of(settings, photos.preprocess, seed)
        self.kind = arithmetic(settings.precision, self.device)
        self.validated = VALIDATED  # photos at once; fewer once memory was short
        classes = len(model.layers().dense[-1].bias_K)
        balanced = settings.class_weight != "none"
        weight_K = class_weights(photos.labels_N, classes, balanced=balanced)
        self.weight_K = torch.from_numpy(weight_K).to(self.device)
        model.live = settings.batch_norm == "live"

    def gradients(self, batch: Batch, number: int, parts: int) -> tuple[Tensor, int]:
        """Return the loss of this process's share of a batch, and in how many parts it went.

        Its gradients are added to the weights'. Only as many ``parts`` are made as there are
        photos, and where it took too much memory, twice as many from there on.
        """
        share = len(batch.mine)
        while True:
            parts = min(parts, share)
            loss = self._tried(batch, number, parts, last=parts == share)
            if loss is not None:
                return loss, parts
            parts *= 2
            torch.cuda.empty_cache()  # nothing, where there is no GPU

    def _tried(self, batch: Batch, number: int, parts: int, *, last: bool) -> Tensor | None:
        """Return the loss; None, and no gradients, where memory ran out, unless it is the last."""
        try:
            return self._loss(batch, number, parts)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if last or not _is_out_of_memory(error):
                raise
            if self.model.live and self.team.size > 1:  # the others wait for its statistics
                raise TeamFailed(
                    f"memory was too short for {len(batch.mine)} photos at once, and BatchNorm "
                    "that follows the photos of several processes needs them so; try a smaller "
                    "--batch, or more processes."
                ) from error
        self.model.zero_grad(set_to_none=True)
        return None

    def _loss(self, batch: Batch, number: int, parts: int) -> Tensor:
        total = torch.zeros((), device=self.device)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            for part in np.array_split(batch.mine, parts):
                torch.manual_seed(batch.seed)  # of dropout, which draws for the whole batch
                self.model.place_in_batch(len(batch.draws_B), slice(part[0], part[-1] + 1))
                x_PCHW, targets_PK = self._seen(batch, part, number)
                with self._arithmetic(), self._norms():
                    logits_PK = self.model(x_PCHW)
                log_probs_PK = functional.log_softmax(logits_PK.float(), dim=1)
                losses_P = -(targets_PK * self.weight_K * log_probs_PK).sum(dim=1)
                loss = losses_P.sum() / len(batch.draws_B)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        return total

    def _seen(self, batch: Batch, part: RowNumbers, number: int) -> tuple[Tensor, Tensor]:
        """Return a part of the batch as it is learned: inputs (P, 3, H, W) and targets (P, K)."""
        needed = batch.needed(part)
        squares = batch.pixels(needed).to(self.device, non_blocking=True)
        x = self.augment(squares, batch.draws_B[needed].tolist(), number)
        targets_PK = self._targets(batch.labels_B[part])
        if batch.mix is None:
            return x, targets_PK
        other = batch.mix.other_B[part]
        own_P, other_P = (
            sent(np.searchsorted(needed, rows), self.device) for rows in (part, other)
        )
        own = x if len(needed) == len(part) else x[own_P]
        x_PCHW = batch.mix.photos(own, x[other_P]).contiguous(memory_format=torch.channels_last)
        return x_PCHW, batch.mix.targets(targets_PK, self._targets(batch.labels_B[other]))

    def _targets(self, labels_P: RowNumbers) -> Tensor:
        classes, smoothing = len(self.weight_K), self.settings.label_smoothing
        sharp_PK = functional.one_hot(sent(labels_P, self.device), classes).float()
        return sharp_PK * (1 - smoothing) + smoothing / classes

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.kind, self.kind != torch.float32)

    def _norms(self) -> AbstractContextManager[object]:
        return NormsTogether() if self.model.live and self.team.size > 1 else nullcontext()

    @torch.inference_mode()
    def logits(self) -> Tensor:
        """Return those of all photos of validation (V, K), on the CPU; each process sees a few."""
        rows = len(self.photos.labels_V)
        mine = range(rows)[self.team.share(rows)]
        parts = [torch.zeros(0, len(self.weight_K))]
        at = mine.start
        while at < mine.stop:
            end = min(at + self.validated, mine.stop)
            try:
                parts.append(self._answers(slice(at, end)))
                at = end
                continue
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if self.validated == 1 or not _is_out_of_memory(error):
                    raise
            self.validated //= 2
            torch.cuda.empty_cache()
        return self.team.joined(torch.cat(parts), rows)

    def _answers(self, rows: slice) -> Tensor:
        inputs = torch.tensor(self.photos.inputs_VHWC[rows])
        x_NCHW = inputs.to(self.device).permute(0, 3, 1, 2).float().div_(255)
        with self._arithmetic():
            logits_NK: Tensor = self.model(normalised(x_NCHW, self.photos.preprocess))
        return logits_NK.float().cpu()


def _is_out_of_memory(error: Exception) -> bool:
    short = isinstance(error, torch.OutOfMemoryError)
    return short or "can't allocate memory" in str(error)  # what the CPU's allocator says
