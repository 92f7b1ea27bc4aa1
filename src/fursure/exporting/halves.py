"""A network → the same with large matrices stored in fp16, as many as leave the answers alone.

Small ones, depthwise kernels above all, move probabilities most and save least: those of
EfficientNet-Lite0 below 10,000 elements save 0.3 MB of 6.8 and move a probability by up to 0.008.
What rounding moves alike in all pictures is taken back by biases, which halves what is left.
"""

from collections.abc import Iterator

import numpy as np

from fursure.engine.agreement import pictures
from fursure.engine.parity import SAME
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import OnnxRuntime, Outputs, Pixels, Session
from fursure.errors import EngineFailed, MissingExtra

_SMALLEST = (64, 10_000, 50_000, 100_000, 200_000, 500_000)  # elements of a matrix in fp16
_WANTED = SAME / 2  # on drawings: some photo of a thousand is moved farther than they are
_WORTH = 0.95  # of the file; what is saved above is not worth a difference


def halved(predictor: Predictor, *, batch: int) -> tuple[bytes, float]:
    """Return the network with as much as possible in fp16, and how far a probability moves.

    It takes ``batch`` photos a call, or any number. It is asked about drawings and textures, most
    of them between the classes, where answers are moved most easily.

    Raises:
        EngineFailed: even its largest matrices move one by more than `SAME`.
        MissingExtra: the package that edits networks is not installed.
    """
    bundle = predictor.bundle
    drawn_NHWC, _ = pictures(bundle.meta.preprocess.size)
    pixels_NHWC = np.concatenate([bundle.golden.pixels_NHWC, drawn_NHWC])
    exact_NK = _asked(predictor.network.session, pixels_NHWC, batch)["probs"]
    tried: list[tuple[float, bytes]] = []
    for network in _tries(predictor, drawn_NHWC, batch):
        session = OnnxRuntime(network, threads=predictor.threads)
        gap = float(np.abs(_asked(session, pixels_NHWC, batch)["probs"] - exact_NK).max())
        tried.append((gap, network))
        if gap <= _WANTED:
            break
    gap, network = min(tried, default=(float("inf"), b""))
    if not gap <= SAME:  # nor a gap that is no number
        raise EngineFailed(
            f"with even its large weights in fp16 this model moves a probability by {gap:.4f}, and "
            f"{SAME} is allowed; export it with --precision fp32."
        )
    return network, gap


def _tries(predictor: Predictor, drawn_NHWC: Pixels, batch: int) -> Iterator[bytes]:
    """Yield the network with less and less of it in fp16."""
    try:
        from fursure.graphs.graph import half_precision
        from fursure.graphs.means import levelled, with_means
    except MissingExtra as error:
        raise MissingExtra("storing weights in fp16", "train") from error
    exact = predictor.bundle.model
    watched = OnnxRuntime(with_means(exact), threads=predictor.threads)
    means = _asked(watched, drawn_NHWC, batch)
    for smallest in _SMALLEST:
        network = levelled(half_precision(exact, smallest=smallest), exact, means)
        if len(network) > _WORTH * len(exact):
            break
        yield network


def _asked(session: Session, pixels_NHWC: Pixels, batch: int) -> Outputs:
    """Return the network's outputs for any number of photos, ``batch`` at a time."""
    rows = range(0, len(pixels_NHWC), batch)
    parts = [session(pixels_NHWC[row : row + batch]) for row in rows]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
