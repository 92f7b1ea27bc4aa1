"""A network → the same with large matrices stored in fp16, as many as leave the answers alone.

Small ones, depthwise kernels above all, move probabilities most and save least: those of
EfficientNet-Lite0 below 10,000 elements save 0.3 MB of 6.8 and move a probability by up to 0.008.
"""

import numpy as np

from fursure.engine.agreement import pictures
from fursure.engine.parity import SAME
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import OnnxRuntime, Pixels, Session
from fursure.errors import EngineFailed, MissingExtra

_SMALLEST = (64, 10_000, 50_000, 100_000, 200_000, 500_000)  # elements of a matrix in fp16
_WORTH = 0.95  # of the file; what is saved above is not worth a difference


def halved(predictor: Predictor, *, batch: int) -> tuple[bytes, float]:
    """Return the network with as much as possible in fp16, and how far a probability moves.

    It takes ``batch`` photos a call, or any number. It is asked about drawings and textures, most
    of them between the classes, where answers are moved most easily.

    Raises:
        EngineFailed: even its largest matrices move one by more than `SAME`.
        MissingExtra: the package that edits networks is not installed.
    """
    try:
        from fursure.graphs.graph import half_precision
    except MissingExtra as error:
        raise MissingExtra("storing weights in fp16", "train") from error
    bundle = predictor.bundle
    drawn_NHWC, _ = pictures(bundle.meta.preprocess.size)
    pixels_NHWC = np.concatenate([bundle.golden.pixels_NHWC, drawn_NHWC])
    exact_NK = _probs(predictor.network.session, pixels_NHWC, batch)
    gap = float("inf")
    for smallest in _SMALLEST:
        network = half_precision(bundle.model, smallest=smallest)
        if len(network) > _WORTH * len(bundle.model):
            break
        session = OnnxRuntime(network, threads=predictor.threads)
        gap = float(np.abs(_probs(session, pixels_NHWC, batch) - exact_NK).max())
        if gap <= SAME:
            return network, gap
    raise EngineFailed(
        f"with even its large weights in fp16 this model moves a probability by {gap:.4f}, and "
        f"{SAME} is allowed; export it with --precision fp32."
    )


def _probs(
    session: Session, pixels_NHWC: Pixels, batch: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rows = range(0, len(pixels_NHWC), batch)
    return np.concatenate([session(pixels_NHWC[row : row + batch])["probs"] for row in rows])
