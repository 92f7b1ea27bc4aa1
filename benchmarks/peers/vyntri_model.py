"""vyntri: features of a frozen network of torchvision, and a head in closed form.

    python -m benchmarks.peers.vyntri_model train|answer|bulk SUBJECT MODEL BACKBONE

It knows no network without published weights and looks for them where torch keeps what it
downloaded; what is laid there are random ones, so that the time is right without a network.
"""

import os
from pathlib import Path

import torch
from torchvision import models
from vyntri import Vyntri

from benchmarks.peers import job


def _lay_weights(model: Path) -> None:
    """Write the file of BACKBONE's weights into MODEL, and have torch look there."""
    os.environ["TORCH_HOME"] = str(model)
    url = next(iter(models.get_model_weights(job.OPTIONS[0]))).url
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not file.exists():
        file.parent.mkdir(parents=True)
        torch.manual_seed(0)
        torch.save(models.get_model(job.OPTIONS[0], weights=None).state_dict(), file)


def train(folder: Path, model: Path) -> tuple[float, int]:
    """Fit and judge, as its quick start does."""
    _lay_weights(model)
    net = Vyntri(backbone=job.OPTIONS[0], num_workers=job.CORES, cache_dir=str(model / "features"))
    net.fit(train=folder / "train", progress=False)
    judged = net.evaluate(folder / "test")
    net.save(str(model / "net.vyntri"))
    return float(judged.accuracy), len(list((folder / "test").rglob("*.jpg")))


def answer(photo: Path, model: Path) -> str:
    """Return the class of one photo."""
    _lay_weights(model)
    return str(Vyntri.load(str(model / "net.vyntri")).predict(str(photo)).label)


def bulk(folder: Path, model: Path) -> int:
    """Answer all photos of ``folder``."""
    _lay_weights(model)
    photos = [str(path) for path in folder.rglob("*.jpg")]
    return len(Vyntri.load(str(model / "net.vyntri")).predict_batch(photos).labels)


if __name__ == "__main__":
    torch.set_num_threads(job.CORES)
    job.main(train, answer, bulk)
