"""A data set → its photos, what they are like, and their features in half precision.

Unlike `fursure.features.collect` this divides nothing, and it keeps what a check of the photos
needs: rows, 1 KB a photo, and features that are many in a file.

Dimension key: N photos that can be used, D features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.backbone import Backbone
from fursure.dataset.listing import Source
from fursure.dataset.manifest import Manifest
from fursure.features.reader import READING, Reader
from fursure.rows.table import FeatureTable
from fursure.run import Run
from fursure.splitting.scanned import Scanned


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Every photo of a data set, in its order."""

    rows: tuple[Scanned, ...]  # without features
    place_N: NDArray[np.intp]  # the place in ``rows`` of each photo that can be used
    features_ND: FeatureTable
    engine: str  # what computed them

    @property
    def usable(self) -> list[Scanned]:
        """The photos that have features, one a row of those."""
        return [self.rows[int(place)] for place in self.place_N]


def gather(
    source: Source,
    listing: Manifest,
    backbone: Backbone,
    run: Run,
) -> Gathered:
    """Read every photo once: digest, fingerprint, facts, features; all but the first are kept."""
    reader = Reader.open(source, backbone, run, photos=len(listing.photos))
    rows, features_ND = reader.laid_out(listing.photos, title=READING, facts=True)
    usable = [number for number, row in enumerate(rows) if row.fingerprint is not None]
    return Gathered(
        rows=tuple(rows),
        place_N=np.array(usable, np.intp),
        features_ND=features_ND,
        engine=reader.engine,
    )
