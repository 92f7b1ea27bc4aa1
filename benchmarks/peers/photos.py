"""A zip of cat.N.jpg and dog.N.jpg → train/<class> and test/<class>, the same for every peer."""

import random
import zipfile
from pathlib import Path, PurePosixPath

TEST = 0.2  # share of each class


def unpack(archive: Path, folder: Path, count: int) -> Path:
    """Write the first ``count`` photos, evenly by class, into ``folder``, and return it."""
    chance = random.Random(0)  # noqa: S311
    with zipfile.ZipFile(archive) as photos:
        by_class: dict[str, list[str]] = {}
        for name in photos.namelist():
            by_class.setdefault(PurePosixPath(name).name.split(".")[0], []).append(name)
        for label, names in by_class.items():
            chosen = names[: count // len(by_class)]
            judged = set(chance.sample(chosen, round(TEST * len(chosen))))
            for name in chosen:
                part = folder / ("test" if name in judged else "train") / label
                part.mkdir(parents=True, exist_ok=True)
                (part / PurePosixPath(name).name).write_bytes(photos.read(name))
    return folder
