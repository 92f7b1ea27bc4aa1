"""What a model said of many photos → the few that are worth looking at, as pictures.

Dimension key: N photos, M photos of training, B of them in a block, R the nearest so far,
D features, K classes.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.dataset.sources import open_source
from fursure.engine.network import in_batches
from fursure.engine.session import open_session
from fursure.errors import FursureError, counted
from fursure.evaluation.evaluate import AnswerRows
from fursure.parallel import in_order
from fursure.photos.decode import LIMITS, decode
from fursure.photos.preprocess import Preprocess
from fursure.remote.place import AnyPlace, place_of
from fursure.report.page import Gallery, Picture
from fursure.report.pictures import LARGE, SMALL, glow, inlined
from fursure.rows.photo import Photo
from fursure.rows.table import FeatureTable
from fursure.run import available_threads
from fursure.sureness.familiarity import unit
from fursure.sureness.principal import principal_directions

_SHOWN = 12  # photos of a gallery
_NEAREST = 3  # photos of training beside each
_BLOCK = 1024  # photos of training compared at once, to bound the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPhotos:
    """The photos a model learned from, where they can still be read."""

    source: Source
    photos: Sequence[Photo]  # (M,)
    features_ND: NDArray[np.float32] | FeatureTable
    rows_M: NDArray[np.intp]  # theirs

    def nearest(self, asked_ND: NDArray[np.floating]) -> list[list[Photo]]:
        """Return for each photo the few of training whose features point most nearly its way."""
        asked_ND = unit(np.asarray(asked_ND, np.float32))
        cosine_NR = np.empty((len(asked_ND), 0), np.float32)
        place_NR = np.empty((len(asked_ND), 0), np.intp)
        for start in range(0, len(self.rows_M), _BLOCK):
            block = self.features_ND[self.rows_M[start : start + _BLOCK]]
            cosine_NR = np.hstack([cosine_NR, asked_ND @ unit(block).T])
            places_B = np.arange(start, start + len(block))
            place_NR = np.hstack([place_NR, np.tile(places_B, (len(asked_ND), 1))])
            best_NR = np.argsort(-cosine_NR, axis=1, kind="stable")[:, :_NEAREST]
            cosine_NR = np.take_along_axis(cosine_NR, best_NR, axis=1)
            place_NR = np.take_along_axis(place_NR, best_NR, axis=1)
        return [[self.photos[place] for place in places] for places in place_NR.tolist()]


def galleries(
    rows: AnswerRows, source: Source, bundle: Bundle, trained: TrainedPhotos | None
) -> tuple[Gallery, ...]:
    """Return the mistakes, the doubts and the strangers among the photos, as pictures.

    A photo that can no longer be read is left out.
    """
    labels = bundle.meta.labels
    top_N = rows.probs_NK.argmax(axis=1)
    own_N = rows.probs_NK[np.arange(len(top_N)), rows.labels_N]
    confidence_N = rows.probs_NK.max(axis=1)
    wrong = np.flatnonzero(top_N != rows.labels_N)
    doubts = np.argsort(confidence_N, kind="stable")
    strange = [row for row, answer in enumerate(rows.answers) if answer == "stranger"]
    chosen = {
        "The worst mistakes": wrong[np.argsort(own_N[wrong], kind="stable")][:_SHOWN].tolist(),
        "The least sure": [int(row) for row in doubts if top_N[row] == rows.labels_N[row]][:_SHOWN],
        "The least familiar": sorted(strange, key=lambda row: rows.familiarity_N[row])[:_SHOWN],
    }
    every = list(dict.fromkeys(row for some in chosen.values() for row in some))
    pictures = dict(zip(every, _pictures(rows.at(every), source, bundle, trained), strict=True))
    notes = {
        "The worst mistakes": f"Taken for another class: {len(wrong):,} of "
        f"{counted(len(top_N), 'photo')}, first where the model was most convinced.",
        "The least sure": "Right, but by the smallest margin.",
        "The least familiar": f"{counted(len(strange), 'photo')} called a stranger: unlike those "
        f"the model learned from. All here are of {_listed(labels)}, so each is one given up.",
    }
    return tuple(
        Gallery(
            title=title,
            note=notes[title],
            pictures=tuple(picture for row in some if (picture := pictures[row]) is not None),
        )
        for title, some in chosen.items()
        if some
    )


def disagreements(
    rows: AnswerRows,
    others_NK: NDArray[np.floating],
    source: Source,
    bundle: Bundle,
    names: list[str],
) -> Gallery | None:
    """Return the photos on which two models differ most, as pictures."""
    differ = np.flatnonzero(rows.probs_NK.argmax(axis=1) != others_NK.argmax(axis=1))
    if not len(differ):
        return None
    gap_N = np.abs(rows.probs_NK - others_NK).max(axis=1)
    some = differ[np.argsort(-gap_N[differ], kind="stable")][: 2 * _SHOWN].tolist()
    labels = bundle.meta.labels
    others = [labels[int(others_NK[row].argmax())] for row in some]
    pictures = _pictures(rows.at(some), source, bundle, None)
    return Gallery(
        title="Where they differ",
        note=f"{counted(len(differ), 'photo')} on which {names[0]} and {names[1]} give different "
        "classes.",
        pictures=tuple(
            replace(picture, other=other)
            for picture, other in zip(pictures, others, strict=True)
            if picture is not None
        ),
    )


def _pictures(
    rows: AnswerRows, source: Source, bundle: Bundle, trained: TrainedPhotos | None
) -> list[Picture | None]:
    """Return a picture of each row, with where the network looked and what it resembles."""
    preprocess = bundle.meta.preprocess
    pixels = squares(source, rows.paths, preprocess)
    good = [row for row, square in enumerate(pixels) if square is not None]
    if not good:
        return [None] * len(pixels)
    session = open_session(bundle.model)
    outputs = in_batches(session, np.stack([square for square in pixels if square is not None]))
    near = _nearest(trained, outputs["features"], preprocess)
    made: list[Picture | None] = [None] * len(pixels)
    labels = bundle.meta.labels
    for place, row in enumerate(good):
        square = pixels[row]
        assert square is not None  # noqa: S101 - a good row
        top = int(rows.probs_NK[row].argmax())
        made[row] = Picture(
            path=rows.paths[row],
            truth=labels[int(rows.labels_N[row])],
            answer=rows.answers[row],
            label=labels[top],
            confidence=float(rows.probs_NK[row, top]),
            familiarity=float(rows.familiarity_N[row]),
            picture=inlined(square, LARGE),
            heat=glow(outputs["heat"][place]) if "heat" in outputs else None,
            nearest=near[place],
        )
    return made


def _nearest(
    trained: TrainedPhotos | None, features_ND: NDArray[np.floating], preprocess: Preprocess
) -> list[tuple[tuple[str, str], ...]]:
    """Return for each photo the labels and pictures of those of training that it resembles."""
    if trained is None:
        return [()] * len(features_ND)
    near = trained.nearest(features_ND)
    photos = {photo.path: photo for photos in near for photo in photos}
    pictures = dict(zip(photos, squares(trained.source, list(photos), preprocess), strict=True))
    return [
        tuple(
            (photo.label or "", inlined(square, SMALL))
            for photo in photos
            if (square := pictures[photo.path]) is not None
        )
        for photos in near
    ]


def squares(
    source: Source, paths: Sequence[str], preprocess: Preprocess
) -> list[NDArray[np.uint8] | None]:
    """Return photos as the network sees them; None for those that can no longer be read."""

    def square(path: str) -> NDArray[np.uint8] | None:
        with suppress(FursureError):
            data = source.read(path, LIMITS.bytes)
            return preprocess(decode(data, name=path, min_side=preprocess.min_side).image)
        return None

    return list(in_order(square, paths, threads=available_threads()))


def trained_on(bundle: Bundle, manifest_path: Path) -> "TrainedPhotos | str":
    """Return the photos ``bundle`` was trained on, or in words why they cannot be shown.

    They are known from the manifest beside the model, and their features from the cache. The
    caller closes the source.
    """
    from fursure.features.reader import cached_features

    if not manifest_path.is_file():
        return "no manifest lies beside the model"
    data = bundle.meta.data
    try:
        manifest = Manifest.load(manifest_path)
        if manifest.digest != data["digest"]:
            return "the manifest beside the model is of other photos"
        photos = [photo for photo in manifest.usable if photo.split == "train"]
        known = cached_features(_caches(bundle), [photo.sha256 for photo in photos])
        photos = [photo for photo in photos if photo.sha256 in known]
        if not photos:
            return "the features of the training photos are no longer cached"
        source = open_source(_root(manifest, photos[0]))
    except (FursureError, OSError, ValueError):
        return "the training photos can no longer be read"
    features_ND = np.stack([known[photo.sha256] for photo in photos])
    return TrainedPhotos(
        source=source, photos=photos, features_ND=features_ND, rows_M=np.arange(len(photos))
    )


def _caches(bundle: Bundle) -> Sequence[str]:
    """Return the names of the caches of the features that the bundle was trained on."""
    from fursure.features.reader import features_path

    data, preprocess = bundle.meta.data, bundle.meta.preprocess
    if "features" in data:
        return [str(name) for name in data["features"]]
    return [features_path(data.get("encoder", data["backbone"]), preprocess, data["engine"])]


def _root(manifest: Manifest, photo: Photo) -> AnyPlace:
    """Return what to open to read the photos of a manifest: a folder, or an archive in it."""
    archive, mark, _ = photo.path.partition("!")
    root = place_of(manifest.root)
    return root / archive if mark else root


def flat_map(features: Mapping[int, NDArray[np.floating]]) -> dict[int, tuple[float, float]]:
    """Return places in [0, 1]² for the rows: their first two principal components."""
    if len(features) < 3:
        return {}
    unit_ND = unit(np.stack(list(features.values())).astype(np.float32))
    unit_ND -= unit_ND.mean(axis=0)
    flat_N2 = unit_ND @ principal_directions(unit_ND, 2, np.random.default_rng(0))
    low, high = np.quantile(flat_N2, [0.005, 0.995], axis=0)
    place_N2 = ((flat_N2 - low) / np.maximum(high - low, 1e-9)).clip(0, 1)
    return {row: (float(x), float(y)) for row, (x, y) in zip(features, place_N2, strict=True)}


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (" and others" if len(labels) > 3 else "")
