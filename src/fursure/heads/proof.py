"""Does a finished graph answer as it should? Real photos and golden inputs, before it is written.

Dimension key: N photos, K classes, H W height and width, C colour.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.bundle.bundle import Golden
from fursure.drawings.draw import draw, jpeg
from fursure.engine import selftest
from fursure.engine.network import Network
from fursure.engine.openvino import OpenVino, Precision
from fursure.engine.runtime import Session
from fursure.errors import BadBackbone
from fursure.photos.decode import decode
from fursure.photos.preprocess import Preprocess

PROOF = 64  # photos that run through the whole graph before a bundle is accepted
PROOF_OF_FEW = 16  # of fewer than `BULK`: one engine answers, so no gap is measured on them
BETWEEN = 16  # of them that the slower engine answers too, where the faster one answers all
AGREEMENT = 0.02
# mean over photos of the largest |difference| of a probability to the cached features' answer:
# rounding in bf16 moves single photos of a hard task by 0.05, stale features move most of them
_MARGIN = 1.5  # another machine's bf16 may round worse than this one's
UNMEASURED = 0.02  # bound between engines where only one is installed (architecture.md)


def golden_of(session: Session, preprocess: Preprocess) -> Golden:
    """Return a drawn JPEG and a second drawing, with ONNX Runtime's answers to both."""
    data = jpeg(draw("cat", seed=1))
    first_HWC = preprocess(decode(data, name="golden", min_side=preprocess.min_side).image)
    pixels_NHWC = np.stack([first_HWC, preprocess(draw("dog", seed=2))])
    return Golden(
        jpeg=data,
        digest=hashlib.sha256(first_HWC.tobytes()).hexdigest(),
        pixels_NHWC=pixels_NHWC,
        probs_NK=np.asarray(session(pixels_NHWC)["probs"]),
    )


def prove(
    model: bytes,
    default: Session,
    preprocess: Preprocess,
    photos: Sequence[Image.Image],
    expected_NK: NDArray[np.floating],
    golden: Golden,
    engine: str,
    *,
    joined: bool,
    few: bool,
) -> float:
    """Run real photos through the whole graph and return the bound between engines.

    The graph must answer like the cached features it was trained on, by the engine that computed
    them; so what `train` prints from the cache is what the bundle does. Where photos were many,
    OpenVINO's gap is measured whichever engine computed them: it is what will answer many.
    """
    precision = _openvino_for(model, engine, joined=joined, few=few)
    own = None if precision is None else OpenVino(model, threads=1, precision=precision)
    computing = own if own is not None and _by_openvino(engine) else default
    computed_NK = Network(computing, preprocess)(photos)["probs"]
    gap = float(np.abs(computed_NK - expected_NK).max(axis=1).mean())
    if not gap <= AGREEMENT:
        raise BadBackbone(
            f"the finished network differs from the features it was trained on by {gap:.3f} in a "
            "probability on average. `fursure cache clear` removes features that may be stale."
        )
    if own is None:
        return UNMEASURED
    some = photos[:BETWEEN]
    other = Network(own if computing is default else default, preprocess)
    between_NK = np.abs(other(some)["probs"] - computed_NK[: len(some)])
    drawn_NK = np.abs(own(golden.pixels_NHWC)["probs"] - golden.probs_NK)
    return max(UNMEASURED, _MARGIN * float(np.concatenate([between_NK, drawn_NK]).max()))


def _openvino_for(model: bytes, engine: str, *, joined: bool, few: bool) -> Precision | None:
    """Return the precision in which OpenVINO may run the whole graph here; None: not at all."""
    if not _by_openvino(engine) and few:
        return None
    if not _by_openvino(engine) or joined:  # parts passed in a child process, each alone
        return selftest.engine_verdict(model).precision
    precision: Precision = "bf16" if engine.endswith("bf16") else "f32"
    selftest.vouch(model, precision)  # its encoder passed there; the head is one more layer
    return precision


def _by_openvino(engine: str) -> bool:
    """Return whether OpenVINO computed features on this processor, of one part at least."""
    return any(part.startswith("openvino ") for part in engine.split(" and "))
