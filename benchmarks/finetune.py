"""Fine-tuning, photos a second: ours against the plain way, loader and augmentation included.

    python -m benchmarks.finetune PHOTOS.zip WEIGHTS_FOLDER

The plain way is what a tutorial has: timm's network in eager fp32, torchvision's transforms in a
DataLoader with two workers, AdamW on everything. Both take the same photos in batches of 32 and
train all layers; each runs in a process of its own, in turns.

The limit: MobileNetV2 at 224 px is 0.30 GMAC forward and twice that backward, 1.8 GFLOP a photo;
at the 400 GFLOP/s that two such cores reach in bf16 that is some 220 photos a second.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import fursure
from benchmarks.peers.photos import TEST, unpack
from fursure.recipe import FineTune, Stage
from fursure.recipes.catalogue import FINE_TUNE

PHOTOS = 640  # of which the first four batches only warm up
BATCH = 32
WARM = 4  # batches
ROUNDS = 2


def plain(photos: Path, weights: Path) -> float:
    """Return photos a second of the plain loop."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(photos, Path(folder), round(PHOTOS / (1 - TEST)))
        return _plain_rate(Path(folder) / "train", weights)


def _plain_rate(photos: Path, weights: Path) -> float:
    import timm
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    torch.set_num_threads(2)
    net = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=2).train()
    steps = [
        v2.RandomResizedCrop(224, (0.4, 1.0)),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.3, 0.3, 0.3),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),
    ]
    loader = DataLoader(ImageFolder(photos, v2.Compose(steps)), BATCH, shuffle=True, num_workers=2)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-4)
    began = 0.0
    for number, (images, labels) in enumerate(loader):
        if number == WARM:
            began = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (PHOTOS - WARM * BATCH) / (time.perf_counter() - began)


def ours(photos: Path, weights: Path) -> float:
    """Return photos a second of `fursure train`: its second pass, validation included."""
    recipe = replace(
        FINE_TUNE,
        backbone=str(weights),
        photos=PHOTOS,
        validation=0.01,
        tune=FineTune(stages=(Stage(epochs=2),), augment="strong", batch=BATCH),
    )
    with tempfile.TemporaryDirectory() as folder:
        fursure.train(photos, Path(folder) / "tuned.fursure", recipe)
        epochs = json.loads((Path(folder) / "tuned.metrics.json").read_text())["epochs"]
    return float(PHOTOS / (epochs[2]["seconds"] - epochs[1]["seconds"]))


def main(photos: str, weights: str) -> None:
    """Time both ways in turns, each in a process of its own, and print the ratio."""
    found: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(ROUNDS):
        for name, rates in found.items():
            command = [sys.executable, "-m", "benchmarks.finetune", photos, weights, name]
            rates.append(float(subprocess.check_output(command, text=True)))
    for name, rates in found.items():
        print(f"{name}: {median(rates):.1f} photos/s ({min(rates):.1f} to {max(rates):.1f})")
    print(f"ratio: {median(found['ours']) / median(found['plain']):.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        way = {"plain": plain, "ours": ours}[sys.argv[3]]
        print(way(Path(sys.argv[1]), Path(sys.argv[2])))
    else:
        main(*sys.argv[1:])
