"""AutoGluon MultiModal: its embeddings of timm's network, and scikit-learn's head on them.

    python -m benchmarks.peers.autogluon_multimodal train|answer|bulk SUBJECT MODEL WEIGHTS

Its `fit` cannot leave the network as it is; `feature_extraction` is its way to frozen features.
"""

import json
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import torch
from autogluon.multimodal import MultiModalPredictor
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from benchmarks.peers import job


def _embeddings(photos: list[Path], model: Path) -> Any:
    predictor = MultiModalPredictor(
        problem_type="feature_extraction",
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": str(_lay_weights(model)),
            "env.num_workers_inference": job.CORES,
            "env.per_gpu_batch_size": 32,
            "env.precision": 32,
        },
        path=str(model / "autogluon"),
    )
    told = predictor.extract_embedding(pd.DataFrame({"image": [str(photo) for photo in photos]}))
    return told["image"] if isinstance(told, dict) else told


def _lay_weights(model: Path) -> Path:
    """Write WEIGHTS as the files that AutoGluon reads, and return their folder."""
    weights, folder = Path(job.OPTIONS[0]), model / "network"
    if not folder.exists():
        folder.mkdir()
        torch.save(load_file(weights / "model.safetensors"), folder / "pytorch_model.bin")
        facts = json.loads((weights / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(facts))
    return folder


def train(folder: Path, model: Path) -> tuple[float, int]:
    """Fit a logistic regression on the embeddings."""
    learned, judged = (sorted((folder / part).rglob("*.jpg")) for part in ("train", "test"))
    head = LogisticRegression(C=0.01, max_iter=1000)
    head.fit(_embeddings(learned, model), [photo.parent.name for photo in learned])
    joblib.dump(head, model / "head.joblib")
    right = head.score(_embeddings(judged, model), [photo.parent.name for photo in judged])
    return float(right), len(judged)


def answer(photo: Path, model: Path) -> str:
    """Return the class of one photo."""
    return str(joblib.load(model / "head.joblib").predict(_embeddings([photo], model))[0])


def bulk(folder: Path, model: Path) -> int:
    """Answer all photos of ``folder``."""
    photos = sorted(folder.rglob("*.jpg"))
    return len(joblib.load(model / "head.joblib").predict(_embeddings(photos, model)))


if __name__ == "__main__":
    torch.set_num_threads(job.CORES)
    job.main(train, answer, bulk)
