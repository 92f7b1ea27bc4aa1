"""A model and photos → the same network in int8, where its answers to those photos stay.

The encoder is rounded as `train --precision int8` rounds one; the head, the temperature and the
heat map stay as they are. Early layers cost answers most and save least, so where answers move a
quarter, three eighths or half of the convolutions stay exact.

Dimension key: N photos, H W height and width (pixels), C colour (RGB).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fursure.backbones.backbone import Backbone
from fursure.backbones.int8 import quantized
from fursure.dataset.layout import list_photos
from fursure.dataset.sources import open_source
from fursure.engine.network import in_batches
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import OnnxRuntime, Pixels
from fursure.errors import BadBackbone, BadData, ExportFailed, MissingExtra, counted
from fursure.features.calibration import CALIBRATED_ON, some_prepared

COMPARED_ON = 500  # photos at most
MOST_CHANGED = 0.005  # of them may be answered otherwise
_EXACT = (0.0, 0.25, 0.375, 0.5)  # share of the convolutions that stay in fp32, tried in this order


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What rounding does to the answers to some photos."""

    photos: int
    answers: int  # that are others: a label, "unsure" or "stranger"
    gap: float  # the largest |difference| of a probability
    strangers: tuple[int, int]  # photos called so before and after
    exact: float = 0.0  # share of the convolutions that stay in fp32

    @property
    def small(self) -> bool:
        """Return whether the rounded network may stand in for the other."""
        let_through = self.strangers[1] < self.strangers[0]
        return self.answers <= MOST_CHANGED * self.photos and not let_through

    def __str__(self) -> str:
        """Return it as a sentence."""
        before, after = self.strangers
        return (
            f"in int8, {self.answers} of {counted(self.photos, 'photo')} "
            f"({self.answers / self.photos:.2%}) are answered otherwise, {after} and not {before} "
            f"are called strangers, and a probability moves by up to {self.gap:.4f}; "
            f"{self.exact:.0%} of the convolutions are in fp32"
        )


def rounded(predictor: Predictor, calibrate: Path) -> tuple[bytes, Changes]:
    """Return the network in int8, calibrated and compared on photos of a folder or an archive.

    Raises:
        ExportFailed: answers change on more than `MOST_CHANGED` of them, or strangers get through.
        BadData: there are no photos, or too few.
        BadBackbone: the network has layers that cannot be rounded.
        MissingExtra: the package that edits networks is not installed.
    """
    pixels_NHWC = _pixels(calibrate, predictor)
    before = list(predictor.answers(in_batches(predictor.network.session, pixels_NHWC)))
    tried: list[Changes] = []
    for exact, network in _tries(predictor, pixels_NHWC):
        outputs = in_batches(OnnxRuntime(network, threads=predictor.threads), pixels_NHWC)
        changes = _changes(before, list(predictor.answers(outputs)), exact)
        if changes.small:
            return network, changes
        tried.append(changes)
    best = min(tried, key=lambda changes: changes.answers)
    raise ExportFailed(
        f"{best}; more than {MOST_CHANGED:.1%} of other answers, or a stranger that gets through, "
        "are refused: export it with --precision fp16 or fp32."
    )


def _pixels(calibrate: Path, predictor: Predictor) -> Pixels:
    with open_source(calibrate) as source:
        photos = list_photos(source, labelled=False).photos
        pixels_NHWC = some_prepared(source, photos, predictor.network.preprocess, COMPARED_ON)
    if len(pixels_NHWC) < CALIBRATED_ON:
        raise BadData(
            f"{calibrate} has {counted(len(pixels_NHWC), 'photo')} that can be used, and int8 is "
            f"calibrated and compared on {CALIBRATED_ON} at least; give more with --calibrate."
        )
    return pixels_NHWC


def _tries(predictor: Predictor, pixels_NHWC: Pixels) -> Iterator[tuple[float, bytes]]:
    """Yield the network in int8 with more and more of it exact; a try that fails is passed over."""
    try:
        from fursure.graphs.graph import encoder_of
        from fursure.graphs.variants import leading_layers, plane_by_plane, with_encoder
    except MissingExtra as error:
        raise MissingExtra("rounding to int8", "train") from error
    bundle = predictor.bundle
    encoder = Backbone(
        name=bundle.meta.name,
        onnx=encoder_of(bundle.model),
        preprocess=bundle.meta.preprocess,
        licence=bundle.meta.licence,
    )
    few_NHWC = pixels_NHWC[np.linspace(0, len(pixels_NHWC) - 1, CALIBRATED_ON).astype(int)]
    failures: list[BadBackbone] = []
    for share in _EXACT:
        exact = leading_layers(encoder.onnx, share)
        try:
            small = quantized(encoder, lambda _: few_NHWC, exact=exact)
        except BadBackbone as error:
            failures.append(error)
            continue
        yield share, plane_by_plane(with_encoder(bundle.model, small.onnx))
    if len(failures) == len(_EXACT):
        raise failures[-1]


def _changes(
    before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], exact: float
) -> Changes:
    pairs = list(zip(before, after, strict=True))
    return Changes(
        photos=len(pairs),
        answers=sum(old["answer"] != new["answer"] for old, new in pairs),
        gap=max(
            abs(share - new["probabilities"][label])
            for old, new in pairs
            for label, share in old["probabilities"].items()
        ),
        strangers=(_strangers(before), _strangers(after)),
        exact=exact,
    )


def _strangers(answers: Sequence[dict[str, Any]]) -> int:
    return sum(row["answer"] == "stranger" for row in answers)
