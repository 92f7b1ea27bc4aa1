"""A data set → which photo is for what, however it is used: `split` and `compare` ask here.

What `train` holds out is drawn in the same way from the same lots, so that equal shares and an
equal seed give equal parts.
"""

from dataclasses import dataclass, replace

from fursure.backbones.combine import encoder_for
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.features.collect import collect
from fursure.features.reader import READING
from fursure.recipes.catalogue import LINEAR_PROBE
from fursure.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What is held out of every class, in expectation, and the seed of the lots."""

    validation: float = LINEAR_PROBE.validation
    test: float = LINEAR_PROBE.test
    seed: int = LINEAR_PROBE.seed


def divided(
    source: Source,
    listing: Manifest,
    shares: Shares,
    run: Run,
    *,
    title: str = READING,
) -> Manifest:
    """Return ``listing`` with groups and splits; a photo that cannot be used has its reason.

    Near-duplicates are told by what `lite0`, the default encoder, sees in them, whatever network
    the photos are for: so a division knows neither recipes nor their order. A split that the user
    made is kept. However few the photos, they are divided.
    """
    held_out = replace(
        LINEAR_PROBE,
        seed=shares.seed,
        validation=shares.validation,
        test=shares.test,
        cross_validate_below=0,
    )
    encoder = encoder_for(held_out)
    return collect(source, listing, encoder, held_out, run, title=title).manifest
