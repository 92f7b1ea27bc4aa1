"""A frozen network of torch, and scikit-learn's logistic regression on its features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import pil_loader

from benchmarks.peers import job

BATCH = 32

Encode = Callable[[torch.Tensor], torch.Tensor]
Network = tuple[Encode, Any]  # what makes features of a batch, and the transform of a photo


def main(network: Callable[[], Network]) -> None:
    """Do what the command line asks, with the network that ``network`` loads."""
    torch.set_num_threads(job.CORES)
    with torch.inference_mode():
        loaded = network()
        job.main(partial(_train, loaded), partial(_answer, loaded), partial(_bulk, loaded))


def _features(network: Network, folder: Path) -> tuple[Any, Any]:
    encode, transform = network
    photos = ImageFolder(folder, transform)
    loader = DataLoader(photos, BATCH, num_workers=job.CORES)
    rows_ND = np.concatenate([encode(images).numpy() for images, _ in loader])
    return rows_ND, np.array(photos.classes)[photos.targets]


def _train(network: Network, folder: Path, model: Path) -> tuple[float, int]:
    head = LogisticRegression(C=0.01, max_iter=1000).fit(*_features(network, folder / "train"))
    joblib.dump(head, model / "head.joblib")
    rows_ND, labels_N = _features(network, folder / "test")
    return float(head.score(rows_ND, labels_N)), len(labels_N)


def _answer(network: Network, photo: Path, model: Path) -> str:
    encode, transform = network
    row_1D = encode(transform(pil_loader(str(photo)))[None]).numpy()
    return str(joblib.load(model / "head.joblib").predict(row_1D)[0])


def _bulk(network: Network, folder: Path, model: Path) -> int:
    rows_ND, _ = _features(network, folder)
    return len(joblib.load(model / "head.joblib").predict(rows_ND))
