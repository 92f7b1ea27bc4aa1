"""Photos → arrays of what an encoder makes of them, as `np.load` reads them.

Tutorials call these bottleneck features: with them, a head of any kind trains anywhere.

Dimension key: N photos, B photos of a chunk, D features, h w cells of the feature map.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.backbones.backbone import Backbone
from fursure.dataset.listing import Source
from fursure.engine.network import Network
from fursure.engine.runtime import Outputs
from fursure.errors import BadBackbone
from fursure.features.reader import Reader
from fursure.files import replacing
from fursure.parallel import chunked, in_order
from fursure.photos.decode import decode
from fursure.rows.photo import Photo
from fursure.run import Run
from fursure.splitting.linking import content
from fursure.splitting.scan import CHUNK

_Rows = NDArray[np.float32]  # (B, ...)


@dataclass(frozen=True)
class Encoder:
    """A backbone at work on a source: features, or the feature map they are the mean of."""

    reader: Reader
    network: Network | None  # makes the map (N, h, w, D), as Keras has it; None: features (N, D)

    @classmethod
    def open(
        cls, source: Source, backbone: Backbone, run: Run, *, maps: bool, photos: int
    ) -> "Encoder":
        """Return the encoder, ready for about ``photos`` photos.

        Raises:
            BadBackbone: a map is asked for, and the backbone has none.
            EngineFailed: the engine cannot run it here.
        """
        reader = Reader.open(source, backbone, run, photos=photos)
        self = cls(reader, reader.networks[0] if maps else None)
        if maps and "map" not in _sample(reader.networks[0]):
            raise BadBackbone(
                f"the backbone {backbone.name} has no feature map that its features are the mean "
                "of; leave --map out, or take a convolutional network."
            )
        return self

    @property
    def identity(self) -> str:
        """Return what tells these rows from those of other weights or another engine."""
        names = " ".join(name.partition(".")[0] for name in self.reader.caches)
        return f"{'features' if self.network is None else 'map'} {names}"

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one photo's row: (D,) or (h, w, D)."""
        if self.network is None:
            return (sum(_sample(network)["features"].shape[1] for network in self.reader.networks),)
        depth, height, width = _sample(self.network)["map"].shape[1:]
        return height, width, depth

    def rows(self, photos: Sequence[Photo], *, title: str) -> Iterator[_Rows]:
        """Yield the rows of ``photos`` in order, chunk by chunk: a stage of work called ``title``.

        Features come from the caches that training fills, and go there. Maps are made each time.

        Raises:
            BadData: a photo is no longer what it was.
        """
        if self.network is None:
            yield from self.reader.features(photos, title=title)
            return
        run, worker = self.reader.run, _Mapping(self.reader.source, self.network)
        with run.progress(title, len(photos)) as advance:
            for rows_B in in_order(worker, chunked(photos, CHUNK), threads=run.cores + 1):
                yield rows_B
                advance(len(rows_B))


def _sample(network: Network) -> Outputs:
    """Return what comes out for a black photo."""
    size = network.preprocess.size
    return network.session(np.zeros((1, size, size, 3), np.uint8))


@dataclass(frozen=True, slots=True)
class _Mapping:
    """What turns a chunk of photos into their maps, on one thread."""

    source: Source
    network: Network

    def __call__(self, photos: list[Photo]) -> _Rows:
        map_BDhw = self.network(map(self._decoded, photos))["map"]
        return map_BDhw.transpose(0, 2, 3, 1)

    def _decoded(self, photo: Photo) -> Image.Image:
        min_side = self.network.preprocess.min_side
        return decode(content(self.source, photo), name=photo.path, min_side=min_side).image


def write_rows(path: Path, count: int, shape: tuple[int, ...], rows: Iterator[_Rows]) -> None:
    """Write ``count`` rows of ``shape`` as one array of float32, wholly or not at all.

    It never lies in memory. Nor is it mapped there: on a full disk that ends the process without
    a word, where a write fails with a reason.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)}
    with replacing(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for rows_B in rows:
            file.write(np.ascontiguousarray(rows_B, "<f4").data)
