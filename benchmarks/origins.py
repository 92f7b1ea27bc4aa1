"""A bundle and real photos of several origins and sizes → what its network puts out, cached.

Known photos come as training, validation and test squares of 200 px, and as photos of another
origin in their own proportions; both, and strangers, also smaller, larger, re-encoded, letterboxed
and squashed. A photo's split is what the bundle remembers of its digest.

Dimension key: N photos, D features, K classes.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import other_strangers, patterns
from benchmarks.other_strangers import NEAR, blurred, dark, pictures
from benchmarks.other_strangers import STRANGERS as DRAWN
from fursure.bundle.bundle import Bundle
from fursure.engine.network import Network
from fursure.engine.session import open_session
from fursure.files import replacing
from fursure.home import home
from fursure.parallel import chunked, in_order
from fursure.photos.decode import decode
from fursure.run import available_threads

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("FURSURE_DATA", ROOT.parent / "shared"))
PHOTOS = SHARED / "data" / "cats-vs-dogs-12000.zip"
ELSEWHERE = SHARED / "data" / "elsewhere-300.zip"
STRANGERS = SHARED / "data" / "strangers-200.zip"
CHUNK = 32
SOME = 600  # test photos that are also looked at in other sizes

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the network puts out for the photos of one origin, a row each."""

    names: tuple[str, ...]
    labels_N: NDArray[np.int64]  # -1 of strangers
    features_ND: NDArray[np.float32]
    logits_NK: NDArray[np.float32]
    probs_NK: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.names)

    def at(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Seen":
        """Return some of the rows."""
        return Seen(
            names=tuple(np.array(self.names, object)[rows]),
            labels_N=self.labels_N[rows],
            features_ND=self.features_ND[rows],
            logits_NK=self.logits_NK[rows],
            probs_NK=self.probs_NK[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Photos the model was made from, and known ones and strangers that it never saw."""

    training: Seen
    validation: Seen
    known: dict[str, Seen]  # by origin and size
    strangers: dict[str, Seen]  # ImageNet's, by size
    others: dict[str, Seen]  # strangers of other origins, by kind
    near: dict[str, Seen]  # what one may argue about, by kind


def origins(bundle: Bundle) -> Origins:
    """Return everything, from the cache where it was computed before."""
    run = _Run(bundle)
    photos, split_N = run.seen(PHOTOS, "as they are"), run.splits(PHOTOS)
    test = photos.at(split_N == "test")
    some = frozenset(test.names[:: max(1, len(test) // SOME)])
    known = {"test": test, "elsewhere": run.seen(ELSEWHERE, "as they are")}
    strangers = {"as they are": run.seen(STRANGERS, "as they are")}
    for way in list(WAYS)[1:]:
        if way != "squashed to 200 px":
            known[f"test, {way}"] = run.seen(PHOTOS, way, only=some)
        known[f"elsewhere, {way}"] = run.seen(ELSEWHERE, way)
        strangers[way] = run.seen(STRANGERS, way)
    return Origins(
        training=photos.at(split_N == "train"),
        validation=photos.at(split_N == "val"),
        known=known,
        strangers=strangers,
        others={kind: run.drawn(kind) for kind in DRAWN},
        near={kind: run.drawn(kind) for kind in NEAR}
        | {f"photos of elsewhere, {way}": run.seen(ELSEWHERE, way) for way in RUINED},
    )


def _longest(side: int, filter_: Image.Resampling) -> Callable[[Image.Image], Image.Image]:
    def resize(photo: Image.Image) -> Image.Image:
        scale = side / max(photo.size)
        width, height = (max(1, round(scale * one)) for one in photo.size)
        return photo.resize((width, height), filter_)

    return resize


def _letterboxed(photo: Image.Image) -> Image.Image:
    """Return the photo with black bars: upright on a wide screen, or wide on an upright one."""
    side = max(photo.size)
    wide = photo.width >= photo.height
    size = (side, round(16 / 9 * side)) if wide else (round(16 / 9 * side), side)
    canvas = Image.new("RGB", size)
    canvas.paste(photo, ((size[0] - photo.width) // 2, (size[1] - photo.height) // 2))
    return canvas


def _reencoded(photo: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as they are": lambda photo: photo,
    "JPEG quality 30": _reencoded,
    "96 px": _longest(96, Image.Resampling.BICUBIC),
    "500 px": _longest(500, Image.Resampling.BICUBIC),
    "letterboxed": _letterboxed,
    "squashed to 200 px": lambda photo: photo.resize((200, 200), Image.Resampling.BICUBIC),
}

RUINED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred beyond recognition": blurred,
    "all but black": dark,
}


class _Run:
    """A bundle's network, opened when the cache first lacks something."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.folder = home() / "bench" / hashlib.sha256(bundle.model).hexdigest()[:24]
        self._network: Network | None = None

    def seen(self, archive: Path, way: str, only: frozenset[str] | None = None) -> Seen:
        """Return the outputs for the photos of an archive, changed in one ``way``."""

        def photos() -> Iterator[tuple[str, Image.Image]]:
            change, min_side = (WAYS | RUINED)[way], self.bundle.meta.preprocess.min_side
            for name, data in _photos(archive, only):
                yield name, change(decode(data, name=name, min_side=min_side).image)

        return self._kept(f"{archive.name}|{way}|{sorted(only or ())}", photos)

    def drawn(self, kind: str) -> Seen:
        """Return the outputs for a kind of pictures that are made here."""
        sources = [Path(str(module.__file__)).read_text() for module in (other_strangers, patterns)]

        def named() -> Iterator[tuple[str, Image.Image]]:
            for row, picture in enumerate(pictures(kind)):
                yield f"{kind} {row}", picture

        return self._kept("|".join([kind, *sources]), named)

    def _kept(self, key: str, photos: Callable[[], Iterator[tuple[str, Image.Image]]]) -> Seen:
        """Return the outputs for photos, computed once for each key."""
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = self._outputs(photos())
            with replacing(path) as file:
                np.savez(file, **arrays)
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(map(str, arrays["names"]))
            return Seen(
                names=names,
                labels_N=np.array([self._label(name) for name in names]),
                features_ND=arrays["features"].astype(np.float32),
                logits_NK=arrays["logits"],
                probs_NK=arrays["probs"],
            )

    def splits(self, archive: Path) -> NDArray[np.str_]:
        """Return "train", "val" or "test" for each photo: what the bundle has not seen is test."""
        path = self.folder / f"{archive.name}.splits.npy"
        if not path.is_file():
            seen = self.bundle.seen
            training, validation = set(seen.training.tolist()), set(seen.validation.tolist())
            found = []
            for _, data in _photos(archive, None):
                short = int(hashlib.sha256(data).hexdigest()[:16], 16)
                found.append(
                    "train" if short in training else "val" if short in validation else "test"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.array(found))
        splits: NDArray[np.str_] = np.load(path, allow_pickle=False)
        return splits

    def _label(self, name: str) -> int:
        labels = self.bundle.meta.labels
        parts = PurePosixPath(name).parts
        words = {parts[0], parts[-1].split(".")[0], *parts[:-1]}
        return next((row for row, label in enumerate(labels) if label in words), -1)

    def _outputs(self, photos: Iterator[tuple[str, Image.Image]]) -> dict[str, Any]:
        if self._network is None:
            session = open_session(self.bundle.model, photos=10_000)
            self._network = Network(session, self.bundle.meta.preprocess)
        network, names = self._network, []

        def work(some: Sequence[tuple[str, Image.Image]]) -> tuple[NDArray[np.float32], ...]:
            outputs = network(picture for _, picture in some)
            return outputs["features"], outputs["logits"], outputs["probs"]

        def noted() -> Iterator[tuple[str, Image.Image]]:
            for name, picture in photos:
                names.append(name)
                yield name, picture

        parts = list(in_order(work, chunked(noted(), CHUNK), threads=available_threads()))
        features_ND, logits_NK, probs_NK = (np.concatenate(one) for one in zip(*parts, strict=True))
        return {
            "names": np.array(names),
            "features": features_ND.astype(np.float16),
            "logits": logits_NK,
            "probs": probs_NK,
        }


def _photos(archive: Path, only: frozenset[str] | None) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if name.lower().endswith(".jpg") and (only is None or name in only):
                yield name, opened.read(name)
