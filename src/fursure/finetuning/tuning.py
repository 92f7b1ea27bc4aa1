"""Collected photos and a network of torch → a tuned backbone and its head.

Dimension key: N photos of training, V of validation, D features, K classes.
"""

import ctypes
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fursure.backbones.backbone import Backbone
from fursure.dataset.listing import Source
from fursure.errors import BadData, TrainingDiverged
from fursure.features.collect import Collected
from fursure.finetuning.batch_norm import unhurry
from fursure.finetuning.checkpoint import load_checkpoint, save_checkpoint
from fursure.finetuning.classifier import Classifier
from fursure.finetuning.sharing import TrainingJob, model_for, prepared, trainer_for
from fursure.finetuning.state import Epoch, State, Tensors, copied, put, weights
from fursure.finetuning.trainer import Step, Trainer
from fursure.graphs.graph import half_precision
from fursure.graphs.layers import Layers
from fursure.home import folder_for
from fursure.networks.export import export_network
from fursure.photos.preprocess import Preprocess
from fursure.recipe import Recipe
from fursure.splitting.split import half
from fursure.together.team import present_team

SAVE_EVERY = 60.0  # seconds between two checkpoints: what a kill can cost

APART = 0x9E3779B1  # between the seeds of two runs: no user counts so far
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h

Listen = Callable[[Step | Epoch], None]
Leaving = Callable[[Iterable[Path]], object]  # hears of files to remove once all is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A network that was trained: what it now sees in a photo, and what it makes of it."""

    backbone: Backbone
    head: Layers
    epochs: tuple[Epoch, ...]
    notes: tuple[str, ...]


def train_network(
    source: Source,
    collected: Collected,
    recipe: Recipe,
    origin: Backbone,
    start: Layers,
    *,
    threads: int,
    listen: Listen,
    leaving: Leaving,
    halved: bool = True,
    run: int = 0,
) -> Tuned:
    """Train the recipe's network on the collected photos, from where an earlier run stopped.

    ``origin`` is the encoder that collected the photos, ``start`` a head that fits its features.
    Of validation only the half that may choose is looked at; where it certifies nothing, and so
    is not ``halved``, all of it. Each ``run`` has chances of its own. ``leaving`` hears of
    checkpoints and pixels before they are written, however the training ends.

    Raises:
        BadData: a class has no photo to validate on.
        BadBackbone: the recipe's backbone is no network that torch can train.
        ForeignCheckpoint: the checkpoints belong to another recipe or to other photos.
        TeamFailed: of several processes one has ended, or they are too many.
        TrainingDiverged: the loss was no number before any weights were worth keeping.
    """
    team = present_team()
    torch.set_num_threads(team.launched.cores(threads))
    keep_memory()
    what = _identity(collected, recipe, origin, run)
    folder = folder_for("training") / _digest(what)
    leaving([folder])
    job = _job(collected, recipe, start, halved, run)
    preprocess, model = model_for(job)
    state = State.of(model)
    frozen = copied(weights(model))
    kept = load_checkpoint(folder, of=what)
    notes: list[str] = []
    if kept is not None:
        state.restore(*kept)
    if not state.place.finished:
        job = replace(job, kept=kept)
        prepared(job, preprocess, source, threads)  # the others wait
        team.hand_out(job)
        trainer, arrays = trainer_for(job, state, preprocess, source, threads=threads, team=team)
        leaving(arrays)
        notes = _train(trainer, folder, what, listen)
    mix_weights(model, frozen, job.settings.mix)
    return Tuned(
        backbone=_exported(model, recipe, origin, preprocess),
        head=model.layers(),
        epochs=tuple(state.epochs),
        notes=tuple(notes),
    )


def helped(epochs: Sequence[Epoch]) -> bool:
    """Return whether any pass was better on validation than the network was before them all."""
    return any(epoch.best and (epoch.number or epoch.stage > 1) for epoch in epochs)


def mix_weights(model: Classifier, frozen: Tensors, share: float) -> None:
    """Go only a ``share`` of the way from the frozen weights to those that ``model`` has."""
    with torch.no_grad():
        for name, tensor in weights(model).items():
            tensor.lerp_(frozen[name].to(tensor.device), 1 - share)


def _job(
    collected: Collected, recipe: Recipe, start: Layers, halved: bool, run: int
) -> TrainingJob:
    """Return what is learned from, what it is measured on, and by which chances."""
    usable, labels = collected.usable, collected.manifest.labels
    validation = [photo for photo in usable if photo.split == "val"]
    choosing = [
        photo for photo in validation if not halved or half(recipe.seed, photo.group) == "choose"
    ]
    chosen = choosing or validation
    for label in labels:
        if not any(photo.label == label for photo in chosen):
            raise BadData(
                f"no photo of {label!r} is left to validate on, which tells when to stop; add "
                "photos of it, or ask for a larger share: --validation 0.2."
            )
    return TrainingJob(
        recipe=recipe,
        start=start,
        labels=tuple(labels),
        learned=tuple(photo for photo in usable if photo.split == "train"),
        measured=tuple(chosen),
        seed=_seed(recipe, run),
    )


def _train(trainer: Trainer, folder: Path, what: dict[str, Any], listen: Listen) -> list[str]:
    """Run the training, saving now and then; leave its best weights in the model."""
    state, notes = trainer.state, []
    saved = time.monotonic()
    try:
        for event in trainer:
            listen(event)
            if time.monotonic() - saved > SAVE_EVERY:
                save_checkpoint(folder, state.tensors(), state.note(), of=what)
                saved = time.monotonic()
    except TrainingDiverged as error:
        if not helped(state.epochs):
            raise
        notes.append(f"{error} The best weights until then were kept.")
        state.place.finished = True
    if state.place.parts > 1:
        notes.append(f"memory was short: each batch went through in {state.place.parts} parts")
    put(weights(state.model), state.best)
    save_checkpoint(folder, state.tensors(), state.note(), of=what)
    return notes


def _exported(
    model: Classifier, recipe: Recipe, origin: Backbone, preprocess: Preprocess
) -> Backbone:
    net = model.net.to("cpu", torch.float32).eval()
    unhurry(net)
    for parameter in net.parameters():
        parameter.requires_grad = False
    graph = export_network(net, preprocess, origin.name)
    if recipe.precision == "fp16":
        graph = half_precision(graph)
    return replace(origin, onnx=graph, preprocess=preprocess)


def _seed(recipe: Recipe, run: int) -> int:
    """Return the seed of a run's chances; the first one's is the recipe's own."""
    return (recipe.seed + run * APART) % 2**32


def _identity(collected: Collected, recipe: Recipe, origin: Backbone, run: int) -> dict[str, Any]:
    """Return what the checkpoints belong to, as plain values."""
    return {
        "run": run,
        "recipe": replace(recipe, backbone=origin.name).to_json(),
        "photos": collected.manifest.digest,
        "backbone": origin.digest,
        "torch": torch.__version__,  # another version adds up in another order
    }


def _digest(what: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]


def keep_memory() -> None:
    """Let the C library keep the memory that tensors give back, where it is glibc.

    Otherwise every large tensor is fresh pages, which the system has to clear one by one: a third
    of a training step.
    """
    with suppress(OSError, AttributeError, TypeError):  # another system, another allocator
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(parameter, value)
