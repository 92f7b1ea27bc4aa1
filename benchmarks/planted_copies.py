"""Plant altered copies among 12,000 photos, and count which of them are grouped with theirs.

python -m benchmarks.planted_copies
"""

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from fursure.backbones.kinds import load_backbone
from fursure.check.reading import gather
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.features.collect import grouped
from fursure.metrics.intervals import proportion
from fursure.rows.photo import Photo
from fursure.run import Run

SHARED = Path(os.environ.get("FURSURE_DATA", "../shared"))
PHOTOS = SHARED / "data" / "cats-vs-dogs-12000.zip"
WEIGHTS = SHARED / "weights" / "mobilenetv2_100.tf_in1k"
COUNT = 300  # photos copied, in each way
TRUE = 25  # photos of the set that are copies of each other, by eye (docs/experiments.md)


def _scaled(photo: Image.Image, share: float) -> Image.Image:
    return photo.resize((round(photo.width * share), round(photo.height * share)))


def _cropped(photo: Image.Image) -> Image.Image:
    return photo.crop((round(0.05 * photo.width), 0, photo.width, round(0.95 * photo.height)))


WAYS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "re-encoded": lambda photo: photo,
    "half the size": lambda photo: _scaled(photo, 0.5),
    "twice the size": lambda photo: _scaled(photo, 2),
    "mirrored": ImageOps.mirror,
    "cropped by 5 %": _cropped,
}


def main() -> None:
    """Count copies found, and photos grouped that are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "planted.zip"
        copies = _plant(path)
        photos = _grouped(path)
    group = {photo.path.rpartition("/")[2]: photo.group for photo in photos}
    print("| copies | grouped with their photo |\n|---|---|")
    for way, pairs in copies.items():
        found = sum(group[copy] == group[original] for original, copy in pairs)
        print(f"| {way} | {proportion(found, len(pairs))}, n = {len(pairs)} |")
    planted = {copy for pairs in copies.values() for _, copy in pairs}
    originals: dict[str, list[str]] = {}
    for name, one in group.items():
        if name not in planted:
            originals.setdefault(one, []).append(name)
    several = sum(len(names) for names in originals.values() if len(names) > 1)
    count = len(group) - len(planted)
    print(f"| unrelated photos grouped | {proportion(several - TRUE, count)}, n = {count} |")


def _plant(path: Path) -> dict[str, list[tuple[str, str]]]:
    copies: dict[str, list[tuple[str, str]]] = {way: [] for way in WAYS}
    with zipfile.ZipFile(PHOTOS) as archive, zipfile.ZipFile(path, "w") as target:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        for name in names:
            target.writestr(name, archive.read(name))
        for number, index in enumerate(np.random.default_rng(7).choice(len(names), COUNT, False)):
            original = names[index]
            photo = Image.open(io.BytesIO(archive.read(original))).convert("RGB")
            label = original.rpartition("/")[2].partition(".")[0]
            for offset, (way, alter) in enumerate(WAYS.items()):
                copy = f"{label}.{100_000 + number * len(WAYS) + offset}.jpg"
                with io.BytesIO() as buffer:
                    alter(photo).save(buffer, "JPEG", quality=75)
                    target.writestr(f"{original.rpartition('/')[0]}/{copy}", buffer.getvalue())
                copies[way].append((original.rpartition("/")[2], copy))
    return copies


def _grouped(path: Path) -> Sequence[Photo]:
    with open_source(path) as source:
        found = gather(source, list_photos(source), load_backbone(str(WEIGHTS)), Run())
    return grouped(found.usable, found.features_ND)


if __name__ == "__main__":
    main()
