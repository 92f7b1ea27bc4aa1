"""fastai: a `vision_learner` on timm's network, its body frozen, one epoch for the head.

python -m benchmarks.peers.fastai_learner train|answer|bulk SUBJECT MODEL WEIGHTS
"""

from pathlib import Path

import torch
from fastai.vision.all import (
    BnFreeze,
    ImageDataLoaders,
    Resize,
    accuracy,
    get_image_files,
    load_learner,
    vision_learner,
)

from benchmarks.peers import job


def train(folder: Path, model: Path) -> tuple[float, int]:
    """Train the head for an epoch; its body, batch norm too, stays as it was published."""
    photos = ImageDataLoaders.from_folder(
        folder, valid="test", item_tfms=Resize(224), num_workers=job.CORES
    )
    # fastai takes the name for timm, whose name for a folder of weights this is.
    net = f"local-dir:{job.OPTIONS[0]}"
    learner = vision_learner(
        photos, net, metrics=accuracy, train_bn=False, cbs=BnFreeze, path=model
    )
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(1)  # which judges it on the test photos too
        _, _, right = learner.final_record
    learner.export(model / "learner.pkl")
    return float(right), len(photos.valid_ds)


def answer(photo: Path, model: Path) -> str:
    """Return the class of one photo."""
    learner = load_learner(model / "learner.pkl")
    with learner.no_bar():
        return str(learner.predict(photo)[0])


def bulk(folder: Path, model: Path) -> int:
    """Answer all photos of ``folder``."""
    learner = load_learner(model / "learner.pkl")
    photos = learner.dls.test_dl(get_image_files(folder), num_workers=job.CORES)
    with learner.no_bar():
        probs_NK, _ = learner.get_preds(dl=photos)
    return len(probs_NK)


if __name__ == "__main__":
    torch.set_num_threads(job.CORES)
    job.main(train, answer, bulk)
