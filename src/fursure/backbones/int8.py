"""An encoder and photos like those it will see → the same encoder in whole numbers of 8 bits.

Weights get a scale a channel, and what flows between layers the range it has on the photos
(Jacob et al., CVPR 2018): a quarter of the memory, and half the time or less on processors that
multiply bytes. Each layer is between a pair of nodes that say how it was rounded, which ONNX
Runtime and OpenVINO turn into whole numbers when they load the network.

Dimension key: N photos, B photos of a batch, H W height and width (pixels), C colour (RGB).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.backbone import Backbone
from fursure.engine.libraries import quantization
from fursure.engine.network import in_batches
from fursure.engine.runtime import BATCH, OnnxRuntime
from fursure.errors import BadBackbone
from fursure.graphs.graph import tidied
from fursure.photos.preprocess import Preprocess
from fursure.run import available_threads

Calibration = Callable[[Preprocess], NDArray[np.uint8]]  # -> prepared photos (N, H, W, C)
LEAST_COSINE = 0.9  # mean cosine of the features to those of the whole numbers; less is refused


def quantized(
    backbone: Backbone, calibration: Calibration, *, exact: Sequence[str] = ()
) -> Backbone:
    """Return ``backbone`` in int8, calibrated on photos; the nodes named ``exact`` stay in fp32.

    Raises:
        BadBackbone: it has layers that ONNX Runtime cannot round, or its features would change
            too much.
    """
    pixels_NHWC = calibration(backbone.preprocess)
    try:
        onnx = _rounded(backbone.onnx, pixels_NHWC, exact)
        alike = _cosine(backbone.onnx, onnx, pixels_NHWC)
    except Exception as error:  # the quantiser raises whatever its helpers raise
        raise BadBackbone(
            f"{backbone.name} cannot be computed in int8 ({error}); --precision fp32 can."
        ) from error
    if not alike >= LEAST_COSINE:
        raise BadBackbone(
            f"in int8 the features of {backbone.name} resemble themselves by {alike:.2f} only "
            f"(cosine; {LEAST_COSINE} needed); --precision fp32 keeps them."
        )
    return replace(backbone, onnx=onnx)


def _rounded(onnx: bytes, pixels_NHWC: NDArray[np.uint8], exact: Sequence[str]) -> bytes:
    tools = quantization()

    class Photos(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.starts = iter(range(0, len(pixels_NHWC), BATCH))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            start = next(self.starts, None)
            return None if start is None else {"pixels": pixels_NHWC[start : start + BATCH]}

    with TemporaryDirectory() as folder, _silent():
        whole, joined, rounded = (str(Path(folder) / f"{name}.onnx") for name in "abc")
        Path(whole).write_bytes(onnx)
        tools.shape_inference.quant_pre_process(
            whole, joined, skip_symbolic_shape=True
        )  # normalisation into the layers
        tools.quantize_static(
            joined,
            rounded,
            Photos(),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=list(exact),
        )
        return tidied(Path(rounded).read_bytes())


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the quantiser's advice to its developers out of the user's log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _cosine(before: bytes, after: bytes, pixels_NHWC: NDArray[np.uint8]) -> float:
    """Return how alike the features of both are: the mean cosine over photos."""
    first_ND, second_ND = (
        in_batches(OnnxRuntime(onnx, threads=available_threads()), pixels_NHWC)["features"]
        for onnx in (before, after)
    )
    norms_N = np.linalg.norm(first_ND, axis=1) * np.linalg.norm(second_ND, axis=1)
    return float(((first_ND * second_ND).sum(axis=1) / np.maximum(norms_N, 1e-30)).mean())
