"""Where the flaws that were seen by eye come in the order of a check (docs/experiments.md).

python -m benchmarks.known_flaws [BACKBONE]

A photo's place is the better of two: by the doubt of its label, and by how strange it looks.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.flipped_labels import PHOTOS
from fursure.backbones.kinds import load_backbone
from fursure.check.label_errors import doubts
from fursure.check.reading import gather
from fursure.check.suspects import Judged, judge
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.features.collect import grouped
from fursure.rows.photo import Photo
from fursure.run import Run
from fursure.splitting.split import folds

LOOKED = 0.021  # share of the photos
NAMES = """
dog.5604 cat.3216 cat.11184 dog.1895 dog.2877 dog.10401 dog.10797 dog.8736 cat.8456 dog.4367
cat.12272 cat.4338 dog.9517 dog.11299 cat.4688 cat.7564 dog.10190 dog.10237 dog.11186 dog.11184
dog.9188 dog.1259 cat.7968 dog.4507 cat.9171 dog.6475 dog.10747 dog.1194 dog.2614 cat.5418
cat.10365 dog.10801 cat.7377 dog.12376 dog.6725 cat.5351 dog.10842 cat.2520 cat.2817 dog.9192
dog.8671 dog.7076 cat.10029 cat.712 dog.9627 cat.4085 cat.7920 cat.9444 cat.3822 cat.5355
"""
FLAWS = frozenset(NAMES.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Photos as a check sees them."""

    photos: tuple[Photo, ...]
    labels: tuple[str, ...]
    features_ND: NDArray[np.floating]
    label_N: NDArray[np.intp]
    group_N: NDArray[np.intp]

    @property
    def flawed(self) -> NDArray[np.bool_]:
        """Return which photos (N) are among the known flaws."""
        return np.array([name(photo) in FLAWS for photo in self.photos])


def name(photo: Photo) -> str:
    """Return a photo's name as the flaws are listed."""
    return photo.path.rpartition("/")[2].removesuffix(".jpg")


def see(backbone: str = "lite0") -> Seen:
    """Return the 12,000 photos by a backbone's features."""
    with open_source(PHOTOS) as source:
        listing = list_photos(source)
        found = gather(source, listing, load_backbone(backbone), Run())
    photos = tuple(replace(one, reason=None) for one in grouped(found.usable, found.features_ND))
    _, group_N = np.unique([photo.group for photo in photos], return_inverse=True)
    label_N = np.array([listing.labels.index(photo.label or "") for photo in photos])
    return Seen(
        photos=photos,
        labels=listing.labels,
        features_ND=found.features_ND.kept_ND,
        label_N=label_N,
        group_N=group_N,
    )


def main() -> None:
    """Print the flaws' places, and what a check lists."""
    seen = see(*sys.argv[1:2])
    judged = judge(
        seen.features_ND,
        seen.label_N,
        len(seen.labels),
        folds(seen.photos, seed=0),
        seen.group_N,
    )
    place_F = np.sort(places(judged)[seen.flawed])
    first = int(LOOKED * len(seen.photos))
    print(f"{(place_F <= first).sum()} of {len(place_F)} known flaws are among the first {first}")
    print(f"their last places: {place_F[-6:]}")
    asked_N = np.ones(len(seen.photos), bool)
    listed = doubts(seen.photos, seen.labels, judged, asked_N)
    print(listed.sentence())
    for finding in sorted(listed.findings, key=lambda one: (one.kind, -one.score)):
        if finding.kind != "stranger":
            print(f"  {finding.paths[0]}: {finding.reason}")
    strangers = [finding for finding in listed.findings if finding.kind == "stranger"]
    flawed = sum(finding.paths[0].rpartition("/")[2][:-4] in FLAWS for finding in strangers)
    print(f"{len(strangers)} photos may belong to no class; {flawed} of them are known flaws")


def places(judged: Judged) -> NDArray[np.intp]:
    """Return each photo's place (N) in the order, from 1."""
    by_doubt_N, by_look_N = _ranks(-judged.doubt_N), _ranks(-judged.strangeness_N)
    best_N, worst_N = np.minimum(by_doubt_N, by_look_N), np.maximum(by_doubt_N, by_look_N)
    order_N = np.lexsort((worst_N, best_N))
    place_N = np.empty(len(order_N), np.intp)
    place_N[order_N] = np.arange(1, len(order_N) + 1)
    return place_N


def _ranks(values_N: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.argsort(np.argsort(values_N, kind="stable"), kind="stable")


if __name__ == "__main__":
    main()
