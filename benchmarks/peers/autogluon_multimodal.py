"""AutoGluon MultiModal: its embeddings of timm's MobileNetV2, and scikit-learn's head on them.

Its `fit` cannot leave the network as it is; `feature_extraction` is its way to frozen features. It
cannot read a network for that from a folder (1.6.3), so the weights are random, always the same.
"""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import torch
from autogluon.multimodal import MultiModalPredictor
from sklearn.linear_model import LogisticRegression

from benchmarks.peers import job


def _embeddings(*sets: list[Path]) -> list[Any]:
    """Return the features of each set of photos, by one predictor."""
    torch.manual_seed(0)
    predictor = MultiModalPredictor(
        problem_type="feature_extraction",
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": "mobilenetv2_100",
            "env.num_workers_inference": job.CORES,
            "env.per_gpu_batch_size": 32,
            "env.precision": 32,
        },
        pretrained=False,
    )
    tables = (pd.DataFrame({"image": [str(photo) for photo in photos]}) for photos in sets)
    return [predictor.extract_embedding(table)["image"] for table in tables]


def train(folder: Path, model: Path) -> tuple[float, int]:
    """Fit a logistic regression on the embeddings."""
    learned, judged = (sorted((folder / part).rglob("*.jpg")) for part in ("train", "test"))
    learned_ND, judged_ND = _embeddings(learned, judged)
    head = LogisticRegression(C=0.01, max_iter=1000)
    head.fit(learned_ND, [photo.parent.name for photo in learned])
    joblib.dump(head, model / "head.joblib")
    return float(head.score(judged_ND, [photo.parent.name for photo in judged])), len(judged)


def answer(photo: Path, model: Path) -> str:
    """Return the class of one photo."""
    (row_1D,) = _embeddings([photo])
    return str(joblib.load(model / "head.joblib").predict(row_1D)[0])


def bulk(folder: Path, model: Path) -> int:
    """Answer all photos of ``folder``."""
    (rows_ND,) = _embeddings(sorted(folder.rglob("*.jpg")))
    return len(joblib.load(model / "head.joblib").predict(rows_ND))


if __name__ == "__main__":
    torch.set_num_threads(job.CORES)
    job.main(train, answer, bulk)
