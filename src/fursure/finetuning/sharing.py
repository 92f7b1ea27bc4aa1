"""What is to be trained → a trainer at its place: in the first process, and in those that help it.

Every process builds the network and reads the photos by itself, from a job that the first one hands
out; the weights are the first one's.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fursure.dataset.labelled import Dataset
from fursure.dataset.listing import Source
from fursure.errors import TrainingDiverged
from fursure.finetuning.augment import square_side
from fursure.finetuning.batch_norm import folded, hurry
from fursure.finetuning.batches import TrainingPhotos
from fursure.finetuning.classifier import Classifier, random_head
from fursure.finetuning.pixels import pixels
from fursure.finetuning.state import State, Tensors, weights
from fursure.finetuning.trainer import Trainer
from fursure.graphs.layers import Layers
from fursure.networks.build import trainable
from fursure.networks.configuration import preprocess_of
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune, Mlp, Recipe
from fursure.rows.photo import Photo
from fursure.run import Run
from fursure.together.team import Team

SavedTraining = tuple[Tensors, dict[str, Any]]  # a checkpoint: its tensors and its note


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training of a network, as each process needs to know it."""

    recipe: Recipe
    start: Layers  # a head that fits the frozen features
    labels: tuple[str, ...]
    learned: tuple[Photo, ...]
    measured: tuple[Photo, ...]  # of validation
    seed: int
    kept: SavedTraining | None = None  # where an earlier run stopped

    @property
    def settings(self) -> FineTune:
        """How the network is trained."""
        assert self.recipe.tune is not None  # noqa: S101 - a job is one
        return self.recipe.tune


def network_for(recipe: Recipe) -> tuple[Preprocess, Any]:
    """Return how the recipe prepares a photo, and the network it trains."""
    config, net = trainable(recipe.backbone, image_size=recipe.image_size, seed=recipe.seed)
    preprocess = preprocess_of(config, recipe.image_size)
    if recipe.resize is not None:
        preprocess = replace(preprocess, mode=recipe.resize)
    return preprocess, net


def model_for(job: TrainingJob) -> tuple[Preprocess, Classifier]:
    """Return how a job prepares a photo, and its classifier, on a GPU if there is one."""
    settings, recipe, start = job.settings, job.recipe, job.start
    preprocess, net = network_for(recipe)
    if settings.batch_norm == "frozen":
        net = folded(net, preprocess.size)
    if settings.start == "random":
        hidden = recipe.head.hidden if isinstance(recipe.head, Mlp) else ()
        start = random_head((net.num_features, *hidden, len(job.labels)), recipe.seed)
    model = Classifier(net, start, settings.dropout)
    if torch.cuda.is_available():
        model.to("cuda")
    else:
        hurry(net)
    return preprocess, model.to(memory_format=torch.channels_last)


def trainer_for(
    job: TrainingJob,
    state: State,
    preprocess: Preprocess,
    source: Source,
    *,
    threads: int,
    team: Team,
) -> tuple[Trainer, tuple[Path, ...]]:
    """Return the trainer of a job, and the files in which the pixels of its photos lie.

    All processes call it at once. The first one has prepared the photos before it handed the job
    out: on its host the others only find them.
    """
    files = prepared(job, preprocess, source, threads)
    team.meet()
    team.as_first([*weights(state.model).values(), *state.mean.values(), *state.best.values()])
    photos = TrainingPhotos(
        squares_NHWC=np.load(files[0], mmap_mode="r"),
        labels_N=np.array([job.labels.index(photo.label or "") for photo in job.learned]),
        inputs_VHWC=np.load(files[1], mmap_mode="r"),
        labels_V=np.array([job.labels.index(photo.label or "") for photo in job.measured]),
        preprocess=preprocess,
    )
    trainer = Trainer(photos, job.settings, state, seed=job.seed, team=team)
    trainer.resumed = job.kept[0] if job.kept else {}
    return trainer, files


def prepared(
    job: TrainingJob, preprocess: Preprocess, source: Source, threads: int
) -> tuple[Path, ...]:
    """Return the files with the pixels of the photos to learn from, and of those to measure on."""
    larger = replace(preprocess, size=square_side(preprocess), crop=1.0)
    return tuple(
        pixels(source, photos, how, threads=threads)
        for photos, how in ((job.learned, larger), (job.measured, preprocess))
    )


def help_train(dataset: Dataset, run: Run, team: Team) -> None:
    """Train along with the first process, whatever it hands out, until it has no more.

    Raises:
        TeamFailed: another process has ended, or was not heard of in time.
    """
    threads = team.launched.cores(run.cores)
    torch.set_num_threads(threads)
    with dataset.open() as source:
        while (job := team.hand_out(None)) is not None:
            preprocess, model = model_for(job)
            state = State.of(model)
            if job.kept is not None:
                state.restore(*job.kept)
            trainer, _ = trainer_for(job, state, preprocess, source, threads=threads, team=team)
            with suppress(TrainingDiverged):  # the first one, which sees the same, says so
                for _ in trainer:
                    pass
