"""Photos and a space of recipes → what each is for, and what every encoder sees in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fursure.backbones.backbone import Backbone
from fursure.backbones.combine import encoder_for
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.errors import counted
from fursure.features.calibration import calibration_on
from fursure.features.collect import Collected, collect
from fursure.features.division import Shares
from fursure.run import Run
from fursure.splitting.split import few
from fursure.training.parts import divided_in_three, encoders_of, unseen_by_all
from fursure.tuning.scoring import EncoderKey
from fursure.tuning.space import Space

TRIALS_FORMAT = "fursure trials 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialMaterial:
    """The same photos, with the features of every encoder."""

    collected: Mapping[EncoderKey, Collected]
    encoders: Mapping[EncoderKey, Backbone]
    seen: frozenset[int]  # what any encoder was trained on, as short digests

    @property
    def digest(self) -> str:
        """The identity of the photos, with what each is for."""
        return next(iter(self.collected.values())).manifest.digest

    def identity(self, space: Space) -> dict[str, Any]:
        """Return what trials on these photos belong to, as plain values."""
        return {
            "format": TRIALS_FORMAT,
            "photos": self.digest,
            "base": space.base.to_json(),
            "networks": space.networks,
            "encoders": [
                [name, flips, *part.caches] for (name, flips), part in self.collected.items()
            ],
        }


def put_aside(dataset: Dataset, shares: Shares, space: Space, run: Run) -> Manifest:
    """Return what each photo is for, and say so; of few photos those of validation train too.

    Where networks train they do not: once a fold would take too long.

    Raises:
        BadData: there are too few photos.
    """
    division = divided_in_three(dataset, shares, run)
    division = unseen_by_all(division, encoders_of(space.begins()))
    if not space.networks and few(
        [replace(photo, split=None) for photo in division.usable], space.base
    ):
        photos = tuple(
            replace(photo, split="train") if photo.split == "val" else photo
            for photo in division.photos
        )
        division = replace(division, photos=photos)
    test = sum(photo.split == "test" for photo in division.usable)
    run.say(f"{counted(test, 'photo is', 'photos are')} put aside for test: no trial sees them")
    return division


def encoded_by_all(dataset: Dataset, division: Manifest, space: Space, run: Run) -> TrialMaterial:
    """Return the photos as each encoder sees them; each encodes a photo once, ever.

    Raises:
        FursureError: a backbone cannot be used, or a photo is no longer what it was.
    """
    found: dict[EncoderKey, Collected] = {}
    encoders: dict[EncoderKey, Backbone] = {}
    seen = frozenset[int]()
    with dataset.open() as source:
        listing, verdicts = dataset.listed(source), dataset.verdicts()
        for name, flipped in space.encoders():
            recipe = replace(space.base, backbone=space.backbones[name], flips=flipped)
            encoder = encoder_for(recipe, calibration_on(source, listing.photos))
            encoders[name, flipped] = encoder
            seen |= encoder.seen
            found[name, flipped] = collect(
                source,
                listing,
                encoder,
                recipe,
                run,
                title=f"reading photos by {name}{' with flips' if flipped else ''}",
                division=division,
                corrections=verdicts,
            )
    return TrialMaterial(collected=found, encoders=encoders, seen=seen)
