"""Everything that changes while a network trains, and its way into plain tensors and back."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from fursure.finetuning.classifier import Classifier
from fursure.run import Pass

Tensors = dict[str, Tensor]

_LOWEST = "lowest/losses"  # among the tensors of a state


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass done, and what the averaged weights then answer for validation."""

    stage: int  # from 1
    number: int  # of the pass within the stage, from 1; 0 is before the first
    train_loss: float  # nats per photo, on augmented photos
    val_loss: float  # nats per photo, at the temperature that suits these answers
    val_accuracy: float
    best: bool  # whether these weights were kept
    seconds: float  # since the training began, interruptions left out

    def passed(self) -> Pass:
        """Return what a person who waits is told of it."""
        which = f"pass {self.number}" if self.number else "before the first pass"
        return Pass(
            name=f"stage {self.stage}, {which}",
            knob=float(self.number),
            train_loss=self.train_loss,
            val_loss=self.val_loss,
            val_accuracy=self.val_accuracy,
            best=self.best,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what was not measured is null."""
        values = asdict(self)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a training is; plain numbers."""

    stage: int = 0
    epoch: int = 0  # passes of this stage that are done
    step: int = 0  # steps of this pass that are done
    total: float = 0.0  # sum over this pass's steps of their loss, nats per photo
    stale: int = 0  # passes of this stage since the best one
    best_loss: float = math.inf  # nats per photo, on validation: the lowest so far
    began: float = 0.0  # seconds of training before this stage
    seconds: float = 0.0  # of training so far
    parts: int = 1  # in which a batch is worked on; more once memory was short
    finished: bool = False


@dataclass(slots=True, kw_only=True)
class State:
    """A training under way: its weights, their average, the best ones, and the place."""

    model: Classifier
    mean: Tensors
    best: Tensors
    lowest_V: Tensor | None = None  # nats of each photo of validation, in the pass that had least
    optimizer: torch.optim.Optimizer | None = None  # of the present stage
    place: Place = field(default_factory=Place)
    epochs: list[Epoch] = field(default_factory=list)

    @classmethod
    def of(cls, model: Classifier) -> "State":
        """Return the state before the first step."""
        return cls(model=model, mean=copied(weights(model)), best=copied(weights(model)))

    def as_good(self, losses_V: Tensor) -> bool:
        """Return whether weights with these ``losses_V`` beat the start and may be the best.

        They may where they are worse by at most one standard error of the paired difference, the
        rule of one standard error (Breiman et al., 1984).
        """
        if not self.epochs or self.lowest_V is None or len(losses_V) < 2:
            return False
        worse_V = losses_V - self.lowest_V
        error = float(worse_V.std()) / math.sqrt(len(worse_V))
        better = float(losses_V.mean()) < self.epochs[0].val_loss
        return better and float(worse_V.mean()) <= error

    def tensors(self) -> Tensors:
        """Return every tensor of the state under a name of its own."""
        tensors = {
            f"{kind}/{name}": tensor
            for kind, named in (
                ("model", weights(self.model)),
                ("mean", self.mean),
                ("best", self.best),
            )
            for name, tensor in named.items()
        }
        if self.lowest_V is not None:
            tensors[_LOWEST] = self.lowest_V
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        if self.optimizer is not None:
            for parameter, values in self.optimizer.state.items():
                for key, tensor in values.items():
                    tensors[f"adam.{key}/{names[id(parameter)]}"] = tensor
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def note(self) -> dict[str, Any]:
        """Return the rest of the state as plain values."""
        return {"place": asdict(self.place), "epochs": [asdict(epoch) for epoch in self.epochs]}

    def restore(self, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
        """Take up a state where `tensors` and `note` left it.

        The optimizer's moments wait until its stage begins: `restore_optimizer`.
        """
        self.place = Place(**note["place"])
        self.epochs = [Epoch(**values) for values in note["epochs"]]
        self.lowest_V = tensors.get(_LOWEST)  # an older version did not save it
        for kind, named in (
            ("model", weights(self.model)),
            ("mean", self.mean),
            ("best", self.best),
        ):
            put(named, {name: tensors[f"{kind}/{name}"] for name in named})

    def restore_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the optimizer of the present stage its moments back."""
        assert self.optimizer is not None  # noqa: S101 - the stage has just begun
        named = dict(self.model.named_parameters())
        for key, tensor in tensors.items():
            kind, _, name = key.partition("/")
            if kind.startswith("adam."):
                weight, moment = named[name], kind.removeprefix("adam.")
                # a fused AdamW walks weights and moments in one order: they must lie alike
                like = tensor.to(weight.device) if moment == "step" else torch.empty_like(weight)
                self.optimizer.state[weight][moment] = like.copy_(tensor)


def weights(model: Classifier) -> Tensors:
    """Return the tensors that training may change: parameters and statistics, not counters."""
    return {
        name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()
    }


def copied(named: Tensors) -> Tensors:
    """Return a copy of each tensor."""
    return {name: tensor.detach().clone() for name, tensor in named.items()}


@torch.no_grad()
def put(into: Tensors, values: Mapping[str, Tensor]) -> None:
    """Overwrite the tensors ``into`` with ``values``, in place."""
    for name, tensor in into.items():
        tensor.copy_(values[name])


@contextmanager
def holding_weights(model: Classifier, values: Tensors) -> Iterator[None]:
    """Let ``model`` have other weights for a while."""
    own = copied(weights(model))
    put(weights(model), values)
    try:
        yield
    finally:
        put(weights(model), own)
