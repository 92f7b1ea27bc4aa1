"""The same task the plain way: timm eager in fp32, a DataLoader, scikit-learn on top.

    python -m benchmarks.peer_timm_sklearn PHOTOS.zip WEIGHTS_FOLDER

Prints accuracy on 20 % of the photos, so that it is known to have done the work.
"""

import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch.utils.data import DataLoader, Dataset


class Zipped(Dataset[tuple[torch.Tensor, int]]):
    """Photos of a zip with timm's own transform."""

    def __init__(self, path: Path, transform: Any) -> None:
        self.path, self.transform = path, transform
        with zipfile.ZipFile(path) as archive:
            self.names = archive.namelist()
        self.archive: zipfile.ZipFile | None = None  # opened in the worker

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        self.archive = self.archive or zipfile.ZipFile(self.path)
        photo = Image.open(io.BytesIO(self.archive.read(self.names[row]))).convert("RGB")
        return self.transform(photo), int(self.names[row].split("/")[-1].startswith("dog"))


def main(photos: Path, weights: Path) -> None:
    """Extract features, fit, score."""
    torch.set_num_threads(2)
    net: Any = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=0).eval()
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_model_data_config(net))
    loader = DataLoader(Zipped(photos, transform), batch_size=32, num_workers=2)
    features, labels = [], []
    with torch.inference_mode():
        for images, targets in loader:
            features.append(net(images).numpy())
            labels.append(targets.numpy())
    x_ND, y_N = np.concatenate(features), np.concatenate(labels)
    order = np.random.default_rng(0).permutation(len(x_ND))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    head = LogisticRegression(C=0.01, max_iter=1000).fit(x_ND[train], y_N[train])
    print(f"accuracy {head.score(x_ND[test], y_N[test]):.4f}, n = {len(test)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
