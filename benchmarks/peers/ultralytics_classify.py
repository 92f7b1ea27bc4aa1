"""Ultralytics: YOLO11n-cls with random weights, all but the head frozen, one epoch.

Ultralytics is under the AGPL-3.0: measured here, and never a dependency of ours.
"""

from pathlib import Path

from ultralytics import YOLO, settings

from benchmarks.peers import job

BODY = 10  # layers before the head


def train(folder: Path, model: Path) -> tuple[float, int]:
    """Train the head for an epoch; what it saves itself is what answers later."""
    settings.update({"sync": False})  # tells its makers nothing
    net = YOLO("yolo11n-cls.yaml")
    judged = net.train(
        data=str(folder), epochs=1, imgsz=224, device="cpu", workers=job.CORES, freeze=BODY,
        batch=32, seed=0, plots=False, verbose=False, project=str(model), name="run", exist_ok=True,
    )  # fmt: skip
    return float(judged.top1), len(list((folder / "test").rglob("*.jpg")))


def _load(model: Path) -> YOLO:
    return YOLO(model / "run" / "weights" / "best.pt")


def answer(photo: Path, model: Path) -> str:
    """Return the class of one photo."""
    result = _load(model).predict(photo, device="cpu", imgsz=224, verbose=False)[0]
    return str(result.names[result.probs.top1])


def bulk(folder: Path, model: Path) -> int:
    """Answer all photos of ``folder``, in batches."""
    photos = str(folder / "**" / "*.jpg")
    results = _load(model).predict(
        photos, device="cpu", imgsz=224, batch=32, stream=True, verbose=False
    )
    return sum(1 for _ in results)


if __name__ == "__main__":
    job.main(train, answer, bulk)
